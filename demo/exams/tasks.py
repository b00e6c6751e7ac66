"""What the site does in the background: the writers that go on while nobody looks."""

import time
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from exams.models import Copy, GradingEvent
from korrigo_demo.celery import app


@app.task
def grade_slowly(seconds: float) -> str | None:
    """Mark the next copy: lock it, take the time, then write the mark. Return the copy's number, or None without one.

    The lock is committed first: a worker that is killed on the way leaves an event `lock` without its `finalize`.
    """
    copy, marker = _copy_and_marker()
    if copy is None or marker is None:
        return None
    task = {"task": grade_slowly.request.id}
    _record(copy, marker, GradingEvent.Action.LOCK, task)
    time.sleep(seconds)
    with transaction.atomic():
        Copy.objects.filter(pk=copy.pk).update(status=Copy.Status.GRADED, score=12)
        _record(copy, marker, GradingEvent.Action.FINALIZE, task)
    return copy.anonymous_id


@app.task
def write_audit() -> int | None:
    """Add a line to the audit log and return its number, or None on an empty site. The scheduler asks for it."""
    copy, marker = _copy_and_marker()
    if copy is None or marker is None:
        return None
    return _record(copy, marker, GradingEvent.Action.EXPORT, {"by": "scheduler"}).pk


def _copy_and_marker() -> tuple[Copy | None, User | None]:
    return Copy.objects.order_by("-status", "pk").first(), User.objects.order_by("pk").first()


def _record(copy: Copy, actor: User, action: Any, metadata: dict[str, str]) -> GradingEvent:
    return GradingEvent.objects.create(copy=copy, actor=actor, action=action, metadata=metadata)
