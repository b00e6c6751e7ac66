"""Targets that misbehave, one contract over all: full, slow, with a wrong clock, or lying about a checksum.

No object becomes visible there, the local file is as it was, and the error names the target and the cause.
"""

import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from getpass import getuser

import botocore.auth
import pytest

from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import KorrigoBackupError, ProofFailed, Unreachable
from korrigo_backup.targets.rclone import RcloneTarget
from korrigo_backup.targets.s3 import Bucket, DeletingS3Target, S3Target
from korrigo_backup.targets.ssh import SshPlace, SshTarget
from targetservers import (
    ACCESS_KEY,
    RCLONE,
    SECRET_KEY,
    locking_s3_server,
    lying_proxy,
    s3_server,
    sha256_of_file,
    stalling_proxy,
)

NAME = "site/a.gz"


@pytest.fixture
def small(tmp_path_factory):
    """A file system of one megabyte, as a full disk is made without filling a real one."""
    place = tmp_path_factory.mktemp("small")
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", place], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(os.urandom(2_000_000))
    return path


def s3_target(endpoint, timeout=60):
    bucket = Bucket(
        bucket="korrigo-backups", prefix="p", endpoint=endpoint, access_key=ACCESS_KEY, secret_key=Secret(SECRET_KEY)
    )
    return S3Target("cloud", bucket, timeout=timeout)


def ssh_target(server, port, root, timeout=60):
    words = (*server.words, "-o", f"HostKeyAlias=[127.0.0.1]:{server.port}")
    at = SshPlace(host="127.0.0.1", root=str(root), user=getuser(), port=port, words=words)
    return SshTarget("nas", at, timeout=timeout)


def rclone_target(tmp_path, endpoint, timeout=60):
    config = tmp_path / "rclone.conf"
    config.write_text(
        f"[there]\ntype = s3\nprovider = Other\nendpoint = {endpoint}\n"
        f"access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n"
    )
    return RcloneTarget("drive", "there:korrigo-backups/p", (str(RCLONE), "--config", str(config)), timeout=timeout)


def require_refused(target, source, kind=KorrigoBackupError):
    """The put fails in words that name the target, and the file here is as it was."""
    before = sha256_of_file(source)
    with pytest.raises(kind) as found:
        target.put(NAME, source, before)
    assert found.value.message.startswith(f"{target.name}: "), found.value.message
    assert target.place in found.value.message or target.name in found.value.message
    assert found.value.hint
    assert sha256_of_file(source) == before
    return found.value


@pytest.mark.parametrize("kind", ["s3", "ssh", "rclone"])
def test_a_full_target_shows_no_object_and_takes_it_when_there_is_room(kind, small, tmp_path, source, ssh):
    @contextmanager
    def full():
        if kind == "ssh":
            yield ssh_target(ssh, ssh.port, small / "ssh")
            return
        with s3_server(small / kind) as server:
            yield s3_target(server.endpoint) if kind == "s3" else rclone_target(tmp_path, server.endpoint)

    with full() as target:
        require_refused(target, source)
        assert list(target.list("site/")) == []
        subprocess.run(["mount", "-o", "remount,size=8m", small], check=True)
        assert target.put(NAME, source, sha256_of_file(source)).is_new


@pytest.mark.parametrize("kind", ["s3", "ssh", "rclone"])
def test_a_target_that_stalls_is_given_up_in_time(kind, tmp_path, source, s3, ssh):
    server_port = ssh.port if kind == "ssh" else int(s3.endpoint.rpartition(":")[2])
    with stalling_proxy(server_port, after=100_000) as port:
        endpoint = f"http://127.0.0.1:{port}"
        target = {
            "s3": lambda: s3_target(endpoint, timeout=1),
            "ssh": lambda: ssh_target(ssh, port, ssh.data / "stalls", timeout=2),
            "rclone": lambda: rclone_target(tmp_path, endpoint, timeout=1),
        }[kind]()
        began = time.monotonic()
        require_refused(target, source, Unreachable if kind != "rclone" else KorrigoBackupError)
        assert time.monotonic() - began < 90
    whole = ssh_target(ssh, ssh.port, ssh.data / "stalls") if kind == "ssh" else s3_target(s3.endpoint)
    assert whole.stat(NAME) is None


def test_a_clock_that_is_wrong_is_named(tmp_path, tmp_path_factory, source, monkeypatch):
    with locking_s3_server(tmp_path_factory.mktemp("weed")) as server:
        late = datetime.now(UTC) + timedelta(hours=2)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: late.replace(tzinfo=None))
        found = require_refused(s3_target(server.endpoint), source)
        assert "RequestTimeTooSkewed" in found.message
        assert "timedatectl" in found.hint
        monkeypatch.undo()
        assert s3_target(server.endpoint).put(NAME, source, sha256_of_file(source)).is_new


@pytest.mark.parametrize("deletes", [False, True])
def test_a_server_that_lies_about_a_checksum_is_not_believed(tmp_path, source, s3, deletes):
    with lying_proxy(int(s3.endpoint.rpartition(":")[2])) as port:
        plain = s3_target(f"http://127.0.0.1:{port}")
        bucket = replace(plain.bucket, prefix=f"lies-{deletes}")
        target = (DeletingS3Target if deletes else S3Target)("cloud", bucket)
        found = require_refused(target, source, ProofFailed)
        assert "has stored other bytes than were sent" in found.message


@pytest.mark.contract("B9")
def test_a_full_target_harms_neither_the_backup_nor_the_other_target(site, small, s3, ssh):
    words = str(list(ssh.words)).replace("'", '"')
    lines = [f"{name}={value}\n" for name, value in s3.env.items()]
    (site.home / "korrigo-backup.env").write_text("".join(lines))
    (site.home / "korrigo-backup.toml").write_text(
        f'[targets.nas]\nurl = "ssh://127.0.0.1:{ssh.port}{small}/site"\nssh = {words}\nseal = false\n'
        f'[targets.cloud]\nurl = "s3://{s3.bucket}/{site.database}"\nendpoint = "{s3.endpoint}"\nseal = false\n'
    )
    site.write("large.bin", os.urandom(2_000_000))
    site.korrigo("backup", "media")
    archive = site.one("media_backup_*.tar.gz")
    before = sha256_of_file(archive)
    done = site.korrigo("copy", code=3)
    assert "nas: cannot store" in done.err
    assert "No space left on device" in done.err
    assert "✅ cloud: 1 copied" in done.out
    assert sha256_of_file(archive) == before
    assert not [one for one in site.json("list", "--on", "nas")["items"] if one["name"] == archive.name]
