"""How a site's backups stand: what is good, what is proven, what is late, what needs a person.

Decides only: everything is computed from what was read (`Seen`), the goals (`Goals`) and the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.domain.authenticity import Authenticity
from korrigo_backup.domain.finding import Finding  # noqa: TC001 - msgspec reads it when it decodes
from korrigo_backup.domain.forecast import HORIZON_DAYS, Growth, days_until_full
from korrigo_backup.domain.naming import Kind, Origin
from korrigo_backup.domain.runs import Failing, Proof, failing, proven, verified

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from korrigo_backup.domain.artifact import Artifact, Stranger
    from korrigo_backup.domain.journal import Record

WITH_DATABASE = (Kind.SQL, Kind.DJANGO)
"""The kinds that hold rows: the age of the newest decides whether the site is overdue."""


class Good(msgspec.Struct, frozen=True, kw_only=True):
    """The newest good backup of a kind, and how many good ones of it there are.

    `age` is in whole seconds, negative when the clock has gone back since. `rows` and `files` are None where the kind
    has none; `seconds` is how long it took; `count` and `bytes` are of all good ones of the kind together.
    """

    kind: Kind
    name: str
    created: datetime
    age: int
    size: int
    rows: int | None
    files: int | None
    seconds: float | None
    signature: Authenticity
    count: int
    bytes: int


class Copies(msgspec.Struct, frozen=True, kw_only=True):
    """The 3-2-1 rule (runbook 4.7.3): places that hold the data, supports they are on, places off the site.

    The live site is one place, the backup directory another when it holds a good backup: backups of several nights in
    one directory are one copy, since one fault takes them all. `supports` is None when it cannot be told from here.
    """

    places: int
    supports: int | None
    offsite: int

    @property
    def complete(self) -> bool:
        """Whether 3-2-1 is kept."""
        return self.places >= 3 and (self.supports or 0) >= 2 and self.offsite >= 1  # noqa: PLR2004 - 3-2-1


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """The file system of the backup directory, in bytes; `backups` is what the backups take of it.

    `full_in_days` is when a backup would be refused for want of room, None when that is more than two years away or
    not known; `forecast` says it in words.
    """

    free: int
    total: int
    backups: int
    full_in_days: int | None
    forecast: str

    @property
    def free_part(self) -> float:
        """The free part, 0 to 1."""
        return self.free / self.total if self.total else 0.0


class Named(msgspec.Struct, frozen=True):
    """Something in the backup directory that is not as it should be, and why."""

    name: str
    why: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the backups of one site stand. Times are UTC, ages seconds; `attention` has the most urgent first."""

    site: str | None
    environment: str | None
    directory: str
    now: datetime
    rpo_hours: float
    age: int | None
    overdue: bool
    good: tuple[Good, ...]
    verified: Proof | None
    proven: Proof | None
    copies: Copies
    space: Space | None
    failing: tuple[Failing, ...]
    running: str | None
    last_run: datetime | None
    next_run: datetime | None
    others: int
    strangers: tuple[Named, ...]
    problems: tuple[Named, ...]
    attention: tuple[Finding, ...]

    def newest(self, kind: Kind) -> Good | None:
        """Return the newest good backup of a kind."""
        return next((good for good in self.good if good.kind is kind), None)


