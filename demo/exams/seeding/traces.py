"""Rows that the daily use of the site leaves: notes, sessions and the admin's log."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session

from exams.models import Copy, Exam, Note, Student
from exams.seeding.people import ADMIN_ID, TEACHER_IDS
from exams.seeding.plan import Size, papers, sitting
from exams.seeding.vocabulary import REMARKS

SESSIONS = 5
LOG_ENTRIES = 12
TODAY = datetime(2026, 6, 30, 15, 4, 5, 678901, tzinfo=UTC)


def notes(size: Size) -> Iterator[Note]:
    """Yield notes on exams, students and every tenth copy."""
    rng = size.stream("notes")
    targets: list[tuple[Any, object]] = [(Exam, sitting(size, number).id) for number in range(size.exams)]
    targets += [(Student, pk) for pk in range(1, size.students + 1, 7)]
    targets += [(Copy, paper.id) for paper in islice(papers(size), 0, None, 10)]
    for pk, (model, key) in enumerate(targets, start=1):
        yield Note(
            id=pk,
            content_type=ContentType.objects.get_for_model(model),
            object_id=str(key),
            text=rng.choice(REMARKS[1:]),
            author_id=rng.choice(TEACHER_IDS),
        )


def sessions(size: Size) -> Iterator[Session]:
    """Yield sessions that nobody can use: their data is not signed, which would need the secret key."""
    rng = size.stream("sessions")
    for number in range(SESSIONS):
        data = base64.b64encode(rng.randbytes(120)).decode("ascii")
        yield Session(
            session_key=rng.randbytes(16).hex(), session_data=data, expire_date=TODAY + timedelta(days=number)
        )


def log_entries(size: Size) -> Iterator[LogEntry]:
    """Yield what the administrator did to the first exams."""
    kind = ContentType.objects.get_for_model(Exam)
    for pk in range(1, LOG_ENTRIES + 1):
        exam = sitting(size, pk % size.exams)
        yield LogEntry(
            id=pk,
            action_time=TODAY - timedelta(hours=pk, microseconds=pk),
            user_id=ADMIN_ID,
            content_type=kind,
            object_id=str(exam.id),
            object_repr=f"Épreuve n°{exam.number + 1}",
            action_flag=ADDITION if pk % 2 else CHANGE,
            change_message='[{"changed": {"fields": ["Coefficient"]}}]',
        )
