"""The output of the watched migrate, read: each migration with its seconds, its locks, and the tables written anew."""

import json

import pytest

from korrigo_backup.core.finding import Level
from korrigo_backup.drill.migrations import Migration, TableLock, failed, judge, migrations_in, planned_in
from korrigo_backup.drill.watched_migrate import MARK


def line(**document):
    return f"\n{MARK}{json.dumps(document)}\n"


BEGUN = line(name="exams.0003_more")
ENDED = line(
    name="exams.0003_more",
    seconds=2.5,
    locks=[
        {"table": "public.copy", "mode": "AccessShareLock"},
        {"table": "public.copy", "mode": "AccessExclusiveLock"},
        {"table": "public.copy", "mode": "ShareLock"},
        {"table": "public.exam", "mode": "RowExclusiveLock"},
    ],
    rewritten=["public.copy"],
)


def test_each_applied_migration_has_its_seconds_and_the_strongest_lock_of_each_table():
    (one,) = migrations_in(f"Running migrations:{BEGUN}  Applying exams.0003_more...{ENDED} OK")
    assert (one.name, one.seconds, one.rewritten) == ("exams.0003_more", 2.5, ("public.copy",))
    assert one.locks == (
        TableLock("public.copy", "AccessExclusiveLock"),
        TableLock("public.exam", "RowExclusiveLock"),
    )
    assert [lock.stops for lock in one.blocking] == ["reads and writes"]


def test_a_migration_that_was_killed_has_its_name_alone():
    assert migrations_in(ENDED + line(name="exams.0004_last"))[-1] == Migration("exams.0004_last")


@pytest.mark.parametrize("length", range(1, len(ENDED)))
def test_a_line_that_was_cut_by_a_kill_is_left_out(length):
    found = migrations_in(BEGUN + ENDED[:length])
    assert [one.name for one in found] == ["exams.0003_more"]


@pytest.mark.parametrize(("seconds", "level"), [(2.5, Level.WARNING), (0.5, Level.OK)])
def test_locks_are_a_warning_when_visitors_would_notice_them(seconds, level):
    lock = TableLock("public.copy", "ShareLock")
    (found,) = [one for one in judge([Migration("a.1", seconds, (lock,))]) if one.id == "rehearse.locks"]
    assert found.level is level
    assert ("a.1 for up to 2.5 s: public.copy against writes" in found.message) is (level is Level.WARNING)


def test_locks_that_let_rows_be_read_and_written_are_no_warning():
    lock = TableLock("public.copy", "ShareUpdateExclusiveLock")
    assert {one.level for one in judge([Migration("a.1", 60.0, (lock,))])} == {Level.OK}


def test_migrations_of_an_entry_point_are_counted_and_named_as_unwatched():
    found = {one.id: one for one in judge([], ["exams.0003_more"])}
    assert found["rehearse.migrations"].message == "1 migration applied"
    assert found["rehearse.unwatched"].level is Level.WARNING
    assert "exams.0003_more" in found["rehearse.unwatched"].message


def test_the_planned_migrations_are_those_with_a_line_of_their_own():
    plan = "Planned operations:\nexams.0003_more\n    Raw SQL operation -> ['ALTER TABLE exams.x']\nauth.0013_x\n"
    assert planned_in(plan) == ("exams.0003_more", "auth.0013_x")


def test_a_failure_names_the_migration_and_the_error():
    error = "Traceback\ndjango.db.utils.IntegrityError: no unique index\nDETAIL:  Key (status)=(new)\n"
    found = failed("migrate", error, [Migration("exams.0003_more")])
    assert "fails in exams.0003_more: django.db.utils.IntegrityError: no unique index" in found.message
