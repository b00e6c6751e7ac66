"""The facts of a report, and the parts of its pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from korrigo_backup.run.record import Record


class DrillOutcome(StrEnum):
    """The result of a drill; `error` is about the place and not about the backup."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class BackupContent:
    """The content of a backup by its manifest; a restore point has that of its two backups. None if not known.

    `size` is in bytes; `users` are the rows of Django's table of users.
    """

    name: str
    created: datetime
    size: int
    tables: int | None = None
    rows: int | None = None
    files: int | None = None
    users: int | None = None


@dataclass(frozen=True, kw_only=True)
class DrillResult:
    """A drill by the journal.

    `seconds` is the measured recovery time, None unless it passed; `content` is None if the backup is gone.
    `is_disaster`: a whole stack was destroyed first, and the recovery time is its downtime.
    """

    at: datetime
    by: str
    verb: str
    subject: str
    verdict: DrillOutcome
    message: str = ""
    seconds: float | None = None
    content: BackupContent | None = None
    is_disaster: bool = False

    @property
    def lost_seconds(self) -> float | None:
        """The age of the backup at the drill: the data that a restore at that time would have lost."""
        return (self.at - self.content.created).total_seconds() if self.content else None


@dataclass(frozen=True, kw_only=True)
class RecoveryTargets:
    """The targets of the site in seconds: how much data may be lost (RPO), how long a recovery may take (RTO)."""

    rpo: float
    rto: float


@dataclass(frozen=True, kw_only=True)
class Period:
    """The runs from `begin` until `end`, in UTC. `gaps` are pairs of an end and the seconds since the backup before.

    `decisions` are the runs by which a person changed or accepted something.
    """

    begin: datetime
    end: datetime
    drills: tuple[DrillResult, ...] = ()
    backups: tuple[Record, ...] = ()
    gaps: tuple[tuple[datetime, float], ...] = ()
    restores: tuple[Record, ...] = ()
    verifications: tuple[Record, ...] = ()
    problems: tuple[Record, ...] = ()
    decisions: tuple[Record, ...] = ()

    @property
    def measured_rpo(self) -> float | None:
        """The longest time without a new backup of the database, in seconds."""
        return max((seconds for _, seconds in self.gaps), default=None)

    @property
    def measured_rto(self) -> float | None:
        """The longest measured recovery time in seconds, of drills that passed and of restores."""
        known = [one.seconds for one in self.drills if one.verdict is DrillOutcome.PASSED]
        return max((seconds for seconds in [*known, *(one.seconds for one in self.restores)] if seconds), default=None)

    @property
    def passed(self) -> tuple[DrillResult, ...]:
        """The drills that passed."""
        return tuple(one for one in self.drills if one.verdict is DrillOutcome.PASSED)


class Mark(StrEnum):
    """Whether a line is good, bad, or cannot be decided here."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Figure:
    """A number that counts, with a note below it (its target), and whether it is good."""

    label: str
    value: str
    note: str = ""
    mark: Mark = Mark.GOOD


@dataclass(frozen=True)
class Bullet:
    """A line of a list; without a mark it has a dash alone."""

    text: str
    mark: Mark | None = None


@dataclass(frozen=True)
class PageTable:
    """A table; a cell may be a mark."""

    header: tuple[str, ...]
    rows: tuple[tuple[str | Mark, ...], ...]


@dataclass(frozen=True)
class Chart:
    """Values by time with a target, in seconds; `limit` is its name."""

    title: str
    points: tuple[tuple[datetime, float], ...]
    target: float
    limit: str


@dataclass(frozen=True)
class Part:
    """A part of a page below a heading; `empty` is the line of a part without content."""

    heading: str
    bullets: tuple[Bullet, ...] = ()
    table: PageTable | None = None
    charts: tuple[Chart, ...] = ()
    empty: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A report: title, verdict, facts at the head, figures, parts. `lang` is `fr` or `en`."""

    lang: str
    title: str
    facts: tuple[tuple[str, str], ...]
    verdict: tuple[str, Mark] | None = None
    figures: tuple[Figure, ...] = ()
    parts: tuple[Part, ...] = field(default=())
    foot: str = ""
