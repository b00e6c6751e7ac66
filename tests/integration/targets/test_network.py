"""The way to a target: the certificate of a server of one's own, and the limit of the bandwidth."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import replace
from getpass import getuser

import pytest

from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import Unreachable
from korrigo_backup.targets.port import PutObject
from korrigo_backup.targets.rclone import RcloneTarget
from korrigo_backup.targets.s3 import Bucket, S3Target
from korrigo_backup.targets.ssh import SshPlace, SshTarget
from targetservers import ACCESS_KEY, RCLONE, SECRET_KEY, s3_server

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """An S3 server whose certificate no system trusts, and the file of this certificate."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl: apt-get install openssl")
    home = tmp_path_factory.mktemp("tls")
    certificate, key = home / "ca.pem", home / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    with s3_server(home, tls=(certificate, key)) as server:
        yield server, certificate


def source(tmp_path, size):
    path = tmp_path / "a.gz"
    path.write_bytes(os.urandom(size))
    return PutObject("site/a.gz", path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_certificate_of_ones_own_is_trusted_by_its_file_alone(tls, tmp_path):
    server, certificate = tls
    bucket = Bucket(
        bucket=server.bucket, endpoint=server.endpoint, access_key=ACCESS_KEY, secret_key=Secret(SECRET_KEY)
    )
    one = source(tmp_path, 1000)
    with pytest.raises(Unreachable, match="certificate") as found:
        S3Target("cloud", bucket).put(one.name, one.source, one.sha256)
    assert "ca_file" in found.value.hint
    target = S3Target("cloud", replace(bucket, ca_file=certificate))
    assert target.put(one.name, one.source, one.sha256).is_new
    assert (server.data / one.name).read_bytes() == one.source.read_bytes()


@pytest.mark.contract("B9")
def test_the_command_copies_to_a_server_with_a_certificate_of_its_own(site, tls):
    server, certificate = tls
    (site.home / "korrigo-backup.toml").write_text(
        f'[targets.cloud]\nurl = "s3://{server.bucket}/{site.database}"\nendpoint = "{server.endpoint}"\n'
        f'ca_file = "{certificate}"\nseal = false\n'
    )
    (site.home / "korrigo-backup.env").write_text("".join(f"{k}={v}\n" for k, v in server.env.items()))
    site.backup()
    assert "✅ cloud: 1 copied" in site.korrigo("copy").out
    site.korrigo("verify", "--on", "cloud")


@pytest.mark.parametrize("together", [False, True])
def test_a_limit_is_kept_over_ssh(ssh, tmp_path, together):
    at = SshPlace(host="127.0.0.1", root=f"{ssh.data}/{tmp_path.name}", user=getuser(), port=ssh.port, words=ssh.words)
    target, one = SshTarget("nas", at, limit=1_000), source(tmp_path, 4 * MEGABYTE)
    began = time.monotonic()
    if together:
        target.put_many([one])
    else:
        target.put(one.name, one.source, one.sha256)
    assert time.monotonic() - began > 2.5


def test_a_limit_is_kept_by_rclone(tmp_path):
    target = RcloneTarget("drive", f"{tmp_path}/there", (str(RCLONE),), limit=1_000)
    one = source(tmp_path, 4 * MEGABYTE)
    began = time.monotonic()
    assert target.put(one.name, one.source, one.sha256).is_new
    assert time.monotonic() - began > 2.5


def test_a_limit_that_duplicity_would_not_keep_is_refused(site):
    (site.home / "korrigo-backup.toml").write_text(
        '[targets.vault]\nkind = "duplicity"\nurl = "file:///nowhere"\nseal = false\nlimit = 100\n'
    )
    site.backup()
    assert "duplicity keeps none" in site.korrigo("copy", code=2).err


def test_a_limit_slows_a_copy_of_the_command(site, ssh):
    words = json.dumps(list(ssh.words))
    root = f"{ssh.data}/{site.database}-limit"
    (site.home / "korrigo-backup.toml").write_text(
        f'[targets.nas]\nurl = "ssh://{getuser()}@127.0.0.1:{ssh.port}{root}"\nssh = {words}\nseal = false\n'
        "limit = 1000\n"
    )
    site.write("large.bin", os.urandom(4 * MEGABYTE))
    site.korrigo("backup", "media")
    began = time.monotonic()
    site.korrigo("copy")
    assert time.monotonic() - began > 2.5
