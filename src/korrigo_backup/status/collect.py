"""Status: collect all facts about a site's backups. Reads only, and takes no lock.

It needs neither the database nor the services, so it works when they are down; a directory that is missing, foreign or
unreadable is a finding, not an error.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from korrigo_backup.artifact.artifact import CatalogSurvey
from korrigo_backup.artifact.catalog import LOCK_FILE
from korrigo_backup.artifact.history import unfinished
from korrigo_backup.errors import KorrigoBackupError, UsageError
from korrigo_backup.recovery.undoable import undoable
from korrigo_backup.retention import holds
from korrigo_backup.retention import previous_copies as kept
from korrigo_backup.run import journal
from korrigo_backup.status.model import ArtifactCopy, Beside, Facts, TargetCopies
from korrigo_backup.system import lock
from korrigo_backup.targets.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.recovery.actions import Undoable
    from korrigo_backup.run.record import Record
    from korrigo_backup.site.site import Site

_ELSEWHERE = timedelta(hours=12)
"""How long a run of another machine or container may be at work: its lock cannot be seen from here."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where facts are found besides the catalog.

    `targets` names the targets, with True for those off site. `media` is the site's media directory, `stopped` the file
    that exists while the services are stopped; `live` returns the live site if its database may be asked for previous
    copies. `erasures` counts the requests to forget that wait, `ledger` reads the erasure ledger.
    """

    media: Path | None = None
    stopped: Path | None = None
    live: Callable[[], Site] | None = None
    erasures: Callable[[], int] = int
    ledger: Callable[[], tuple[Finding, ...]] = tuple
    targets: Mapping[str, bool] = field(default_factory=dict)


def known(catalog: Catalog, *, now: datetime) -> Facts:
    """Return the facts that need no look at the disk: `collect` adds all others."""
    return Facts(taken=now.astimezone(UTC), directory=str(catalog.directory.absolute()))


def collect(catalog: Catalog, given: Facts, sources: Sources) -> Facts:
    """Return all that can be read of a site's backups, added to the facts that are `given`."""
    directory = catalog.directory
    survey, unreadable = _survey(catalog)
    records = tuple(journal.read(directory))
    facts = replace(
        given,
        artifacts=survey.artifacts,
        strangers=survey.strangers,
        records=records,
        journal_unread=journal.unread(directory),
        unreadable=unreadable,
        holder=lock.holder(directory / LOCK_FILE) or _elsewhere(records, given.taken),
        stopped=bool(sources.stopped and os.path.lexists(sources.stopped)),
        undoable=_undoable(directory, given.site),
        erasures=sources.erasures(),
        ledger=sources.ledger(),
        targets=tuple(target_copies(directory, name, off_site=off_site) for name, off_site in sources.targets.items()),
    )
    return _with_disk(_with_previous_copies(with_holds(facts, directory), sources.live), directory, sources.media)


def _undoable(directory: Path, site: str | None) -> tuple[Undoable, ...]:
    """Return the operations that `rollback` takes back before any restore; none where the directory cannot be read."""
    with suppress(OSError):
        return tuple(undoable(directory, site)) if site else ()
    return ()


def target_copies(directory: Path, name: str, *, off_site: bool) -> TargetCopies:
    """Return the copies on a target as the ledger has them; no target is asked."""
    lines = Ledger(directory, name).lines.values()
    bad = {line.artifact: line.bad for line in lines if line.bad}
    copies = [
        ArtifactCopy(
            name=line.artifact, sent=line.sent, read=line.read, bad=bad.get(line.artifact, ""), sealed=line.sealed,
            locked_until=line.locked_until, lock_read=line.lock_read,
        )
        for line in lines if line.whole and line.sent
    ]  # fmt: skip
    return TargetCopies(
        name=name, off_site=off_site, copies=tuple(sorted(copies, key=lambda one: one.sent, reverse=True))
    )


def with_holds(facts: Facts, directory: Path) -> Facts:
    """Add the holds, or the reason for which they cannot be read."""
    try:
        return replace(facts, holds=tuple(holds.read(directory)))
    except KorrigoBackupError as problem:
        return replace(facts, held_unread=(problem.message, problem.hint))


def _with_previous_copies(facts: Facts, live: Callable[[], Site] | None) -> Facts:
    """Ask the live site for previous copies; if it does not answer, that is only noted."""
    if live is None:
        return facts
    try:
        found = kept.survey(live())
    except UsageError:  # a machine that only keeps copies has no site
        return facts
    except KorrigoBackupError as problem:
        return replace(facts, no_database=(problem.message, problem.hint))
    return replace(facts, kept=tuple(Beside(one.names, one.at) for one in found))


def _survey(catalog: Catalog) -> tuple[CatalogSurvey, tuple[str, str] | None]:
    try:
        return catalog.survey(), None
    except KorrigoBackupError as problem:
        return CatalogSurvey(), (problem.message, problem.hint)


def _with_disk(facts: Facts, directory: Path, media: Path | None) -> Facts:
    """Add the facts of the file system; facts that it does not give stay unknown."""
    try:
        info = directory.stat()
        usage = shutil.disk_usage(directory)
    except FileNotFoundError:
        return replace(facts, there=False)
    except OSError:
        return facts
    mode = stat.S_IMODE(info.st_mode)
    return replace(
        facts,
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
