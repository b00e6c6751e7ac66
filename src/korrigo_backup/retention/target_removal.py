"""Prune on a target: remove copies, and objects that no receipt names; then read back that they are gone.

The receipt of a copy goes first: what is left after a kill belongs to no copy. An object that no receipt names is
marked, and removed by a prune at least `GRACE` later: a copy that another host makes at the same time has put its
receipt by then. The caller holds the lock of copies.

One file: the order of these steps is what keeps a copy whole.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import msgspec

from korrigo_backup.artifact.naming import is_kit, parse
from korrigo_backup.artifact.signature import sign
from korrigo_backup.core.moment import require_moment
from korrigo_backup.errors import KorrigoBackupError, PartlyDone, ProofFailed, Refused, Unreachable
from korrigo_backup.retention import holds
from korrigo_backup.retention.hold import standing
from korrigo_backup.retention.on_target import authentic, listed, marks_path, plan
from korrigo_backup.retention.prune import CLOCK, CONFIRMED
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import CopyRemoved, TargetSwept
from korrigo_backup.system import lock
from korrigo_backup.system.files import explained, open_own, read_plain, replace_whole, write_all
from korrigo_backup.targets.copy import LOCK
from korrigo_backup.targets.ledger import Ledger
from korrigo_backup.targets.port import DeletingTarget
from korrigo_backup.targets.receipt import SUFFIX, artifact_of, is_stored, receipt_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.retention.on_target import TargetPruneOptions, TargetPruning
    from korrigo_backup.run.journal import JournaledSite
    from korrigo_backup.targets.read_back import TargetReader

GRACE = timedelta(days=2)
"""How long an object must be known to be named by no receipt before it is removed."""

_FEW = 20
"""So many stored files may be removed at once, whatever share of the store they are."""

_AT_ONCE = 4
_LARGEST = 256 * 1024 * 1024


class RemovedCopy(msgspec.Struct, frozen=True):
    """A copy that was removed: its name, and how many objects of how many bytes it had alone."""

    name: str
    objects: int
    size: int


class RemovalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a prune on a target; `read_back` is when its list showed none of the removed objects."""

    target: str
    place: str
    site: str
    removed: tuple[RemovedCopy, ...]
    swept: int = 0
    swept_bytes: int = 0
    waiting: int = 0
    read_back: datetime | None = None


class _Marks(msgspec.Struct, kw_only=True):
    """When each object that no receipt names was first seen; `at` is when all receipts were last read."""

    at: datetime | None = None
    unnamed: dict[str, datetime] = {}

    def __post_init__(self) -> None:
        for moment in (self.at, *self.unnamed.values()):
            require_moment(moment)


@dataclass
class _Work:
    """A prune at work: the objects that it has deleted, the copies that it has removed, the problems it met."""

    reader: TargetReader
    options: TargetPruneOptions
    ledger: Ledger
    target: DeletingTarget
    gone: set[str] = field(default_factory=set)
    removed: list[RemovedCopy] = field(default_factory=list)
    problems: list[KorrigoBackupError] = field(default_factory=list)

    def delete(self, name: str) -> None:
        """Delete an object and note it in the ledger; raises as the port."""
        self.target.delete(f"{self.reader.site}/{name}")
        self.gone.add(name)
        self.ledger.remove(name)


def pruned(
    reader: TargetReader, options: TargetPruneOptions, site: JournaledSite, key: Key, *, pause: timedelta = timedelta()
) -> tuple[TargetPruning, RemovalRecord]:
    """Plan and carry out a prune on a target under the lock of copies, with a line in the journal.

    Raises as `plan` and `carry_out`, and Locked while copies are made.
    """
    require_right(reader)
    directory = reader.catalog.directory
    why = {CLOCK: CONFIRMED} if options.meant.clock else {}
    with (
        lock.exclusive(directory / LOCK, "prune of copies"),
        recorded(
            directory, site, Verb.PRUNE_COPIES, reader.destination.name, listener=options.listen, why=why
        ) as running,
    ):
        options = replace(options, listen=running.listen)
        pruning = plan(reader, options)
        return pruning, carry_out(reader, options, pruning, key, pause=pause)


