"""How a site's backups stand: one record, `Status`, of the facts that were collected, the goals and the verdicts.

Each field has its name in one place: facts are collected, published and read back as `CollectedFacts`; `evaluate` adds
the verdicts; `document` is the JSON of the command.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations of this module
from typing import Generic, TypeVar

import msgspec

from korrigo_backup.artifact.artifact import Artifact, Stranger
from korrigo_backup.artifact.history import Failing, Proof  # noqa: TC001 - the same
from korrigo_backup.artifact.kinds import Kind  # noqa: TC001 - the same
from korrigo_backup.artifact.signature import Authenticity  # noqa: TC001 - the same
from korrigo_backup.core.finding import Finding  # noqa: TC001 - the same
from korrigo_backup.recovery.actions import Undoable  # noqa: TC001 - the same
from korrigo_backup.retention.hold import Hold  # noqa: TC001 - the same
from korrigo_backup.retention.policy import Policy
from korrigo_backup.run.record import Record  # noqa: TC001 - the same


class Good(msgspec.Struct, frozen=True, kw_only=True):
    """The newest good backup of a kind, and the number of good backups of the kind.

    `age` is in whole seconds, negative when the clock has gone back since. `rows` and `files` are None where the kind
    has none; `seconds` is how long it took; `count` and `bytes` are of all good backups of the kind together.
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


