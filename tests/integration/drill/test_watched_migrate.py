"""Migrations watched in the site's own Django: their locks, the tables written anew, the migration that fails."""

import pytest

from demosite import MANAGE
from korrigo_backup.cli.rehearse import _print
from korrigo_backup.drill.migrations import TableLock, migrations_in, program
from korrigo_backup.drill.rehearse import Rehearsal

MIGRATION = """
import time
from django.db import migrations, models
class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [{before}]
    operations = [{operations}]
"""


def sql(text):
    return f"migrations.RunSQL({text!r})"


@pytest.fixture
def migrated(demo):
    """Return a function that gives the site migrations, as lists of operations, and applies them watched."""

    def apply(*migrations, atomic=True, code=0):
        home = demo.home / "more" / "migrations"
        home.mkdir(parents=True)
        for directory in (home, home.parent):
            (directory / "__init__.py").touch()
        before = '("exams", "0002_groups")'
        for number, operations in enumerate(migrations, 1):
            name = f"{number:04}_more"
            text = MIGRATION.format(atomic=atomic, before=before, operations=", ".join(operations))
            (home / f"{name}.py").write_text(text)
            before = f'("more", "{name}")'
        demo.settings("INSTALLED_APPS = [*INSTALLED_APPS, 'more']")
        done = demo.run([*MANAGE.split(), "shell", "-c", program()], code=code, traceback=bool(code))
        return migrations_in(done.out), done

    return apply


@pytest.mark.contract("X2")
def test_each_migration_has_its_own_locks_and_tables(migrated):
    found, done = migrated(
        [sql("CREATE TABLE fresh (id int)"), sql("ALTER TABLE exams_annotation ADD COLUMN t uuid DEFAULT gen_random_uuid()")],
        [sql("CREATE INDEX late ON exams_copy (status)"), sql("ALTER TABLE fresh ADD COLUMN t text")],
        [sql("UPDATE exams_exam SET archived = NOT archived")],
        [sql("ALTER TABLE exams_note RENAME TO exams_remark"), sql("DROP TABLE fresh")],
    )  # fmt: skip
    assert "Applying more.0001_more" in done.out
    assert [one.name for one in found] == [f"more.{number:04}_more" for number in range(1, 5)]
    assert all(one.seconds is not None for one in found)
    first, second, third, fourth = found
    assert first.rewritten == ("public.exams_annotation",)
    assert first.blocking == (TableLock("public.exams_annotation", "AccessExclusiveLock"),)
    assert {(one.table, one.mode) for one in second.blocking} == {
        ("public.exams_copy", "ShareLock"), ("public.fresh", "AccessExclusiveLock"),
    }  # fmt: skip
    assert third.blocking == ()
    assert TableLock("public.exams_exam", "RowExclusiveLock") in third.locks
    assert {one.table for one in fourth.blocking} >= {"public.exams_note", "public.fresh"}
    assert second.rewritten == third.rewritten == fourth.rewritten == ()


@pytest.mark.contract("X2")
def test_a_migration_that_fails_ends_it_with_the_locks_that_it_had(migrated, demo):
    found, done = migrated(
        [sql("ALTER TABLE exams_note ADD COLUMN t int"), sql("CREATE UNIQUE INDEX one ON exams_copy (status)")],
        [sql("SELECT 1")],
        code=1,
    )
    (failed,) = found
    assert failed.seconds is None
    assert TableLock("public.exams_note", "AccessExclusiveLock") in failed.locks
    assert "could not create unique index" in done.err
    assert demo.sql("SELECT count(*) FROM information_schema.columns WHERE column_name = 't'") == [(0,)]


@pytest.mark.contract("X2")
def test_locks_of_a_migration_that_is_not_atomic_are_seen_while_it_has_them(migrated):
    waits = "DO $$ BEGIN ALTER TABLE exams_note ADD COLUMN t int; PERFORM pg_sleep(0.3); END $$"
    (found,), _ = migrated([sql(waits)], atomic=False)
    assert TableLock("public.exams_note", "AccessExclusiveLock") in found.locks


@pytest.mark.contract("X2")
def test_a_person_reads_which_tables_stand_still(migrated, capsys):
    found, _ = migrated([sql("ALTER TABLE exams_annotation ADD COLUMN t uuid DEFAULT gen_random_uuid()")])
    _print(Rehearsal(("more.0001_more",), found))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "📋 1 migration planned"
    assert lines[1].startswith("   more.0001_more  0.")
    assert lines[2] == "      public.exams_annotation  AccessExclusiveLock: no reads and writes, written anew"