def carry_out(
    reader: TargetReader,
    options: TargetPruneOptions,
    pruning: TargetPruning,
    key: Key,
    *,
    pause: timedelta = timedelta(),
) -> RemovalRecord:
    """Remove what the plan removes, and return the result as it was read back; it is also signed and written down.

    Receipts are read for objects that none names if that was not done for `pause`. Raises Refused without the right to
    delete, and with the plan's refusal; PartlyDone if something could not be removed, or is still there.
    """
    target = require_right(reader)
    if pruning.refusal:
        raise pruning.refusal
    work = _Work(reader, options, Ledger(reader.catalog.directory, reader.destination.name), target)
    with reader.directory() as to:
        for artifact in pruning.leaving:
            _remove(work, artifact, pruning.there, to)
        swept = _sweep(work, to, pause)
        still = sorted(work.gone & set(listed(reader)[0])) if work.gone else []
    record = RemovalRecord(
        target=reader.destination.name,
        place=reader.destination.target.place,
        site=reader.site,
        removed=tuple(work.removed),
        swept=swept.files,
        swept_bytes=swept.bytes,
        waiting=swept.waiting,
        read_back=None if still else datetime.now(UTC),
    )
    if work.gone:
        _write_down(reader.catalog.directory / f".pruned-{record.target}.jsonl", record, key)
    if still:
        work.problems.append(
            ProofFailed(
                f"{record.target}: {len(still)} deleted objects are still there, such as {still[0]}",
                hint="see whether somebody else has put versions of them, or the server lies",
            )
        )
    _require_done(work, record)
    return record


def require_right(reader: TargetReader) -> DeletingTarget:
    """Return the target with its right to delete; Refused without it."""
    target = reader.destination.target
    if not (reader.destination.may_delete and isinstance(target, DeletingTarget)):
        raise Refused(
            f"this host may not delete on {reader.destination.name}: may_delete is false",
            hint=f"set may_delete = true in [targets.{reader.destination.name}], with a key that may delete there;"
            " or remove the copies of the plan by a machine that has this right",
        )
    return cast("DeletingTarget", target)


def _require_done(work: _Work, record: RemovalRecord) -> None:
    if work.problems:
        first = work.problems[0]
        raise PartlyDone(
            f"{len(record.removed)} copies are removed from {record.target}, not all is done: {first.message}",
            hint=first.hint,
            state="the copies that the plan keeps are untouched",
        )


def _remove(work: _Work, artifact: Artifact, there: Mapping[str, int], to: Path) -> None:
    """Remove a copy: its receipt first, then the objects that belong to it alone. A hold since the plan is heeded."""
    name = artifact.name
    if name in standing(holds.read(work.reader.catalog.directory), work.options.now):
        return
    try:
        receipt = authentic(work.reader, name, to)
        if receipt is None:
            raise ProofFailed(
                f"the receipt of {name} on {work.reader.destination.name} is not this site's",
                hint=f"korrigo-backup verify --on {work.reader.destination.name} {name}",
            )
        work.ledger.remove(receipt_name(name), pruned=datetime.now(UTC))
        work.target.delete(f"{work.reader.site}/{receipt_name(name)}")
        work.gone.add(receipt_name(name))
        own = [one.name for one in receipt.objects if artifact_of(one.name) == name]
        for one in own:
            work.delete(one)
    except Unreachable:
        raise
    except KorrigoBackupError as problem:
        work.problems.append(problem)
        return
    work.removed.append(RemovedCopy(name, len(own) + 1, sum(there.get(one, 0) for one in own)))
    work.options.listen(CopyRemoved(work.reader.destination.name, name))


# Objects that no receipt names


@dataclass(frozen=True)
class _Swept:
    files: int = 0
    bytes: int = 0
    waiting: int = 0


def _sweep(work: _Work, to: Path, pause: timedelta) -> _Swept:
    """Remove objects that no receipt names, and that a prune at least `GRACE` ago has found unnamed, too."""
    path, now = marks_path(work.reader), work.options.now.astimezone(UTC)
    marks = _read_marks(path)
    if marks.at and timedelta() <= now - marks.at < pause:
        return _Swept(waiting=len(marks.unnamed))
    there, _ = listed(work.reader)  # before the receipts: what is put meanwhile is in no list
    try:
        named = _named(work.reader, there, to)
    except Unreachable:
        raise
    except KorrigoBackupError as problem:
        work.problems.append(problem)
        return _Swept()
    unnamed = {name for name in _ours(work, there) if name not in named}
    since = {name: min(marks.unnamed.get(name, now), now) for name in unnamed}
    _write_marks(path, _Marks(at=now, unnamed=since))
    due = sorted(name for name in unnamed if now - since[name] >= GRACE and not _is_locked(work, name, now))
    if _too_many(work, due, there):
        return _Swept(waiting=len(unnamed))
    late = {name for name in listed(work.reader)[0] if name.endswith(SUFFIX)} - set(there)
    due = [name for name in due if name not in _named(work.reader, late, to)] if late and due else due
    done = _delete_all(work, due)
    size = sum(there[name] for name in done)
    _write_marks(path, _Marks(at=now, unnamed={name: at for name, at in since.items() if name not in done}))
    work.options.listen(TargetSwept(work.reader.destination.name, len(done), size, len(unnamed) - len(done)))
    return _Swept(len(done), size, len(unnamed) - len(done))


