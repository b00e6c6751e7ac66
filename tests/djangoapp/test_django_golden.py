"""Artifacts of the past are read for ever: those of Korrigo's former command, and each format of ours."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from korrigo_backup.postgres.throwaway import embedded_bindir, system_bindir
from korrigo_backup.verify import django_artifact as artifact
from servers import quick_server

PROJECT = Path(__file__).resolve().parents[2]
GOLDEN = PROJECT / "tests" / "golden"
LEFT_OUT = {"contenttypes.contenttype", "auth.permission", "sessions.session"}

READ = """
import json, sys
import django
django.setup()
from django.apps import apps
from django.core import serializers
natural = sys.argv[1] == "natural"
rows = []
for model in apps.get_models(include_auto_created=sys.argv[1] == "ours"):
    rows.extend(model._base_manager.all())
print(serializers.serialize("json", rows, use_natural_foreign_keys=natural, use_natural_primary_keys=natural))
"""
"""A reader that shares no code with the product: Django's own serializer."""


@pytest.fixture(scope="module")
def server():
    with quick_server(system_bindir() or embedded_bindir()) as running:
        yield running


@pytest.fixture(params=["postgresql", "sqlite"])
def demo(request, tmp_path):
    """A fresh, migrated reference site (its migrations make rows); run its manage.py, or a program in it."""
    env = {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH", "PYTHONPYCACHEPREFIX") if name in os.environ},
        "DJANGO_SETTINGS_MODULE": "korrigo_demo.settings",
        "MEDIA_ROOT": str(tmp_path / "media"),
        "HOME": str(tmp_path),
        "DEBUG": "1",
    }
    if request.param == "sqlite":
        env["KORRIGO_DEMO_SQLITE"] = str(tmp_path / "db.sqlite3")
    else:
        access = request.getfixturevalue("server").access()
        database = f"golden_{abs(hash(request.node.name))}"
        env |= {"POSTGRES_HOST": access.host, "POSTGRES_USER": access.user, "POSTGRES_DB": database}
        env["POSTGRES_PASSWORD"] = access.password.reveal()
        psql = [str(access.client_dir / "psql"), "-qc", f'CREATE DATABASE "{database}"', "postgres"]
        subprocess.run(
            psql, check=True, env={"PGHOST": access.host, "PGUSER": access.user, "PGPASSWORD": access.password.reveal()}
        )

    def run(*argv, program=None):
        words = [sys.executable, *(("-c", program) if program else ("manage.py",)), *argv]
        done = subprocess.run(words, cwd=PROJECT / "demo", env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    (tmp_path / "media").mkdir()
    run("migrate", "--verbosity", "0")
    return run


@pytest.mark.contract("R2")
@pytest.mark.parametrize("name", ["former", "former-natural", "format-1"])
def test_a_golden_artifact_is_restored_into_a_fresh_site(demo, name, tmp_path):
    (path,) = (GOLDEN / name).iterdir()
    output = demo("restore", str(path))
    if name != "format-1":
        assert "warning: an old backup without checksums: that it is complete could not be proven" in output.stderr
    assert "Restore completed successfully" in output.stdout
    how = {"former": "numbers", "former-natural": "natural", "format-1": "ours"}[name]
    found = json.loads(demo(how, program=READ).stdout)
    wanted = json.loads(next(path.glob("db_*.json")).read_text())
    ours = name == "format-1"
    assert _by_name(found, ours=ours) == _by_name(wanted, ours=ours)
    with zipfile.ZipFile(next(path.glob("*.zip"))) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    media = tmp_path / "media"
    assert {str(p.relative_to(media)): p.read_bytes() for p in media.rglob("*") if p.is_file()} == files


@pytest.mark.parametrize("name", ["former", "former-natural", "format-1"])
def test_a_golden_artifact_is_verified_without_django(name):
    (path,) = (GOLDEN / name).iterdir()
    _, findings = artifact.verify(path)
    assert ("django.no-checksums" in {finding.id for finding in findings}) == (name != "format-1")


LISTS = {"groups", "user_permissions", "permissions", "teachers"}
"""Many-to-many fields: lists in old files, in any order; objects of their own in ours."""

NAMES = {"content_type", "permission"}
"""Numbers here, names in our files: that they are right is held by the tests of the test site."""


def _by_name(objects, *, ours):
    """What a fixture says, without what may differ: the order, and parts of a second."""
    return sorted(
        json.dumps([one["model"], one.get("pk"), _plain(one["fields"], ours=ours)], sort_keys=True)
        for one in objects
        if one["model"] not in LEFT_OUT
    )


def _plain(fields, *, ours):
    left_out = LISTS | NAMES if ours else set()
    return {
        name: sorted(map(str, value)) if name in LISTS else _seconds(value)
        for name, value in fields.items()
        if name not in left_out
    }


def _seconds(value):
    if isinstance(value, str) and len(value) > 19 and value[4:5] == "-" and value[10:11] == "T":
        return value[:19]
    return value
