"""The record of an operation in the journal."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from korrigo_backup.core.moment import require_moment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


PROVEN = frozenset({"restore.proven", "restore.proven.media"})
"""Steps at which loaded data were compared with the saved data, and were the same."""


class Verb(StrEnum):
    """The name of an operation in the journal, where code decides on it. The journal may hold others."""

    BACKUP = "backup"
    NIGHTLY = "nightly"
    VERIFY = "verify"
    DRILL = "drill"
    INCIDENT = "incident"
    COMPARE = "compare"
    COPY = "copy"
    PRUNE_COPIES = "prune copies"
    POINT = "point"
    RESTORE = "restore"
    RESTORE_IN_PLACE = "restore in place"
    RESTORE_BY_DJANGO = "restore by Django"
    RESTORE_FILES = "restore files"
    ROLLBACK = "rollback"
    REBUILD = "rebuild"
    UNDELETE = "undelete"
    REVERT = "revert"
    RESTORE_TABLE = "restore of a table"
    FORGET = "forget"
    DOCTOR = "doctor"
    CANARY = "canary"
    BENCH = "bench"
    KIT = "kit"


class Phase(StrEnum):
    """A phase of a drill. `MAKE` and `REMOVE` are no part of a recovery, and so of the recovery time.

    `REBUILD` is: after the loss of a whole stack it is made anew.
    """

    FETCH = "fetch"
    CHECK = "check"
    MAKE = "make"
    REBUILD = "rebuild"
    LOAD = "load"
    PROVE = "prove"
    START = "start"
    VALIDATE = "validate"
    REMOVE = "remove"


_NO_RECOVERY = frozenset({Phase.MAKE, Phase.REMOVE})


def recovery_seconds(phases: Mapping[str, float]) -> float | None:
    """Return the recovery time that a drill has measured, None if it was not measured."""
    counted = [seconds for name, seconds in phases.items() if name not in _NO_RECOVERY]
    return round(sum(counted), 3) if counted else None


SKIPPED = "skipped"
"""The subject of a restore point that gave way to another run; the reason is in `why`."""

RESTORES = frozenset({Verb.RESTORE, Verb.RESTORE_IN_PLACE, Verb.RESTORE_BY_DJANGO})


class Outcome(StrEnum):
    """How an operation ended; `begun` is the trace of a killed operation."""

    BEGUN = "begun"
    DONE = "done"
    PARTLY = "partly"
    CANCELLED = "cancelled"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Timed(msgspec.Struct, frozen=True):
    """A step and the second of the operation at which it began."""

    id: str
    at: float


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An operation: verb, subject, user, reasons, time, outcome.

    `why` holds the answers of the pre-restore checklist (runbook 5.1). Times are UTC, durations seconds; `downtime` is
    from the first request that was refused to the first that was served, or from the stop of the services to their
    start where no address is known. Where a restore keeps no previous copy of the database, `safety` names the backup
    for its undo, and `transaction` the transaction in the live database that decides it; "" again once it is undone.
    `taken_back` is the transaction that brings the former content back after that one was committed.
    `from_nothing` is the stamp of a restore that found no database in its place: only its files have a previous copy.
    `proved` is the fingerprint of the schema that a drill has loaded and proven, `place` where it was loaded, `phases`
    are its seconds by `Phase`. `error` is the id of the error that ended it (`korrigo-backup explain`), "" for an error
    without an id. `damaged` names the artifact that a night made and found bad, `host` is the machine of the run. Lines
    of the development versions before 0.1.0 have neither. `erased` are the rows that a restore has taken out again, by
    table, 0 for a table of which only references were emptied; `erased_files` are hashes of the files.
    """

    id: str
    verb: str
    subject: str
    site: str
    by: str
    started: datetime
    outcome: Outcome = Outcome.BEGUN
    exit_code: int | None = None
    seconds: float | None = None
    downtime: float | None = None
    bytes: int | None = None
    message: str = ""
    why: dict[str, str] = {}
    steps: tuple[Timed, ...] = ()
    safety: str = ""
    transaction: str = ""
    taken_back: str | UnsetType = UNSET
    from_nothing: str = ""
    proved: str = ""
    place: str | UnsetType = UNSET
    phases: dict[str, float] | UnsetType = UNSET
    damaged: str | UnsetType = UNSET
    host: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    erased: dict[str, int] | UnsetType = UNSET
    erased_files: tuple[str, ...] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a time that cannot be compared with others (ValueError, to a decoder ValidationError)."""
        require_moment(self.started)


def erased_by(records: Iterable[Record], names: Collection[str]) -> Mapping[str, int]:
    """Return the rows that the newest restore has erased again, by table, if it was of an artifact of these names."""
    newest = _newest_restore(records)
    return newest.erased if newest and newest.subject in names and newest.erased is not UNSET else {}


def erased_files_by(records: Iterable[Record], names: Collection[str] | None = None) -> frozenset[str]:
    """Return the hashes of the files that the newest restore has erased, if it was of an artifact of these names."""
    newest = _newest_restore(records)
    if newest is None or newest.erased_files is UNSET or not (names is None or newest.subject in names):
        return frozenset()
    return frozenset(newest.erased_files)


def _newest_restore(records: Iterable[Record]) -> Record | None:
    restores = [one for one in records if one.verb in RESTORES and one.outcome in {Outcome.DONE, Outcome.PARTLY}]
    return restores[-1] if restores else None


def downtime(steps: Iterable[Timed]) -> float | None:
    """Return the seconds from the stop of the services to their health, None when they were not both reached."""
    at = {step.id: step.at for step in steps}
    begin = next((at[name] for name in ("restore.stop", "restore.stop.none") if name in at), None)
    end = at.get("restore.healthy")
    return None if begin is None or end is None else round(end - begin, 3)


def predicted_downtime(records: Iterable[Record], *, last: int = 5) -> float | None:
    """Return the median downtime of the newest restores in seconds, None without restores.

    It does not depend on the size: data are loaded before the services are stopped.
    """
    known = [record.downtime for record in records if record.downtime is not None and record.verb == Verb.RESTORE]
    return round(median(known[-last:]), 1) if known else None
