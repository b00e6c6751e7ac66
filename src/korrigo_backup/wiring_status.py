"""Build what the status needs from the configuration; apart from the rest, so that only verbs that look pay for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from korrigo_backup.domain.status import Goals
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.operations.status import About, look
from korrigo_backup.operations.status import status as status_of
from korrigo_backup.wiring import STOPPED_FILE

if TYPE_CHECKING:
    from datetime import datetime

    from korrigo_backup.domain.status import Seen, Status
    from korrigo_backup.operations.schedule import Schedule
    from korrigo_backup.site.site import Site
    from korrigo_backup.wiring import Wired


def goals(wired: Wired) -> Goals:
    """Return what the site wants of its backups."""
    wanted = wired.config.status
    return Goals(
        rpo_hours=wanted.rpo_hours,
        media_rpo_hours=wanted.media_rpo_hours,
        proof_days=wanted.proof_days,
        policy=wired.policy(),
        accepted=wanted.accept,
    )


_HURRY = 3
"""Seconds for a connection: a look must not wait for a dead host as long as a restore does."""


def _hurried(wired: Wired) -> Site:
    """Return the live site, for one short question."""
    database = wired.config.database
    short = database.model_copy(update={"connect_timeout": min(_HURRY, database.connect_timeout)})
    return replace(wired, config=wired.config.model_copy(update={"database": short})).site()


def about(wired: Wired, *, now: datetime, ask: bool) -> About:
    """Return what the configuration says of the site, and the catalog cannot."""
    config = wired.config
    known = About(
        site=config.site.name,
        environment=config.site.environment,
        media=config.media.root,
        stopped=config.backup.dir / STOPPED_FILE,
        live=(lambda: _hurried(wired)) if ask else None,
    )
    try:
        return _with_schedule(known, wired.schedule(), now)
    except KorrigoBackupError:  # another user's, or hours that cannot be: `schedule show` says it
        return known


def _with_schedule(known: About, schedule: Schedule, now: datetime) -> About:
    there = schedule.there()
    return replace(
        known,
        next_run=min((run.at for run in schedule.next_runs(now)), default=None),
        scheduled=bool(there),
        schedule=tuple(finding for place in there for finding in place.findings()),
    )


def seen_of(wired: Wired, *, now: datetime, ask: bool) -> Seen:
    """Return what can be read of the site's backups, to be judged here or elsewhere."""
    return look(wired.catalog, about(wired, now=now, ask=ask), now=now)


def status(wired: Wired, *, now: datetime, ask: bool) -> Status:
    """Return how the site's backups stand.

    Neither the database nor the services are needed; with `ask`, the database is asked what restores have kept.
    """
    return status_of(wired.catalog, goals(wired), about(wired, now=now, ask=ask), now=now)
