"""Writes the rows of the reference site in batches, and empties its tables."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.core.management.color import no_style
from django.db import connection
from django.db.models import Model

from exams.models import Annotation, Booklet, Copy, Exam, GradingEvent, Note, Profile, Student
from exams.seeding import marking, people, traces
from exams.seeding.plan import Size

BATCH = 2000  # rows in memory at a time
GROUPS = ("Teachers", "Admins", "Correctors")  # in the order of the migration that makes them
NUMBERED = (User, Profile, Student, Booklet, GradingEvent, Note, LogEntry)


def fill(size: Size) -> int:
    """Write all rows into an empty site and set the sequences behind them; return how many there are."""
    for name in GROUPS:
        Group.objects.get_or_create(name=name)
    with rare_garbage_collection():
        written = sum(write(model, rows) for model, rows in tables(size))
    marking.finish_exams(size)
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), NUMBERED):
            cursor.execute(statement)
    return len(GROUPS) + written


def tables(size: Size) -> list[tuple[type[Model], Iterable[Model]]]:
    """Return the tables in an order that the foreign keys allow, each with its rows to come."""
    return [
        (User, people.users(size)),
        (Profile, people.profiles(size)),
        (Group.permissions.through, people.group_permissions()),
        (User.groups.through, people.memberships()),
        (User.user_permissions.through, people.user_permissions()),
        (Student, people.students(size)),
        (Exam, marking.exams(size)),
        (Exam.teachers.through, marking.teachings(size)),
        (Copy, marking.copies(size)),
        (Booklet, marking.booklets(size)),
        (Annotation, marking.annotations(size)),
        (GradingEvent, marking.events(size)),
        (Note, traces.notes(size)),
        (Session, traces.sessions(size)),
        (LogEntry, traces.log_entries(size)),
    ]


def write(model: type[Model], rows: Iterable[Model]) -> int:
    """Insert the rows of one table, a batch at a time and without signals; return how many."""
    remaining, written = iter(rows), 0
    while batch := list(islice(remaining, BATCH)):
        model._base_manager.bulk_create(batch)  # noqa: SLF001 - the default manager may hide rows
        written += len(batch)
    return written


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Look for cycles less often: rows have none, and the search takes a third of the time on Django 4.2."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def is_empty() -> bool:
    """Say whether the site holds neither exams nor users."""
    return not Exam.everything.exists() and not User.objects.exists()


def remove_rows() -> None:
    """Empty the tables that the seed fills and start their sequences again."""
    exams = apps.get_app_config("exams").get_models(include_auto_created=True)
    links = (Group.permissions.through, User.groups.through, User.user_permissions.through)
    names = [model._meta.db_table for model in (*exams, *links, Session, LogEntry, User, Group)]  # noqa: SLF001
    statements = connection.ops.sql_flush(no_style(), names, reset_sequences=True)
    connection.ops.execute_sql_flush(statements)
