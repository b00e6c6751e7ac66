"""The journal's statements: operations that fail and since when, the last verification and proof of a backup."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.naming import parse
from korrigo_backup.errors import Locked, ProofFailed, UsageError
from korrigo_backup.run.record import PROVEN, Outcome, Verb, recovery_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.run.record import Record

BACKUPS = (Verb.BACKUP, Verb.NIGHTLY)
"""The verbs that make backups; the record's subject names the kind (`db`, `media`, `full`, `django`)."""

READS = (Verb.VERIFY, Verb.DRILL)
"""The verbs that read a whole artifact, which is the subject of the record."""

FROM = "from"
"""The journal's key for the target that a drilled copy came from."""

_BESIDE = (Verb.VERIFY, Verb.COPY, Verb.PRUNE_COPIES, Verb.CANARY)
"""Verbs that may run at the same time as others: they do not take the lock of the site."""

_COVERS = {"full": ("full", "db", "media", "django"), "django": ("django", "db", "media", "full")}
"""The other kinds that a successful backup makes up for."""

_GOOD = (Outcome.DONE, Outcome.PARTLY)

_Key = tuple[str, str]
"""Verb and subject, as in `Failing`."""

_NO_ERRORS = {
    Outcome.BEGUN: "only its beginning is in the journal: it was killed, or the journal could not be written",
    Outcome.INTERRUPTED: "it was interrupted",
}
"""The text for ends that no error explains; the message of an interrupted run is the state of the site."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A proof: its time, its object and its verb.

    `seconds` is its duration, `downtime` how long the site was down for it; None if not known. `recovery` is the
    recovery time in seconds that a drill has measured, in a `place`.
    """

    at: datetime
    what: str
    by: str
    seconds: float | None = None
    downtime: float | None = None
    recovery: float | None = None
    place: str = ""

    def describe(self) -> str:
        """Return it in words."""
        how = "read back when it was made" if self.by == "backup" else f"by {self.by}"
        return f"{self.what}, {how}, {self.at:%Y-%m-%d %H:%M} UTC"


