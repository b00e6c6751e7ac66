"""Build what the status needs from the configuration; apart from the rest, so that only verbs that look pay for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.domain.naming import Kind
from korrigo_backup.domain.status import Goals
from korrigo_backup.operations.status import About
from korrigo_backup.operations.status import status as status_of
from korrigo_backup.wiring import STOPPED_FILE

if TYPE_CHECKING:
    from datetime import datetime

    from korrigo_backup.domain.status import Status
    from korrigo_backup.wiring import Wired


def goals(wired: Wired) -> Goals:
    """Return what the site wants of its backups."""
    wanted = wired.config.status
    return Goals(
        rpo_hours=wanted.rpo_hours,
        media_rpo_hours=wanted.media_rpo_hours,
        proof_days=wanted.proof_days,
        keep_days={Kind.SQL: wired.config.backup.retention_days},
        accepted=wanted.accept,
    )


def about(wired: Wired) -> About:
    """Return what the configuration says of the site, and the catalog cannot."""
    config = wired.config
    return About(
        site=config.site.name,
        environment=config.site.environment,
        media=config.media.root,
        stopped=config.backup.dir / STOPPED_FILE,
    )


def status(wired: Wired, *, now: datetime) -> Status:
    """Return how the site's backups stand; neither the database nor the services are needed."""
    return status_of(wired.catalog, goals(wired), about(wired), now=now)