def _delete_all(work: _Work, names: list[str]) -> set[str]:
    done: set[str] = set()

    def delete(name: str) -> None:
        try:
            work.target.delete(f"{work.reader.site}/{name}")
        except Unreachable:
            raise
        except KorrigoBackupError as problem:
            work.problems.append(problem)
        else:
            done.add(name)

    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(delete, names))
    finally:
        for name in sorted(done):
            work.gone.add(name)
            work.ledger.remove(name)
    return done


def _named(reader: TargetReader, there: Iterable[str], to: Path) -> set[str]:
    """Return the objects that any receipt names, also one that another site or key has signed.

    ProofFailed if a receipt cannot be read: then nothing may be taken for unnamed.
    """
    found = set[str]()
    for name in there:
        if name.endswith(SUFFIX):
            receipt, _ = reader.receipt(name.removesuffix(SUFFIX), to)
            found |= {one.name for one in receipt.objects}
    return found


def _ours(work: _Work, there: Iterable[str]) -> set[str]:
    """Return the objects that are named as this program names them, without receipts.

    Those of a backup that is here are left out: the next copy goes on with them.
    """
    here = {one.name for one in work.reader.catalog.artifacts()} | {one.name for one in work.reader.catalog.kits()}
    found = set[str]()
    for name in there:
        line = work.ledger.lines.get(name)
        owner = artifact_of(name) or (line.artifact if line else "")
        known = is_stored(name) or parse(owner) is not None or is_kit(owner)
        if known and not name.endswith(SUFFIX) and not _is_pending(work, owner, here):
            found.add(name)
    return found


def _is_pending(work: _Work, artifact: str, here: set[str]) -> bool:
    """Return whether a backup is here, and its copy has begun and not ended."""
    line = work.ledger.lines.get(receipt_name(artifact))
    return artifact in here and not (line and (line.sent or line.pruned))


def _is_locked(work: _Work, name: str, now: datetime) -> bool:
    line = work.ledger.lines.get(name)
    return line is not None and (line.held is not None or (line.locked_until is not None and line.locked_until > now))


def _too_many(work: _Work, due: list[str], there: Iterable[str]) -> bool:
    stored, total = sum(map(is_stored, due)), sum(map(is_stored, there))
    if stored <= _FEW or stored * 2 <= total or work.options.meant.many:
        return False
    command = f"korrigo-backup prune --on {work.reader.destination.name}"
    work.problems.append(
        PartlyDone(
            f"{stored} of {total} media files on {work.reader.destination.name} are named by no copy any more",
            hint=f"see whether copies were lost (korrigo-backup list --on {work.reader.destination.name});"
            f" if it is meant: {command} --apply --allow-many",
        )
    )
    return True


def _read_marks(path: Path) -> _Marks:
    """Return the marks; none if they cannot be read, so that every object is marked anew."""
    try:
        return msgspec.json.decode(read_plain(path, _LARGEST), type=_Marks)
    except (OSError, ValueError, KorrigoBackupError, msgspec.DecodeError):
        return _Marks()


def _write_marks(path: Path, marks: _Marks) -> None:
    with explained(f"write {path}"):
        replace_whole(path, msgspec.json.encode(marks))


def _write_down(path: Path, record: RemovalRecord, key: Key) -> None:
    """Add a signed line about a removal."""
    line = msgspec.json.encode(msgspec.json.decode(sign(msgspec.json.encode(record), key)))
    with explained(f"write {path}"), os.fdopen(open_own(path, os.O_WRONLY | os.O_APPEND), "wb", buffering=0) as file:
        write_all(file, line + b"\n")
        os.fsync(file.fileno())