class ArtifactCopy(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that is whole on a target: when it was sent, when every byte was last read back from there.

    `bad` is the reason if the last reading back found damage. `locked_until` is the earliest end of the retention of
    all its objects, as it was read back from the server at `lock_read`.
    """

    name: str
    sent: datetime
    read: datetime | None = None
    bad: str = ""
    sealed: bool = False
    locked_until: datetime | None = None
    lock_read: datetime | None = None

    def is_immutable(self, now: datetime) -> bool:
        """Return whether a retention was read back that has not ended at `now`."""
        return self.lock_read is not None and self.locked_until is not None and self.locked_until > now


class TargetCopies(msgspec.Struct, frozen=True, kw_only=True):
    """The copies on a target, as the ledger of this host has them, the newest name first."""

    name: str
    off_site: bool = True
    copies: tuple[ArtifactCopy, ...] = ()


class Copies(msgspec.Struct, frozen=True, kw_only=True):
    """Two figures of the 3-2-1 rule (runbook 4.7.3): the places that hold the data, and the supports they are on.

    The live site is one place, the backup directory another if it holds a good backup: backups of several nights in one
    directory are one copy, since one fault destroys them all. Each target with a whole copy of the newest backup is a
    place and a support more. `supports` is None if it cannot be found out from here. `off_site` counts the places that
    the same fire would not reach, `immutable` those
    where a retention that has not ended was read back.
    """

    places: int
    supports: int | None
    off_site: int = 0
    immutable: int = 0


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """The file system of the backup directory, in bytes; `backups` is the space that the backups take.

    `full_in_days` is when a backup would be refused for want of room, None if that is more than two years away or not
    known; `forecast` is the same in words.
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


class NamedArtifact(msgspec.Struct, frozen=True):
    """Something in the backup directory that is not as it should be, and why."""

    name: str
    why: str


class SkippedPoints(msgspec.Struct, frozen=True):
    """Restore points of the last 24 hours that were skipped because another run was at work: their number, the last.

    `reason` is that of the last, empty in lines of the journal of the versions before 0.1.0.
    """

    count: int
    last: datetime
    reason: str


class Beside(msgspec.Struct, frozen=True):
    """The previous copies of a restore or rollback: names of a database and of a media directory."""

    names: tuple[str, ...]
    at: datetime


class Goals(msgspec.Struct, frozen=True, kw_only=True):
    """The goals of the site.

    `rpo_hours` is how old the newest database backup may be (0: any age), `media_rpo_hours` the same for media,
    `proof_days` how long a proof by a restore counts. The defaults follow the runbook's rhythm (4.6, 6.1): daily and
    two hours, weekly and two hours, monthly. `policy` is the retention policy; `accepted` are the ids of warnings that
    the site accepts and does not want to read every day.
    """

    rpo_hours: float = 26
    media_rpo_hours: float = 170
    proof_days: float = 31
    policy: Policy = msgspec.field(default_factory=Policy)
    accepted: tuple[str, ...] = ()


_ArtifactT = TypeVar("_ArtifactT")


class CollectedFacts(msgspec.Struct, Generic[_ArtifactT], frozen=True, kw_only=True):
    """The facts about a site's backups at the time `taken`, as they are collected, published and read back.

    `site` and `environment` are None if they are not known: then all backups count. `unreadable` is why the directory
    could not be read, if so. `holder` names a run that is at work; `stopped` is True if the mark of stopped services
    exists; `shared_disk` whether the backups lie on the media's file system, None if not known. `held_unread` and
    `no_database` give the reason why the holds cannot be read and why the database does not answer, each with a hint,
    `journal_unread` why the journal cannot be read. `kept` is None if the database was not asked, or did not answer.
    `scheduled` is None if the schedule was not read; `schedule` holds the obstacles to an installed schedule. `canary`
    holds the differences between the newest backups and the site's own history that need a person. `undoable` are the
    undeletes and restores of files that `rollback` takes back, the newest first. `erasures` counts the
    requests to forget that wait for a person, `ledger` says whether the erasure ledger can be read.

    The order of the fields is that of the published document.
    """

    taken: datetime
    directory: str
    artifacts: tuple[_ArtifactT, ...] = ()
    strangers: tuple[Stranger, ...] = ()
    records: tuple[Record, ...] = ()
    unreadable: tuple[str, str] | None = None
    journal_unread: str | None = None
    there: bool = True
    open_mode: int | None = None
    free: int | None = None
    total: int | None = None
    holder: str | None = None
    stopped: bool = False
    shared_disk: bool | None = None
    next_run: datetime | None = None
    scheduled: bool | None = None
    schedule: tuple[Finding, ...] = ()
    holds: tuple[Hold, ...] = ()
    held_unread: tuple[str, str] | None = None
    kept: tuple[Beside, ...] | None = None
    no_database: tuple[str, str] | None = None
    site: str | None = None
    environment: str | None = None
    targets: tuple[TargetCopies, ...] = ()
    canary: tuple[Finding, ...] = ()
    undoable: tuple[Undoable, ...] = ()
    erasures: int = 0
    ledger: tuple[Finding, ...] = ()


Facts = CollectedFacts[Artifact]
"""The facts with the artifacts as the catalog found them; a published document has a shorter form of those."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the backups of a site stand at the time `now`: the facts, the goals, and the verdicts on them.

    Times are UTC, ages seconds; `attention` has the most urgent first. `holds` are those in force now; `others` counts
    backups of other sites.
    """

    facts: Facts
    goals: Goals
    now: datetime
    age: int | None
    overdue: bool
    good: tuple[Good, ...]
    verified: Proof | None
    proven: Proof | None
    copies: Copies
    space: Space | None
    failing: tuple[Failing, ...]
    last_run: datetime | None
    holds: tuple[Hold, ...]
    others: int
    problems: tuple[NamedArtifact, ...]
    attention: tuple[Finding, ...] = ()
    skipped: SkippedPoints | None = None

    def newest(self, kind: Kind) -> Good | None:
        """Return the newest good backup of a kind."""
        return next((good for good in self.good if good.kind is kind), None)

    def document(self) -> dict[str, object]:
        """Return the status as `status --json` prints it, in the order of its keys."""
        facts = self.facts
        return {
            "site": facts.site,
            "environment": facts.environment,
            "directory": facts.directory,
            "now": self.now,
            "rpo_hours": self.goals.rpo_hours,
            "age": self.age,
            "overdue": self.overdue,
            "good": self.good,
            "verified": self.verified,
            "proven": self.proven,
            "copies": self.copies,
            "targets": facts.targets,
            "space": self.space,
            "failing": self.failing,
            "running": facts.holder,
            "last_run": self.last_run,
            "next_run": facts.next_run,
            "skipped": self.skipped,
            "holds": self.holds,
            "kept": facts.kept,
            "undoable": facts.undoable,
            "erasures": facts.erasures,
            "others": self.others,
            "strangers": [NamedArtifact(stranger.name, stranger.why) for stranger in facts.strangers],
            "problems": self.problems,
            "attention": self.attention,
        }
