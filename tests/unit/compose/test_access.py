"""Clients in the database's container run as the server's user, not as root."""

import os
import pwd
import shutil
import subprocess

import pytest

from korrigo_backup.compose.access import AS_THE_SERVER

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="to become another user takes root")


@pytest.fixture
def data(tmp_path):
    """A data directory of the user nobody, and a directory for programs of the image."""
    made = tmp_path / "data"
    made.mkdir()
    (tmp_path / "bin").mkdir()
    nobody = pwd.getpwnam("nobody")
    if os.geteuid() == 0:
        os.chown(made, nobody.pw_uid, nobody.pw_gid)
    return made


def ran(data, *words):
    env = {"PATH": f"{data.parent / 'bin'}:/usr/bin:/bin", "PGDATA": str(data), "PGPASSWORD": "p"}
    done = subprocess.run(["sh", "-c", AS_THE_SERVER, *words], env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@as_root
def test_the_client_runs_as_the_owner_of_the_data(data):
    if not shutil.which("setpriv"):
        pytest.skip("this machine has no setpriv")
    assert ran(data, "id", "-un") == "nobody"


@as_root
def test_arguments_and_environment_arrive(data):
    assert ran(data, "sh", "-c", 'echo "$PGPASSWORD|$1|$2"', "x", "a b", "--c") == "p|a b|--c"


@as_root
def test_the_images_own_program_is_used_first(data):
    gosu = data.parent / "bin" / "gosu"
    gosu.write_text('#!/bin/sh\necho "gosu $@"\n')
    gosu.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    assert ran(data, "id", "-u") == f"gosu {nobody.pw_uid}:{nobody.pw_gid} id -u"


def test_a_container_whose_user_is_not_root_runs_it_as_it_is(data):
    fake = data.parent / "bin" / "id"
    fake.write_text("#!/bin/sh\necho 1001\n")
    fake.chmod(0o755)
    assert ran(data, "echo", "as it is") == "as it is"
