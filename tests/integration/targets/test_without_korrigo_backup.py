"""The commands of docs/how-to/without-korrigo-backup.md read real backups and copies where this program is not."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from sandbox import PROJECT, tree
from targetservers import RCLONE
from targetsite import cloud, configure

PAGE = PROJECT / "docs" / "how-to" / "without-korrigo-backup.md"
AWS = shutil.which("aws") or shutil.which("aws", path=str(Path(sys.executable).parent))
GOLDEN = PROJECT / "tests" / "golden" / "format-1" / "korrigo_backup_20261125_024539"
STORED = "[media]\nstore = true"


def commands(title):
    """The commands of a section of the page, as a script."""
    section = PAGE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return re.sub(r"^\$ ", "", "".join(blocks), flags=re.MULTILINE)


class Stranger:
    """A machine with the tools of the page, and without this program."""

    def __init__(self, site, home):
        self.site, self.home, self.names = site, home, {}
        tools = home.parent / "tools"
        tools.mkdir()
        for name, program in {"rclone": RCLONE, "aws": AWS}.items():
            if program:
                (tools / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
                (tools / name).chmod(0o700)
        access = site.server.access()
        self.env = {
            "PATH": f"{tools}:{access.client_dir}:/usr/bin:/bin",
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PGHOST": access.host,
            "PGPORT": str(access.port),
            "PGUSER": site.user,
            "PGPASSWORD": site.env["POSTGRES_PASSWORD"],
        }
        assert shutil.which("korrigo-backup", path=self.env["PATH"]) is None
        self.run("if python3 -c 'import korrigo_backup' 2> /dev/null; then exit 1; fi", cwd=tools)

    def run(self, script, *, cwd=None):
        for name, own in self.names.items():
            script = script.replace(name, own)
        done = subprocess.run(
            ["sh", "-euc", script], cwd=cwd or self.home, env=self.env, capture_output=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{script}\n{done.stdout.decode()}\n{done.stderr.decode()}"
        return done.stdout.decode()


@pytest.fixture
def key(tmp_path):
    made = pyrage.x25519.Identity.generate()
    path = tmp_path / "korrigo.key"
    path.write_text(f"{made}\n")
    return path, str(made.to_public())


@pytest.fixture
def odd(site):
    """A site whose media have odd names, links and modes."""
    for number, name in enumerate(
        (b" ends in a space ", b"back\\slash\\n", b"line\nfeed", b"latin-1 \xe9", b"*'\"$(id)")
    ):
        path = os.path.join(os.fsencode(site.media), b"odd", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(b"content %d" % number)
        os.utime(path, ns=(1, 1_700_000_000_123_456_789 + number))
    os.link(site.media / "pages/p1.jpg", site.media / "pages/same.jpg")
    (site.media / "pages/link.jpg").symlink_to("p1.jpg")
    (site.media / "pages/p1.jpg").chmod(0o4750)
    (site.media / "read only").mkdir()
    (site.media / "read only" / "file").write_bytes(b"in a directory that is read only")
    (site.media / "read only").chmod(0o555)
    os.utime(site.media / "read only", ns=(1, 1_600_000_000_000_000_001))
    return site


def whole(root):
    """The tree with the times of directories."""
    times = {str(path.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_dir()}
    return tree(root), times, os.path.samefile(root / "pages/p1.jpg", root / "pages/same.jpg")


def example(site, stranger):
    """Let the names of the page stand for the backups of a site."""
    stranger.names = {
        "db_backup_20260204_030000.sql.gz": site.one("db_backup_*.sql.gz").name,
        "media_backup_20260204_030000.tar.gz": site.one("media_backup_*.tar.gz").name,
        "media_backup_20260204_030000.files.gz": site.one("media_backup_*.files.gz").name,
        "korrigo_backup_20260204_040000": GOLDEN.name,
        "backup_20260204_040000": GOLDEN.name.removeprefix("korrigo_"),
        "viatique_rescue": f"{site.database}_rescue",
    }


@pytest.mark.promise("P9")
def test_a_backup_directory_is_read_by_the_commands_of_the_page(odd, tmp_path):
    site = odd
    site.backup()
    site.backup_media()
    configure(site, STORED)
    site.backup_media()
    shutil.copytree(GOLDEN, site.backups / GOLDEN.name)
    rescue = tmp_path / "rescue"
    shutil.copytree(site.backups, rescue, symlinks=True)
    shutil.copy(site.home / ".config/korrigo-backup/key", rescue / "key")
    stranger = Stranger(site, rescue)
    example(site, stranger)

    assert stranger.run(commands("Is it whole")).endswith(": OK\n")
    assert '"hmac": "' in stranger.run(commands("Is it authentic"))
    stranger.run(commands("The database"))
    assert site.rows(f"{site.database}_rescue") == site.rows()
    assert site.schema(f"{site.database}_rescue") == site.schema()
    stranger.run(commands("A media archive"))
    (unpacked,) = (path.parent for path in (rescue / "unpacked").rglob("pages") if path.is_dir())
    assert whole(unpacked) == whole(site.media)
    stranger.run(commands("A listing of the media store"))
    assert whole(rescue / "tree") == whole(site.media)
    stranger.run(commands("A Django backup"))


def test_the_commands_of_the_page_find_damage_and_forgery(site, tmp_path):
    site.backup()
    dump = site.one("db_backup_*.sql.gz")
    rescue = tmp_path / "rescue"
    shutil.copytree(site.backups, rescue, symlinks=True)
    shutil.copy(site.home / ".config/korrigo-backup/key", rescue / "key")
    stranger = Stranger(site, rescue)
    stranger.names = {"db_backup_20260204_030000.sql.gz": dump.name}
    manifest = rescue / f"{dump.name}.manifest.json"
    manifest.write_text(manifest.read_text().replace("production", "staging"))
    content = bytearray((rescue / dump.name).read_bytes())
    content[100] ^= 1
    (rescue / dump.name).write_bytes(content)
    for title in ("Is it whole", "Is it authentic"):
        with pytest.raises(AssertionError):
            stranger.run(commands(title))


@pytest.mark.contract("B9")
@pytest.mark.parametrize("tool", ["aws", "rclone", "rsync"])
def test_a_sealed_copy_is_fetched_and_opened_by_the_commands_of_the_page(odd, s3, ssh, key, tmp_path, tool):
    site, (private, public) = odd, key
    if not shutil.which("age", path="/usr/bin:/bin"):
        pytest.skip("needs age: apt-get install age")
    if tool == "aws" and not AWS:
        pytest.skip("needs the AWS command line: pip install awscli")
    words = str(list(ssh.words)).replace("'", '"')
    nas = f'[targets.nas]\nurl = "ssh://root@127.0.0.1:{ssh.port}{ssh.data}/{site.database}"\nssh = {words}'
    kit = f'[kit]\nrecipients = ["{public}"]'
    configure(site, kit, cloud(site, s3), nas, s3=s3)
    site.backup()
    site.backup_media()
    configure(site, kit, STORED, cloud(site, s3), nas, s3=s3)
    listing = site.backup_media()
    site.korrigo("kit", "make")
    site.korrigo("copy", "--to", "nas" if tool == "rsync" else "cloud")
    (identity,) = (path.name for path in ((ssh.data if tool == "rsync" else s3.data) / site.database).iterdir())

    rescue = tmp_path / "rescue"
    rescue.mkdir()
    shutil.copy(private, rescue / "korrigo.key")
    stranger = Stranger(site, rescue)
    example(site, stranger)
    stranger.names |= {
        "recovery_kit_20260204_030000.tar": site.one("recovery_kit_*.age").name.removesuffix(".age"),
        "korrigo-backups/database/SITE": f"{s3.bucket}/{site.database}/{identity}",
        "backup@backup-server:/backups/korrigo/SITE": f"root@127.0.0.1:{ssh.data}/{site.database}/{identity}",
    }
    stranger.env |= s3.env | {
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "RSYNC_RSH": shlex.join((*ssh.words, "-p", str(ssh.port))),
        "RCLONE_CONFIG_CLOUD_TYPE": "s3",
        "RCLONE_CONFIG_CLOUD_PROVIDER": "Other",
        "RCLONE_CONFIG_CLOUD_ENV_AUTH": "true",
        "RCLONE_CONFIG_CLOUD_ENDPOINT": s3.endpoint,
    }
    stranger.run(commands("Is it whole").split("END\n$")[0].split("python3 sums.py")[0])
    ways, proof = commands("A copy on another place").split("cd copy\n")
    (way,) = (line for line in ways.splitlines() if line.startswith(tool))
    stranger.run(way)
    stranger.run(f"cd copy\n{proof}")
    stranger.run(commands("Open a sealed copy"))

    copy = rescue / "copy"
    for name in site.published() - {"db_backup_latest.sql.gz", "media-store"}:
        if not name.startswith("recovery_kit_"):
            assert (copy / name).read_bytes() == (site.backups / name).read_bytes()
    here = {path.name: path.read_bytes() for path in (site.backups / "media-store").glob("??/*")}
    assert {name: (copy / "media-store" / name[:2] / name).read_bytes() for name in here} == here
    assert {path.name: path.read_bytes() for path in (rescue / "opened").iterdir()} == here
    signing = site.home / ".config/korrigo-backup/key"
    assert (rescue / "kit/key/key").read_bytes() == signing.read_bytes()
    shutil.copy(rescue / "kit/key/key", copy / "key")
    stranger.run(commands("Is it whole") + commands("Is it authentic"), cwd=copy)
    stranger.run(commands("A listing of the media store"), cwd=copy)
    assert whole(copy / "tree") == whole(site.media)
    assert listing.name in os.listdir(copy)
