"""The saved states of a site in the order of time: its dumps and its media backups, alone or in a restore point."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING

from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.history import members_of
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.counted import counted
from korrigo_backup.errors import NotFound, UsageError
from korrigo_backup.rescue.source_dumps import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.manifest import DatabaseProof

LIST_HINT = "korrigo-backup list shows the backups and their times"


@dataclass(frozen=True)
class Window:
    """A stretch of time, its ends included; None is open."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Return whether a moment is in it."""
        return (self.since is None or self.since <= moment) and (self.until is None or moment <= self.until)


@dataclass(frozen=True)
class Points:
    """Dumps and media backups of a site, each oldest first.

    `bound` gives for the name of a component the restore points that bind it. `passed_over` names artifacts of the site
    that cannot be read, each with the reason. `of_django` are the Django backups: their rows and files have a form of
    their own, and are not compared.
    """

    dumps: tuple[Artifact, ...]
    media: tuple[Artifact, ...]
    bound: Mapping[str, tuple[Artifact, ...]]
    passed_over: tuple[tuple[str, str], ...] = ()
    of_django: tuple[Artifact, ...] = ()

    def require_dumps(self) -> tuple[Artifact, ...]:
        """Return the dumps; NotFound if there is none."""
        if not self.dumps:
            raise NotFound("there is no dump of this site in that time", hint=unread_of_django(self) or LIST_HINT)
        return self.dumps

    def require_media(self) -> tuple[Artifact, ...]:
        """Return the media backups; NotFound if there is none."""
        if not self.media:
            why = unread_of_django(self) or LIST_HINT
            raise NotFound("there is no media backup of this site in that time", hint=why)
        return self.media

    def point_of(self, component: Artifact) -> Artifact | None:
        """Return the newest restore point that binds a component, None if it stands alone."""
        return max(self.bound.get(component.name, ()), key=lambda one: one.created, default=None)


def read_points(catalog: Catalog, window: Window | None = None) -> Points:
    """Return the saved states of this site within a window of time, of every origin.

    An artifact of another site is left out. An altered artifact, or a broken manifest, is passed over and named.
    """
    return chosen(catalog.artifacts(), window or Window())


def chosen(artifacts: Iterable[Artifact], window: Window) -> Points:
    """Choose from the artifacts of a catalog, as `read_points`."""
    ours = sorted((one for one in artifacts if one.ours), key=lambda one: (one.created, one.name))
    within = [one for one in ours if window.holds(one.created)]
    bound: dict[str, tuple[Artifact, ...]] = {}
    for point in ours:
        for name in members_of(point):
            bound[name] = (*bound.get(name, ()), point)
    bad = {one.name: why for one in within if (why := _fault(one))}
    good = [one for one in within if one.name not in bad]
    return Points(
        tuple(one for one in good if KINDS[one.kind].is_dump),
        tuple(one for one in good if KINDS[one.kind].has_files_alone),
        bound,
        tuple(bad.items()),
        tuple(one for one in good if KINDS[one.kind].loaded_by_django),
    )


def _fault(artifact: Artifact) -> str | None:
    if artifact.authenticity is Authenticity.FORGED:
        return "was altered: its signature does not fit"
    return artifact.problem


def find_dump(catalog: Catalog, named: str | None = None, at: datetime | None = None) -> Artifact | None:
    """Return the dump that `--from` names, or the newest that was made at a time or before; None without either.

    A safety backup, which holds the data that a restore replaced, is the newest only if there is no other. Of a restore
    point it is the component. Raises UsageError for both or for an artifact without a dump, NotFound.
    """
    if named is not None and at is not None:
        raise UsageError("--from and --at exclude each other", hint="name a backup, or a time")
    if named is not None:
        return dump_named(catalog, named)
    if at is None:
        return None
    return in_order(read_points(catalog, Window(until=at)).require_dumps())[0]


def dump_named(catalog: Catalog, named: str) -> Artifact:
    """Return the dump that a name means, of a restore point the component; raises as `find_dump`."""
    return dump_of(catalog, catalog.find(named))


def dump_of(catalog: Catalog, found: Artifact) -> Artifact:
    """Return an artifact, of a restore point its dump; UsageError for an artifact without rows."""
    dump = next((one for one in components(catalog, found) if KINDS[one.kind].is_dump), None)
    if dump is None:
        raise UsageError(
            f"{found.name} is no dump of the database", hint="name a dump or a restore point: korrigo-backup list"
        )
    return dump


def rows_named(catalog: Catalog, named: str) -> Artifact:
    """Return the artifact with the rows that a name means: a dump, that of a restore point, or a Django backup."""
    found = catalog.find(named)
    return found if KINDS[found.kind].loaded_by_django else dump_of(catalog, found)


def unread_of_django(points: Points) -> str:
    """Return in words that the Django backups of some points are not read, "" if there is none."""
    if not points.of_django:
        return ""
    number, newest = counted(len(points.of_django), "Django backup"), points.of_django[-1].name
    return f"{number} not read, the newest {newest}: only dumps and media backups have a history"


def media_of(points: Points, dump: Artifact) -> Artifact | None:
    """Return the media backup of the newest restore point that binds a dump, else the nearest in time, else None."""
    if point := points.point_of(dump):
        names = set(members_of(point))
        if same := next((one for one in points.media if one.name in names), None):
            return same
    return min(points.media, key=lambda one: abs(one.created - dump.created), default=None)


def read_moment(text: str, *, ends: bool = False) -> datetime:
    """Return the time that a person has typed; a day alone is its begin, or with `ends` its end.

    Without a zone it is of this machine's clock. Raises UsageError for a text that is no time.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        if ends and len(text.strip()) == len("2026-05-04"):
            moment = datetime.combine(moment.date(), time.max)
        return moment.astimezone()
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is not a time", hint='write it as "2026-05-04 14:05" or 2026-05-04') from None


def read_window(since: str | None, until: str | None) -> Window:
    """Return the window of the options --since and --until; UsageError if it is no time, or ends before it begins."""
    window = Window(read_moment(since) if since else None, read_moment(until, ends=True) if until else None)
    if window.since and window.until and window.until < window.since:
        raise UsageError("--until is before --since", hint="exchange the two times")
    return window


def before(points: Sequence[Artifact], moment: datetime) -> Artifact | None:
    """Return the last of some artifacts, oldest first, that was made at a moment or before."""
    return next((one for one in reversed(points) if one.created <= moment), None)


def database_proof(dump: Artifact) -> DatabaseProof | None:
    """Return the proof in a dump's manifest without keeping the manifest: a hundred of them take much memory."""
    manifest = dump.source() if callable(dump.source) else dump.source
    return manifest.database if manifest else None
