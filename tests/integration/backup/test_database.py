"""Backing up the database."""

import re
import stat
import subprocess
from datetime import datetime, timedelta

import pytest

from korrigo_backup.artifact import draft
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.signature import sign
from korrigo_backup.backup.backup import backup_database
from korrigo_backup.backup.media import backup_media
from korrigo_backup.backup.point import backup_full
from korrigo_backup.errors import ProofFailed
from sandbox import connect, quoted

LINES = r"""📦 Creating database backup: (?P<dir>\S+)/db_backup_(?P<stamp>\d{8}_\d{6})\.sql
✅ Backup created: (?P=dir)/db_backup_(?P=stamp)\.sql\.gz \((?P<size>[\d.]+[BKMG])\)
🧹 Cleaned 0 old backups \(>30 days\)
📋 Available backups:
-rw------- 1 \S+ \S+ (?P=size) \w{3} [ \d]\d \d\d:\d\d (?P=dir)/db_backup_(?P=stamp)\.sql\.gz
"""


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.contract("B1")
def test_the_script_prints_the_lines_of_the_runbook_and_makes_the_file_they_name(site):
    done = site.script("backup_db.sh", env={"BACKUP_DIR": "backups"})
    match = re.fullmatch(LINES, done.out)
    assert match, done.out
    assert match["dir"] == "backups"
    made = site.home / "backups" / f"db_backup_{match['stamp']}.sql.gz"
    assert made.is_file()
    assert abs(datetime.now() - datetime.strptime(match["stamp"], "%Y%m%d_%H%M%S")) < timedelta(minutes=2)


@pytest.mark.contract("B1")
@pytest.mark.contract("C3")
def test_zcat_and_psql_alone_bring_the_data_back(site):
    before = site.content()
    made = site.backup()
    other = f"{site.database}_zcat"
    with connect(site.server) as connection:
        connection.execute(f"CREATE DATABASE {quoted(other)} OWNER viatique_user")
    env = site.env | {"PGHOST": site.env["POSTGRES_HOST"], "PGUSER": "viatique_user"}
    env |= {"PGPASSWORD": site.env["POSTGRES_PASSWORD"]}
    command = f"zcat '{made}' | psql -v ON_ERROR_STOP=1 -q -d {other}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert site.content(other) == before


@pytest.mark.contract("B8")
@pytest.mark.promise("P7")
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_files_are_for_the_owner_alone_whatever_the_umask(site, umask):
    site.korrigo("backup", "db", umask=umask)
    site.korrigo("backup", "media", umask=umask)
    assert mode(site.backups) == 0o700
    found = [path for path in site.backups.iterdir() if not path.is_symlink()]
    assert len(found) == 8  # two archives, two manifests, a list of members, the lock, the journal, the site record
    assert {path.name: mode(path) for path in found} == {path.name: 0o600 for path in found}


@pytest.mark.contract("B13")
def test_latest_names_the_newest_good_backup(site):
    first = site.backup()
    link = site.backups / "db_backup_latest.sql.gz"
    assert link.is_symlink()
    assert link.resolve() == first.resolve()
    second = site.backup()
    assert link.resolve() == second.resolve()
    assert site.json("show", "latest")["path"] == str(second)
    assert site.json("show", link)["path"] == str(second)


@pytest.mark.contract("B13")
def test_a_failed_backup_leaves_latest_where_it_was(site):
    first = site.backup()
    site.korrigo("backup", "db", code=8, env={"POSTGRES_PASSWORD": "wrong"})
    assert (site.backups / "db_backup_latest.sql.gz").resolve() == first.resolve()


@pytest.mark.contract("T14")
def test_two_backups_in_one_second_are_two_files(site):
    names = [site.backup().name for _ in range(3)]
    assert len(set(names)) == 3


@pytest.mark.contract("T14")
def test_a_backup_of_the_second_in_which_a_publication_failed_has_another_name(site):
    wired, now = site.wired(), local_now()
    site.backups.mkdir(mode=0o700)
    failed = site.backups / f"media_backup_{now:%Y%m%d_%H%M%S}.tar.gz.manifest.json"
    failed.write_text("{}")
    made = backup_media(wired.site(), wired.catalog, now=now).artifact
    assert made.name == f"media_backup_{now:%Y%m%d_%H%M%S}_2.tar.gz"


@pytest.mark.promise("P4")
def test_a_backup_does_not_change_the_database_or_the_media(site):
    before = site.content(), site.databases(), site.tree()
    site.backup()
    site.backup_media()
    assert (site.content(), site.databases(), site.tree()) == before


def test_the_manifest_records_rows_and_a_digest_for_every_table(site):
    site.backup()
    manifest = site.json("show")["manifest"]
    tables = {table["name"]: table for table in manifest["database"]["tables"]}
    assert {name: table["rows"] for name, table in tables.items()} == {
        "public.exam": 20,
        "public.copy": 300,
        "public.annotation": 300,
        "public.nothing_yet": 0,
    }
    assert all(re.fullmatch("[0-9a-f]{32}", table["digest"]) for table in tables.values())
    assert {s["name"]: s["last_value"] for s in manifest["database"]["sequences"]} == {
        "public.exam_id_seq": 20,
        "public.annotation_id_seq": 300,
    }
    assert manifest["created"].endswith("Z")
    assert {"timestamp", "includes_media", "database_backup", "media_backup", "backup_dir"} <= set(manifest)


def test_digests_can_be_left_out(site):
    site.korrigo("backup", "db", "--no-digests")
    manifest = site.json("show")["manifest"]
    assert {table["digest"] for table in manifest["database"]["tables"]} == {None}
    assert site.json("list")["items"][0]["proof"] == "counts"


@pytest.mark.contract("K1")
def test_backups_older_than_the_days_set_are_removed_with_all_that_belongs_to_them(site):
    newest = site.backup()
    old = site.aged(newest, 8)
    young = site.aged(newest, 6)
    done = site.korrigo("backup", "db", env={"BACKUP_RETENTION_DAYS": "7"})
    assert "🧹 Cleaned 1 old backups (>7 days)" in done.out
    assert young.exists()
    assert not [name for name in site.published() if name.startswith(old.name)]


@pytest.mark.contract("C1")
def test_the_script_reads_dotenv_in_the_current_directory(site):
    (site.home / ".env").write_text("BACKUP_DIR=from-dotenv\n")
    site.script("backup_db.sh", env={"BACKUP_DIR": None})
    assert len(list((site.home / "from-dotenv").glob("db_backup_2*.sql.gz"))) == 1


@pytest.mark.promise("P1")
@pytest.mark.parametrize(
    "harm", [lambda raw: raw[:-20], lambda raw: raw.replace(b'"site"', b'"sita"')], ids=["cut", "altered"]
)
@pytest.mark.parametrize("make", [backup_database, backup_media, backup_full])
def test_a_backup_fails_if_the_catalog_cannot_read_its_manifest_again(site, monkeypatch, make, harm):
    monkeypatch.setattr(draft, "sign", lambda raw, key: harm(sign(raw, key)))
    wired = site.wired()
    with pytest.raises(ProofFailed, match="cannot be read again as a backup"):
        make(wired.site(), wired.catalog, now=local_now())
