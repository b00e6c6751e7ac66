"""The emergency rebuild: from the newest backup that is good, from fixtures, or empty; the old database stays."""

import subprocess
import sys

import pytest

from korrigo_backup.catalog import local_now
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.operations.rebuild import Rebuild, rebuild

MANAGE = """
import os, sys, psycopg
with psycopg.connect(os.environ["DSN"], autocommit=True) as db:
    if sys.argv[1] == "migrate":
        db.execute("CREATE TABLE exam (id int, name text)")
    else:
        db.execute("INSERT INTO exam VALUES (1, %s)", [open(sys.argv[2]).read()])
"""


def managed(site):
    """A manage.py of its own: a program that makes a table, and loads a fixture into it."""
    (site.home / "manage.py").write_text(MANAGE)
    access = site.server.access()
    dsn = f"host={access.host} user={site.env['POSTGRES_USER']} password={site.env['POSTGRES_PASSWORD']} dbname={site.database}"

    def manage(command):
        argv = [sys.executable, str(site.home / "manage.py"), *command]
        done = subprocess.run(argv, env={"DSN": dsn}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise KorrigoBackupError(done.stderr.splitlines()[-1], hint="see manage.py")

    return manage


def anew(site, *, manage, fixtures=()):
    wired = site.wired()
    return rebuild(wired.site(), wired.catalog, Rebuild(local_now(), lambda _: True, fixtures, manage))


@pytest.mark.contract("R7")
def test_a_rebuild_takes_the_newest_backup_that_is_good_and_says_why_not_the_newer_one(site):
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
def test_without_a_good_backup_a_rebuild_changes_nothing_and_names_the_way_on(site):
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
    assert site.kept()


@pytest.mark.contract("R7")
def test_an_empty_rebuild_keeps_the_old_database_and_prints_what_makes_its_tables(site):
    before = site.content()
    done = site.korrigo("rebuild", "--empty", "--yes", code=3)
    assert "python manage.py migrate" in done.err
    assert site.rows() == {}
    (kept,) = site.kept()
    assert kept in done.err
    site.korrigo("rollback", "--yes")
    assert site.content() == before


@pytest.mark.contract("R7")
def test_a_rebuild_runs_the_sites_migrations_and_loads_the_fixtures_that_are_named(site):
    fixture = site.home / "initial_data.json"
    fixture.write_text("from the fixture")
    plan = anew(site, manage=managed(site), fixtures=(fixture,))
    assert site.sql("SELECT name FROM exam") == [("from the fixture",)]
    assert plan.kept_as in site.kept()


@pytest.mark.promise("P2")
def test_a_migration_that_fails_brings_the_old_database_back(site):
    before = site.content()
    (site.home / "broken.json").write_bytes(b"\xff\xfe")
    with pytest.raises(KorrigoBackupError) as caught:
        anew(site, manage=managed(site), fixtures=(site.home / "broken.json",))
    assert caught.value.state == "rolled back: the site is as it was before"
    assert site.content() == before
    assert site.kept() == []


@pytest.mark.contract("R7")
@pytest.mark.parametrize(
    "arguments", [("--empty", "--from", "latest"), ("--from", "a.json", "--from", "latest")], ids=" ".join
)
def test_two_ways_at_once_are_refused(site, arguments):
    assert "in one way" in site.korrigo("rebuild", *arguments, code=2).err


def test_any_other_answer_than_yes_leaves_everything(site):
    before = site.content()
    site.korrigo("rebuild", "--empty", code=5, stdin="y\n")
    assert site.content() == before
    assert site.kept() == []
