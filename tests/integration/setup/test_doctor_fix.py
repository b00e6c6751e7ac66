"""`doctor --fix`: modes, the directory, leftovers of killed runs; no artifact and no live data changes."""

import os
import stat
import time

import pytest

from sandbox import connect, nothing_changes, quoted

STAGE = "stage_20260101_020304"


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def untidy(site):
    """A site with open modes, a draft of a dead run and a staged database."""
    made = site.backup()
    site.backups.chmod(0o755)
    made.chmod(0o644)
    (site.backups / ".partial-db_backup_20260101_020304.sql.gz").mkdir()
    with connect(site.server) as connection:
        connection.execute(f"CREATE DATABASE {quoted(f'{site.database}_{STAGE}')} OWNER {site.user}")
    return site


def test_doctor_names_what_fix_would_mend_and_changes_nothing(untidy):
    found = untidy.json("doctor")
    assert found["mendable"] == ["artifact.mode", "backup.mode", "recover.left"]
    assert found["mended"] == []
    left = [one["message"] for one in found["findings"] if one["id"] == "recover.left"]
    assert [".partial-" in left[0], STAGE in left[1]] == [True, True]
    assert "doctor --fix would mend: artifact.mode, backup.mode, recover.left" in untidy.korrigo("doctor").out
    assert mode(untidy.backups) == 0o755
    assert f"{untidy.database}_{STAGE}" in untidy.databases()


def test_fix_mends_says_each_repair_and_is_journaled(untidy):
    made = untidy.one("db_backup_*.sql.gz")
    content, rows, files = made.read_bytes(), untidy.content(), untidy.tree()
    began = time.monotonic()
    done = untidy.korrigo("doctor", "--fix")
    assert time.monotonic() - began < 5
    lines = [line for line in done.out.splitlines() if line.startswith("🔧")]
    assert len(lines) == 4
    assert f"dropped the unfinished database {untidy.database}_{STAGE}" in done.out
    assert "removed .partial-db_backup_20260101_020304.sql.gz, left by a run that was killed" in done.out
    assert (mode(untidy.backups), mode(made)) == (0o700, 0o600)
    assert [name for name in untidy.hidden() if name.startswith(".partial")] == []
    assert (made.read_bytes(), untidy.content(), untidy.tree()) == (content, rows, files)
    assert untidy.databases() == {untidy.database}
    assert untidy.json("doctor")["mendable"] == []
    record = untidy.journal()[-1]
    assert (record["verb"], record["subject"], record["outcome"]) == ("doctor", "fix", "done")
    assert [step["id"] for step in record["steps"]] == ["recovered", "mended", "mended", "mended"]


def test_fix_of_a_tidy_site_mends_nothing(site):
    site.backup()
    with nothing_changes(site):
        assert "Nothing to mend\n" in site.korrigo("doctor", "--fix").out


def test_fix_makes_a_missing_backup_directory_and_leaves_a_missing_media_directory(site):
    media = site.home / "media-elsewhere"
    done = site.korrigo("doctor", "--fix", code=10, env={"MEDIA_ROOT": str(media)})
    assert "made the backup directory" in done.out
    assert mode(site.backups) == 0o700
    assert not media.exists()


def test_a_key_that_others_may_read_is_made_private_first(site):
    site.backup()
    key = site.home / ".config" / "korrigo-backup" / "key"
    key.chmod(0o644)
    refused = site.korrigo("doctor", code=4).err
    assert "korrigo-backup doctor --fix (korrigo-backup explain key.open)" in refused
    assert "others may not read the key file" in site.korrigo("doctor", "--fix").out
    assert mode(key) == 0o600


def test_without_its_database_the_files_are_mended_all_the_same(untidy):
    done = untidy.korrigo("doctor", "--fix", code=10, env={"POSTGRES_PASSWORD": "wrong"})
    assert "not mended: cannot use database" in done.out
    assert mode(untidy.backups) == 0o700


def test_fix_waits_for_no_other_run(site):
    site.backup()
    wired = site.wired()
    with wired.catalog.exclusive("test"):
        assert "another run is at work" in site.korrigo("doctor", "--fix", code=7).err
