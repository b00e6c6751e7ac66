"""The emergency rebuild: from the newest backup that is good, from fixtures, or empty; the old database stays."""

import sys

import pytest

MANAGE = """
import os, sys, psycopg
print(sys.argv[1:])
with psycopg.connect(host=os.environ["POSTGRES_HOST"], user=os.environ["POSTGRES_USER"], dbname=os.environ["POSTGRES_DB"],
                     password=os.environ["POSTGRES_PASSWORD"], autocommit=True) as db:
    if sys.argv[1] == "migrate":
        db.execute("CREATE TABLE exam (id int, name text)")
    else:
        db.execute("INSERT INTO exam VALUES (1, %s)", [open(sys.argv[2]).read()])
"""


@pytest.fixture
def managed(site):
    """A site with a manage.py: a program that makes a table, and loads a fixture into it."""
    (site.home / "manage.py").write_text(MANAGE)
    (site.home / "korrigo-backup.toml").write_text(f'[django]\nmanage = ["{sys.executable}", "manage.py"]\n')
    return site


@pytest.mark.contract("R7")
def test_a_rebuild_restores_the_newest_good_backup_and_names_the_newer_damaged_backup(site):
    saved = site.content()
    good = site.backup()
    bad = site.backup()
    bad.write_bytes(bad.read_bytes()[:-20])
    site.wreck()
    wrecked = site.content()
    done = site.korrigo("rebuild", "--yes", "--no-safety-backup")
    assert f"❌ {bad.name}: " in done.out
    assert f"✅ {good.name}" in done.out
    assert site.content() == saved
    site.korrigo("rollback", "--yes")
    assert site.content() == wrecked


@pytest.mark.contract("R7")
def test_a_rebuild_prefers_an_older_routine_backup_to_a_safety_backup(site):
    """A safety backup is newer than the backup that was restored, and may hold the damage."""
    saved = site.content()
    good = site.backup()
    site.wreck()
    site.korrigo("restore", good.name, "--yes")
    safety = site.one("pre_restore_safety_backup_*.sql.gz")
    site.wreck()
    assert f"✅ {good.name}\n" in site.korrigo("rebuild", "--yes", "--no-safety-backup").out
    assert site.content() == saved
    for path in site.backups.glob("db_backup_2*"):
        path.unlink()
    assert f"✅ {safety.name}\n" in site.korrigo("rebuild", "--yes", "--no-safety-backup").out


@pytest.mark.contract("R7")
def test_a_rebuild_without_a_good_backup_is_refused_and_names_the_empty_option(site):
    made = site.backup()
    made.write_bytes(made.read_bytes()[:-20])
    before = site.content()
    assert "rebuild --empty" in site.korrigo("rebuild", "--yes", code=6).err
    assert site.content() == before


@pytest.mark.contract("R7")
def test_a_database_that_cannot_be_read_is_no_obstacle_and_is_kept(site):
    """Its catalogue has lost a column, as after a bad disk and a pg_resetwal."""
    saved = site.content()
    site.backup()
    damage = (
        "SET allow_system_table_mods = on; DELETE FROM pg_attribute WHERE attrelid = 'copy'::regclass AND attnum = 3"
    )
    site.sql(damage, superuser=True)
    done = site.korrigo("rebuild", "--yes", "--no-safety-backup")
    assert "cannot be read to its end" in done.out
    assert site.content() == saved
    assert site.previous_databases()


@pytest.mark.contract("R7")
def test_an_empty_rebuild_keeps_the_old_database_and_prints_the_migrate_command(site):
    before = site.content()
    done = site.korrigo("rebuild", "--empty", "--yes", code=3)
    assert "python manage.py migrate" in done.err
    assert site.rows() == {}
    (previous,) = site.previous_databases()
    assert previous in done.err
    site.korrigo("rollback", "--yes")
    assert site.content() == before


@pytest.mark.contract("R7")
def test_a_rebuild_runs_the_sites_migrations_and_loads_the_fixtures_that_are_named(managed):
    (managed.home / "initial_data.json").write_text("from the fixture")
    done = managed.korrigo("rebuild", "--from", "initial_data.json", "--yes")
    assert managed.sql("SELECT name FROM exam") == [("from the fixture",)]
    assert f"the replaced data is kept as {managed.previous_databases()[0]}" in done.out


@pytest.mark.promise("P2")
def test_a_migration_that_fails_brings_the_old_database_back(managed):
    before = managed.content()
    (managed.home / "broken.json").write_bytes(b"\xff\xfe")
    done = managed.korrigo("rebuild", "--from", "broken.json", "--yes", code=1)
    assert "loaddata" in done.err
    assert "rolled back: the site is as it was before" in done.err
    assert managed.content() == before
    assert managed.previous_databases() == []


def test_a_rebuild_from_a_missing_fixture_is_refused_before_any_change(managed):
    assert "there is no fixture" in managed.korrigo("rebuild", "--from", "nowhere.json", "--yes", code=6).err
    assert managed.previous_databases() == []


@pytest.mark.contract("R7")
@pytest.mark.parametrize(
    "arguments", [("--empty", "--from", "latest"), ("--from", "a.json", "--from", "latest")], ids=" ".join
)
def test_two_ways_at_once_are_refused(site, arguments):
    assert "exclude each other" in site.korrigo("rebuild", *arguments, code=2).err


def test_any_other_answer_than_yes_leaves_everything(site):
    before = site.content()
    site.korrigo("rebuild", "--empty", code=5, stdin="y\n")
    assert site.content() == before
    assert site.previous_databases() == []