class Failing(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that failed `times` times in a row, first at `since`, last at `last`.

    `what` names it for a person; `verb` and `subject` are the same as data. Every verb that makes backups is `backup`.
    The subject is what a backup saves, or the artifact that was read and found bad; "" for other verbs. `succeeded` is
    when it last did, None for never (or longer ago than the journal reaches).
    """

    what: str
    verb: str
    subject: str
    times: int
    since: datetime
    last: datetime
    outcome: Outcome
    exit_code: int | None
    message: str
    succeeded: datetime | None

    @property
    def is_backup(self) -> bool:
        """Whether it is a backup, which is worse than anything else: the next backup may be needed."""
        return self.verb == Verb.BACKUP


def failing(records: Sequence[Record], *, running: bool) -> tuple[Failing, ...]:
    """Return the operations that have failed since they last succeeded, backups first, then the newest first.

    `records` are oldest first. A record that only begins is a run that was killed, unless it is the newest such and a
    run is at work. A cancelled run does not count, nor does a verification that did not come to its end. A full backup
    makes up for a failed backup of the database or the media; a verification only for a verification of the same
    backup. A kit that was called wrongly (exit 2: no library, a wrong recipient) is a matter of `doctor`, which sees
    when it is mended.
    """
    failures: dict[_Key, list[Record]] = {}
    succeeded: dict[_Key, datetime] = {}
    at_work = unfinished(records) if running else None
    for record in records:
        if record.outcome in _GOOD:
            for key in _made_good(record):
                failures.pop(key, None)
                succeeded[key] = record.started
        elif record is not at_work and _failed(record):
            failures.setdefault(_key(record), []).append(record)
    found = [_failing(key, runs, succeeded.get(key)) for key, runs in failures.items()]
    return tuple(sorted(found, key=lambda one: (not one.is_backup, -one.last.timestamp())))


def unfinished(records: Sequence[Record]) -> Record | None:
    """Return the newest run if it has begun and not ended: the run at work, if there is one.

    Only one run works at a time; runs refused meanwhile, and verbs that may run at the same time, do not count.
    """
    alone = (one for one in reversed(records) if one.verb not in _BESIDE and one.exit_code != Locked.exit_code)
    newest = next(alone, None)
    return newest if newest and newest.outcome is Outcome.BEGUN else None


def _failed(record: Record) -> bool:
    if record.verb in _BESIDE:  # it may be at work now, at the same time as the run with the lock
        return record.outcome is Outcome.FAILED
    if record.verb == Verb.KIT and record.exit_code == UsageError.exit_code:
        return False
    return record.outcome is not Outcome.CANCELLED


def proven(records: Iterable[Record]) -> Proof | None:
    """Return the newest proof by a load: a restore or a drill whose rows and files were equal to the manifest's."""
    newest = None
    for record in records:
        if record.outcome in _GOOD and is_proof(record) and (newest is None or record.started >= newest.started):
            newest = record
    return _proof(newest) if newest else None


def drill_due(records: Iterable[Record], fingerprint: str) -> str | None:
    """Return why a backup with this schema is to be loaded and proven now, None if that was done since."""
    proved = [record.proved for record in records if record.proved and record.outcome in _GOOD]
    if not proved:
        return "no backup of this site was loaded and proven so far"
    return None if proved[-1] == fingerprint else "the schema has changed since a backup was last loaded and proven"


def verified(records: Iterable[Record], newest: Artifact | None) -> Proof | None:
    """Return when a backup was last read whole: by `verify`, or when the newest good backup was made and read back."""
    found = [_proof(record) for record in records if record.verb in READS and record.outcome is Outcome.DONE]
    if newest:
        found.append(Proof(at=newest.created, what=newest.name, by="backup"))
    return max(found, key=lambda proof: proof.at, default=None)


def damaged(records: Iterable[Record]) -> dict[str, str]:
    """Return the artifacts that were found bad after they were made, and not found good since: name and message.

    A backup that failed its drill is good again when a load has proven it, and not when it was only read.
    """
    found: dict[str, Record] = {}
    for record in records:
        if _is_read(record) and record.outcome is Outcome.DONE:
            bad = found.get(record.subject)
            if bad and (bad.verb != Verb.DRILL or is_proof(record)):
                del found[record.subject]
        elif name := _found_bad(record):
            found[name] = record
    return {name: record.message for name, record in found.items()}


def _is_read(record: Record) -> bool:
    """Return whether an artifact of the backup directory was read to its end, and not the copy on a target."""
    return record.verb in READS and FROM not in record.why


def _found_bad(record: Record) -> str:
    """Return the name of the artifact that a run found bad, "" where it found none."""
    if record.outcome is not Outcome.FAILED or record.exit_code != ProofFailed.exit_code:
        return ""
    if record.verb in READS:
        return record.subject if _is_read(record) and parse(record.subject) else ""
    if record.damaged is not UNSET:
        return record.damaged
    # A line of a development version before 0.1.0 has no such field: `nightly` began its message with the name.
    name = record.message.split(" ", maxsplit=1)[0]
    return name if record.verb in BACKUPS and parse(name) else ""


def suspects(records: Sequence[Record], artifacts: Iterable[Artifact]) -> dict[str, str]:
    """Return the names of artifacts that may be bad, each with the reason: artifacts found bad, and related ones.

    A restore point is no better than its worst component. A component of a bad point is suspect until it is verified.
    """
    bad = damaged(records)
    good = {record.subject for record in records if _is_read(record) and record.outcome is Outcome.DONE} - {*bad}
    found = {name: f"was found bad: {why}" for name, why in bad.items()}
    for point in artifacts:
        for name in members_of(point):
            if name in bad:
                found.setdefault(point.name, f"its component {name} was found bad")
            elif point.name in bad and name not in good:
                found.setdefault(name, f"is a component of {point.name}, which was found bad")
    return found


def members_of(point: Artifact) -> list[str]:
    """Return the names of the two backups that a restore point binds; none of a broken point or of another kind."""
    if point.header is None or not KINDS[point.kind].components:
        return []
    return [name for name in (point.header.database_backup, point.header.media_backup) if name]


def partly(records: Sequence[Record]) -> Record | None:
    """Return the newest backup that ended when it was done in part only: the backup is good, a step after it failed."""
    ended = (record for record in reversed(records) if record.verb in BACKUPS and record.outcome is not Outcome.BEGUN)
    newest = next(ended, None)
    return newest if newest and newest.outcome is Outcome.PARTLY else None


def last_incident(records: Sequence[Record]) -> Record | None:
    """Return the last incident simulation that has a score, in `why`."""
    return next((one for one in reversed(records) if one.verb == Verb.INCIDENT and "tried" in one.why), None)


def is_proof(record: Record) -> bool:
    """Return whether an operation that ended well has shown that a backup equals the saved data."""
    if record.verb == Verb.COMPARE:
        return record.outcome is Outcome.DONE
    if record.verb == Verb.VERIFY:  # a Django backup is read to its end at that depth, too, and not loaded
        named = parse(record.subject)
        return record.why.get("depth") == "full" and named is not None and not KINDS[named.kind].loaded_by_django
    return record.verb == Verb.DRILL or any(step.id in PROVEN for step in record.steps)


def _proof(record: Record) -> Proof:
    return Proof(
        at=record.started,
        what=record.subject,
        by=record.verb,
        seconds=record.seconds,
        downtime=record.downtime,
        recovery=recovery_seconds(record.phases) if record.phases else None,
        place=record.place or "",
    )


def _key(record: Record) -> _Key:
    if record.verb in BACKUPS:
        return Verb.BACKUP, record.subject
    if record.verb == Verb.DRILL:  # a bad backup is bad until it is proven; an error of the place is one of the verb
        return record.verb, record.subject if _found_bad(record) else ""
    return record.verb, record.subject if record.verb == Verb.VERIFY else ""


def _made_good(record: Record) -> set[_Key]:
    covered = _COVERS.get(record.subject, ()) if record.verb in BACKUPS else ()
    drilled = {(Verb.DRILL, record.subject)} if record.verb == Verb.DRILL else set()
    return {_key(record), *((Verb.BACKUP, subject) for subject in covered), *drilled}


def _failing(key: _Key, runs: Sequence[Record], succeeded: datetime | None) -> Failing:
    last, (verb, subject) = runs[-1], key
    words = _NO_ERRORS.get(last.outcome, "") or last.message
    return Failing(
        what=f"{verb} {subject}".rstrip(),
        verb=verb,
        subject=subject,
        times=len(runs),
        since=runs[0].started,
        last=last.started,
        outcome=last.outcome,
        exit_code=last.exit_code,
        message=words,
        succeeded=succeeded,
    )
