"""Status: collect all facts about a site's backups, and evaluate them. Reads only, and takes no lock.

It needs neither the database nor the services, so it works when they are down; a directory that is missing, foreign or
unreadable is a finding, not an error.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import UNSET, structs

from korrigo_backup.artifact.artifact import CatalogSurvey
from korrigo_backup.artifact.catalog import LOCK_FILE
from korrigo_backup.artifact.history import unfinished
from korrigo_backup.errors import KorrigoBackupError, UsageError
from korrigo_backup.retention import holds
from korrigo_backup.retention import previous_copies as kept
from korrigo_backup.run import journal
from korrigo_backup.status.attention import attention
from korrigo_backup.status.evaluate import describe
from korrigo_backup.status.model import Beside, Goals, Seen, Status
from korrigo_backup.system import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.run.record import Record
    from korrigo_backup.site.site import Site

_ELSEWHERE = timedelta(hours=12)
"""How long a run of another machine or container may be at work: its lock cannot be seen from here."""


@dataclass(frozen=True, kw_only=True)
class About:
    """Facts that only the caller knows: the site, the place of its media, and the next run of the schedule.

    `stopped` is the file that exists while the services are stopped; `live` returns the live site if its database may
    be asked for previous copies.
    """

    site: str | None = None
    environment: str | None = None
    media: Path | None = None
    stopped: Path | None = None
    next_run: datetime | None = None
    scheduled: bool | None = None
    schedule: Sequence[Finding] = ()
    live: Callable[[], Site] | None = None


def status(catalog: Catalog, goals: Goals, about: About, *, now: datetime) -> Status:
    """Return how the backups in the catalog's directory stand; faults found there do not raise."""
    return judged(look(catalog, about, now=now), goals, now=now)


def judged(seen: Seen, goals: Goals, *, now: datetime) -> Status:
    """Return the status of the facts, with the findings that need attention."""
    described = describe(seen, goals, now=now)
    return structs.replace(described, attention=attention(described, seen, goals))


def look(catalog: Catalog, about: About, *, now: datetime) -> Seen:
    """Return all that can be read of a site's backups."""
    directory = catalog.directory
    survey, unreadable = _survey(catalog)
    records = journal.read(directory)
    seen = Seen(
        directory=str(directory.absolute()),
        artifacts=survey.artifacts,
        strangers=survey.strangers,
        records=records,
        journal_unread=journal.unread(directory),
        unreadable=unreadable,
        holder=lock.holder(directory / LOCK_FILE) or _elsewhere(records, now),
        stopped=bool(about.stopped and os.path.lexists(about.stopped)),
        next_run=about.next_run,
        scheduled=about.scheduled,
        schedule=about.schedule,
        site=about.site,
        environment=about.environment,
    )
    return _with_disk(_with_kept(_with_holds(seen, directory), about), directory, about.media)


def _with_holds(seen: Seen, directory: Path) -> Seen:
    try:
        return replace(seen, holds=holds.read(directory))
    except KorrigoBackupError as problem:
        return replace(seen, held_unread=(problem.message, problem.hint))


def _with_kept(seen: Seen, about: About) -> Seen:
    """Ask the live site for previous copies; if it does not answer, that is only noted."""
    if about.live is None:
        return seen
    try:
        found = kept.survey(about.live())
    except UsageError:  # a machine that only keeps copies has no site
        return seen
    except KorrigoBackupError as problem:
        return replace(seen, no_database=(problem.message, problem.hint))
    return replace(seen, kept=[Beside(one.names, one.at) for one in found])


def _survey(catalog: Catalog) -> tuple[CatalogSurvey, tuple[str, str] | None]:
    try:
        return catalog.survey(), None
    except KorrigoBackupError as problem:
        return CatalogSurvey(), (problem.message, problem.hint)


def _with_disk(seen: Seen, directory: Path, media: Path | None) -> Seen:
    """Add the facts of the file system; facts that it does not give stay unknown."""
    try:
        info = directory.stat()
        usage = shutil.disk_usage(directory)
    except FileNotFoundError:
        return replace(seen, there=False)
    except OSError:
        return seen
    mode = stat.S_IMODE(info.st_mode)
    return replace(
        seen,
        open_mode=mode if mode & 0o077 else None,
        free=usage.free,
        total=usage.total,
        shared_disk=_shared(info, media),
    )


def _shared(info: os.stat_result, media: Path | None) -> bool | None:
    try:
        return media.stat().st_dev == info.st_dev if media else None
    except OSError:
        return None


def _host(record: Record) -> str:
    """Return the machine of a run. Lines of the development versions before 0.1.0 have it in `by` alone."""
    return record.by.rpartition("@")[2] if record.host is UNSET else record.host


def _elsewhere(records: Sequence[Record], now: datetime) -> str | None:
    """Return the words of a run of another host that has begun, not ended, and may be at work."""
    last = unfinished(records)
    if last is None or _host(last) == socket.gethostname() or now - last.started > _ELSEWHERE:
        return None
    return f"{last.verb} {last.subject} by {last.by} since {last.started:%Y-%m-%d %H:%M} UTC"