@dataclass(frozen=True, kw_only=True)
class Goals:
    """What the site wants.

    `rpo_hours` is how old the newest database backup may be (0: does not matter), `media_rpo_hours` the same for
    media, `proof_days` how long a proof by a restore counts. The defaults follow the runbook's rhythm (4.6, 6.1):
    daily and two hours, weekly and two hours, monthly. `keep_days` says how long each kind stays, 0 or nothing for
    ever; `accepted` are the ids of warnings that the site lives with and does not want to read every day.
    """

    rpo_hours: float = 26
    media_rpo_hours: float = 170
    proof_days: float = 31
    keep_days: Mapping[Kind, int] = field(default_factory=dict)
    accepted: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was read of a site's backups. `unreadable` is why the directory could not be, if it could not.

    `site` and `environment` are None where they are not known: then all backups count. `holder` names a run that is
    at work; `stopped` says that the mark of stopped services is there; `shared_disk` whether the backups lie on the
    media's file system, None when not known.
    """

    directory: str
    artifacts: Sequence[Artifact] = ()
    strangers: Sequence[Stranger] = ()
    records: Sequence[Record] = ()
    unreadable: tuple[str, str] | None = None
    there: bool = True
    open_mode: int | None = None
    free: int | None = None
    total: int | None = None
    holder: str | None = None
    stopped: bool = False
    shared_disk: bool | None = None
    offsite: int = 0
    next_run: datetime | None = None
    site: str | None = None
    environment: str | None = None


def good_artifacts(seen: Seen) -> list[Artifact]:
    """Return the routine backups that were verified when they were made, newest first.

    They have a manifest of a known format that can be read and was not altered, and are of this site.
    """
    return [a for a in seen.artifacts if a.origin is Origin.ROUTINE and is_good(a) and of_this_site(a, seen)]


def is_good(artifact: Artifact) -> bool:
    """Tell whether an artifact says what it holds, in a manifest that nobody altered."""
    head = artifact.header
    return bool(head and head.format) and artifact.authenticity is not Authenticity.FORGED


def of_this_site(artifact: Artifact, seen: Seen) -> bool:
    """Tell whether an artifact is of this site and environment; one that does not say (Method 2) is."""
    head = artifact.header
    if head is None or head.site is None or seen.site is None:
        return True
    return (head.site, head.environment) == (seen.site, seen.environment)


def describe(seen: Seen, goals: Goals, *, now: datetime) -> Status:
    """Return how the backups stand, all but what needs attention (`domain/attention.py` adds it)."""
    moment, good = now.astimezone(UTC), good_artifacts(seen)
    newest = next((artifact for artifact in good if artifact.kind in WITH_DATABASE), None)
    age = _age(newest, moment) if newest else None
    return Status(
        site=seen.site,
        environment=seen.environment,
        directory=seen.directory,
        now=moment,
        rpo_hours=goals.rpo_hours,
        age=age,
        overdue=goals.rpo_hours > 0 and (age is None or age > goals.rpo_hours * 3600),
        good=tuple(found for kind in Kind if (found := _newest(good, kind, moment))),
        verified=verified(seen.records, newest),
        proven=proven(seen.records),
        copies=_copies(seen, have_backup=newest is not None),
        space=_space(seen, good, goals, moment),
        failing=failing(seen.records, running=seen.holder is not None),
        running=seen.holder,
        last_run=max((record.started for record in seen.records), default=None),
        next_run=seen.next_run,
        others=sum(not of_this_site(artifact, seen) for artifact in seen.artifacts),
        strangers=tuple(Named(stranger.name, stranger.why) for stranger in seen.strangers),
        problems=tuple(Named(a.name, _problem(a)) for a in seen.artifacts if _problem(a)),
        attention=(),
    )


def rows_of(artifact: Artifact) -> int | None:
    """Return how many rows an artifact holds, None for one without."""
    return artifact.header.rows if artifact.header else None


def _age(artifact: Artifact, now: datetime) -> int:
    return int((now - artifact.created) / timedelta(seconds=1))


def _newest(good: Sequence[Artifact], kind: Kind, now: datetime) -> Good | None:
    alike = [artifact for artifact in good if artifact.kind is kind]
    if not alike:
        return None
    first = alike[0]
    head = first.header
    return Good(
        kind=kind,
        name=first.name,
        created=first.created.astimezone(UTC),
        age=_age(first, now),
        size=first.size,
        rows=rows_of(first),
        files=head.files if head else None,
        seconds=head.seconds if head else None,
        signature=first.authenticity,
        count=len(alike),
        bytes=sum(artifact.size for artifact in alike),
    )


def _copies(seen: Seen, *, have_backup: bool) -> Copies:
    supports = None if seen.shared_disk is None else 1 if seen.shared_disk or not have_backup else 2
    return Copies(
        places=1 + have_backup + seen.offsite,
        supports=supports if not seen.offsite else max(2, supports or 0),
        offsite=seen.offsite,
    )


def _space(seen: Seen, good: Sequence[Artifact], goals: Goals, now: datetime) -> Space | None:
    if seen.free is None or seen.total is None:
        return None
    growths = [
        Growth([(a.created, a.size) for a in good if a.kind is kind], goals.keep_days.get(kind, 0)) for kind in Kind
    ]
    found = days_until_full(growths, free=seen.free, now=now)
    if not found.known:
        words = "not enough history to tell when it will be full"
    elif found.days is None:
        words = f"will not be full within {HORIZON_DAYS // 365} years"
    else:
        words = f"no room for another backup in about {found.days} days"
    used = sum(artifact.size for artifact in seen.artifacts)
    return Space(free=seen.free, total=seen.total, backups=used, full_in_days=found.days, forecast=words)


def _problem(artifact: Artifact) -> str:
    if artifact.problem:
        return artifact.problem
    if artifact.authenticity is Authenticity.FORGED:
        return "the manifest was altered: its signature does not fit"
    return ""
