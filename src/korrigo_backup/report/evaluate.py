"""The drills and the runs of a period, from the journal and the backups that exist."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from korrigo_backup.artifact.history import BACKUPS, is_proof
from korrigo_backup.errors import ProofFailed
from korrigo_backup.report.model import BackupContent, DrillOutcome, DrillResult, Period
from korrigo_backup.run.record import RESTORES, Outcome, Phase, Record, Verb, recovery_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

_GOOD = frozenset({Outcome.DONE, Outcome.PARTLY})
_BAD = frozenset({Outcome.FAILED, Outcome.PARTLY, Outcome.INTERRUPTED, Outcome.BEGUN})
_OF_DATABASE = frozenset({"db", "full", "django"})
_BY_PERSONS = RESTORES | {Verb.ROLLBACK, Verb.REBUILD, Verb.CANARY, "adopt"}
_NIGHTLY_DRILL, _NIGHTLY_VERIFIED = "nightly.drill", "nightly.verified"


def drills(records: Iterable[Record], contents: Mapping[str, BackupContent]) -> tuple[DrillResult, ...]:
    """Return the drills that came to an end, oldest first: `drill`, `verify --depth full`, and those of nights.

    A night does not name its backup: it is found by its time.
    """
    found = []
    for record in records:
        if record.verb in BACKUPS and record.proved and record.outcome in _GOOD:
            content = _made_by(record, contents)
            subject = content.name if content else record.subject
            found.append(_result(record, subject, content, DrillOutcome.PASSED, _seconds_of_night(record)))
        elif _is_drill(record) and record.outcome in {*_GOOD, Outcome.FAILED}:
            verdict = DrillOutcome.PASSED if record.outcome in _GOOD else _failure(record)
            if verdict is not DrillOutcome.PASSED or is_proof(record) or record.verb == Verb.DRILL:
                content = contents.get(record.subject)
                found.append(_result(record, record.subject, content, verdict, _recovery(record)))
    return tuple(found)


def period(records: Sequence[Record], tests: Iterable[DrillResult], begin: datetime, end: datetime) -> Period:
    """Return the runs that began from `begin` until before `end`; `end` must not be in the future."""
    within = [record for record in records if begin <= record.started < end]
    return Period(
        begin=begin,
        end=end,
        drills=tuple(one for one in tests if begin <= one.at < end),
        backups=tuple(one for one in within if one.verb in {*BACKUPS, Verb.POINT} and one.subject != "skipped"),
        gaps=_gaps(records, begin, end),
        restores=tuple(one for one in within if one.verb in RESTORES and one.outcome in _GOOD),
        verifications=tuple(one for one in within if one.verb == Verb.VERIFY and one.outcome is Outcome.DONE),
        problems=tuple(one for one in within if one.outcome in _BAD),
        decisions=tuple(one for one in within if one.verb in _BY_PERSONS or _is_drill(one)),
    )


def _is_drill(record: Record) -> bool:
    return record.verb == Verb.DRILL or (record.verb == Verb.VERIFY and record.why.get("depth") == "full")


def _recovery(record: Record) -> float | None:
    """Return the recovery time: of a drill that of its phases, else the whole time of the run."""
    measured = recovery_seconds(record.phases) if record.phases else None
    return record.seconds if measured is None else measured


def _failure(record: Record) -> DrillOutcome:
    return DrillOutcome.FAILED if record.exit_code == ProofFailed.exit_code else DrillOutcome.ERROR


def _result(
    record: Record, subject: str, content: BackupContent | None, verdict: DrillOutcome, seconds: float | None
) -> DrillResult:
    return DrillResult(
        at=record.started,
        by=record.by,
        verb=record.verb,
        subject=subject,
        verdict=verdict,
        message=record.message,
        seconds=seconds if verdict is DrillOutcome.PASSED else None,
        content=content,
        is_disaster=Phase.REBUILD in (record.phases or {}),
    )


def _made_by(record: Record, contents: Mapping[str, BackupContent]) -> BackupContent | None:
    """Return the backup that a night made, the restore point rather than its components."""
    latest = record.started + timedelta(seconds=(record.seconds or 0) + 1)
    made = [one for one in contents.values() if record.started - timedelta(seconds=1) <= one.created <= latest]
    return max(made, key=lambda one: (one.rows is not None) + (one.files is not None), default=None)


def _seconds_of_night(record: Record) -> float | None:
    """Return how long the drill of a night took."""
    at = {step.id: step.at for step in record.steps}
    if _NIGHTLY_DRILL not in at or _NIGHTLY_VERIFIED not in at:
        return None
    return round(at[_NIGHTLY_VERIFIED] - at[_NIGHTLY_DRILL], 3)


def _gaps(records: Iterable[Record], begin: datetime, end: datetime) -> tuple[tuple[datetime, float], ...]:
    """Return each time in the period without a new backup of the database: its end, and its seconds."""
    made = [
        one.started
        for one in records
        if one.outcome in _GOOD
        and one.started < end
        and (one.verb == Verb.POINT or (one.verb in BACKUPS and one.subject in _OF_DATABASE))
        and one.subject != "skipped"
    ]
    ends = [*made[1:], end] if made else []
    found = ((later, (later - former).total_seconds()) for former, later in zip(made, ends, strict=True))
    return tuple((later, seconds) for later, seconds in found if later > begin)
