"""The Celery application of the reference site: a worker that marks copies, a scheduler that writes the audit log.

Needed by the stack only (infra/docker/backend/requirements.txt): nothing else of the site imports Celery.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import after_task_publish, beat_init, heartbeat_sent, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "korrigo_demo.settings")

ALIVE = Path(tempfile.gettempdir()) / "celery-alive"
"""Touched while worker or scheduler are at work; the stack's health checks look at its age."""

app = Celery("korrigo_demo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["exams"])


@worker_ready.connect
@heartbeat_sent.connect
@beat_init.connect
def touch(**_signal: Any) -> None:
    """Say that this process is alive."""
    ALIVE.touch()


@beat_init.connect
def follow_the_scheduler(**_signal: Any) -> None:
    """Let the scheduler say so with each task that it sends; other processes send tasks too, and must not."""
    after_task_publish.connect(touch)
