"""The copy of artifacts to one target, in a thread of its own.

An object that is on the target and in its ledger is not sent again. What is being sent sealed lies in a spool directory
and in the ledger, so that the run after a killed one goes on with the same bytes.

One file: the way of a file from the backup directory to the receipt, step by step.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.signature import sign
from korrigo_backup.core.finding import Finding, loss, warning
from korrigo_backup.errors import KorrigoBackupError, NotFound, ProofFailed, Refused, Unreachable
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.run.step import CopySent, CopyTriedAgain
from korrigo_backup.system import age
from korrigo_backup.system.files import (
    CHUNK,
    create_private,
    explained,
    open_plain,
    private_directory,
    remove_tree,
    sha256_of,
    write_private,
)
from korrigo_backup.system.progress import Unit, Work, under_way
from korrigo_backup.targets.batch import batches, gathered
from korrigo_backup.targets.ledger import Ledger, LedgerLine
from korrigo_backup.targets.legal_hold import switch_holds
from korrigo_backup.targets.port import (
    BatchingTarget,
    ConnectingTarget,
    DeletingTarget,
    LockingTarget,
    ObjectLock,
    PacedTarget,
    PutObject,
    PutResult,
)
from korrigo_backup.targets.receipt import (
    SEALED_SUFFIX,
    SUFFIX,
    Receipt,
    ReceiptObject,
    decode,
    is_stored,
    receipt_name,
    stored_name,
)
from korrigo_backup.targets.receipts_there import ReceiptsThere
from korrigo_backup.targets.verify_copy import hidden_objects

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.run.step import Listener
    from korrigo_backup.targets.destination import Destination
    from korrigo_backup.targets.items import CopyItem

SPOOL_PREFIX = ".copying-"
_PAUSES = (2.0, 10.0, 30.0)
"""Seconds before each further try of a target that does not answer."""

_LOCKED_ENOUGH = 0.9
"""The part of `lock_days` for which a stored file that is there already must be locked; else its lock is lengthened."""

_AT_ONCE = 4
"""Files of the media store that are sent at the same time to a target."""


@dataclass
class TargetResult:
    """The result of a target: artifacts sent now, artifacts that were there, bytes sent, problems and findings."""

    name: str
    place: str
    sent: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    bytes: int = 0
    problems: list[KorrigoBackupError] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class CopyOptions:
    """The input of a copy: the site's identity, the signing key, the artifacts, and the pauses between tries.

    With `named` a person has named the artifacts: those that a policy has removed from a target are sent again, too.
    `held` are the names on hold, None if they cannot be read.
    """

    site: str
    key: Key
    items: Sequence[CopyItem]
    listen: Listener
    named: bool = False
    held: frozenset[str] | None = frozenset()
    pauses: Sequence[float] = _PAUSES


class Stopped(Exception):
    """The run was interrupted."""


class TargetCopy:
    """The copy to one target, in a thread of its own."""

    def __init__(self, catalog: Catalog, destination: Destination, options: CopyOptions, stop: threading.Event) -> None:
        self._target = destination.target
        self._destination = destination
        self._options = options
        self._stop = stop
        self._ledger = Ledger(catalog.directory, destination.name)
        self._spool = catalog.directory / f"{SPOOL_PREFIX}{destination.name}"
        self._catalog = catalog
        self._there: dict[str, int] | None = None
        self._lost = False
        """Whether a file of the media store that was sent is missing or bad there, or was sent again."""
        self.result = TargetResult(destination.name, self._target.place)
        self._work = Work(name=f"copying to {destination.name}", unit=Unit.FILES, look=self._show)
        self._taken_before = 0
        self._done = 0
        """Bytes of the objects that were sent."""

    def run(self) -> None:
        """Copy all items; whatever happens is in the result."""
        try:
            connected = self._target.connected() if isinstance(self._target, ConnectingTarget) else nullcontext()
            with under_way(self._work), connected:
                self._run()
        except Stopped:
            pass
        except KorrigoBackupError as problem:
            self.result.problems.append(problem)
        except Exception as problem:  # noqa: BLE001 - a thread has no boundary of its own
            self.result.problems.append(
                KorrigoBackupError(
                    f"{self.result.name}: unexpected {type(problem).__name__}: {problem}",
                    hint="this is a fault of the program: report it",
                )
            )

    def _show(self, work: Work) -> None:
        """Bring the bytes of the work up to date; a target that sends them by itself counts the bytes under way."""
        work.size = max(self._done, self._taken() - self._taken_before)

    def _taken(self) -> int:
        return self._target.pace.taken if isinstance(self._target, PacedTarget) else 0

    def _to_send(self, path: Path) -> None:
        """Add an object that is going to be sent to the totals of the work."""
        self._work.whole = (self._work.whole or 0) + _size(path)
        self._work.number = (self._work.number or 0) + 1

    def _run(self) -> None:
        self._taken_before = self._taken()
        private_directory(self._spool)
        self._patiently(self._look)
        self._copy_all()
        if self.result.sent and self._there is not None:  # a prune of another host may have met this copy
            self._patiently(self._look)
            if not all(self._is_there(line.object) for line in self._stored_lines()):
                self._copy_all()
        if self._destination.legal_hold:
            self._patiently(self._switch_holds)
        if self._lost and not self.result.problems and not self._options.named:
            self._patiently(self._settle_lost)
        if not self.result.problems:
            with explained(f"remove {self._spool}"):
                remove_tree(self._spool)

    def _copy_all(self) -> None:
        for item in self._options.items:
            try:
                self._patiently(lambda item=item: self._copy(item))  # type: ignore[misc]
            except (ProofFailed, NotFound) as problem:  # of this artifact alone
                self.result.problems.append(problem)

    def _patiently(self, act: Callable[[], None]) -> None:
        """Do it; try again after a pause while the target does not answer."""
        for pause in self._options.pauses:
            try:
                return act()
            except Unreachable as problem:
                self._options.listen(CopyTriedAgain(problem.message))
                if self._stop.wait(pause):
                    raise Stopped from None
        return act()

    def _look(self) -> None:
        """List the objects of this site; a key that may only write cannot, and the ledger is believed then."""
        try:
            found = list(self._target.list(f"{self._options.site}/"))
            self._there = {one.name: one.size for one in found}
            self._notice_hidden([one.name for one in found if one.is_hidden])
        except Refused:
            self._there = None
            self.result.findings.append(
                warning("target.unseen", f"{self.result.name}: this key may not list what is there",
                        "verify it with a key that may read: korrigo-backup verify --on TARGET")
            )  # fmt: skip
        self._lost = any(line.again or not self._is_there(line.object) for line in self._stored_lines())

    @property
    def _receipts(self) -> ReceiptsThere:
        return ReceiptsThere(self._target, self._options.site, self._catalog, self._spool)

    def _stored_lines(self) -> list[LedgerLine]:
        """Return the files of the media store that were sent once, also if they are missing or bad there now."""
        return [one for one in self._ledger.lines.values() if is_stored(one.object) and (one.sent or one.again)]

    def _settle_lost(self) -> None:
        """Note that all files that a backup here needs are there again, and name the copies that lack another one.

        A file that no copy there names was removed by a prune of another host.
        """
        self._look()
        lost = {one.object: one for one in self._stored_lines() if not self._is_there(one.object)}
        if lost and self._there is not None:
            named, finding = self._receipts.lost(lost, (one.partition("/")[2] for one in self._there))
            self.result.findings += [finding] if finding else []
            for name in lost.keys() - named:
                self._ledger.remove(name)
        sent = (line for line in self._stored_lines() if line.again and line.sent)
        self._ledger.write(*(msgspec.structs.replace(line, again=False) for line in sent))

    def _notice_hidden(self, names: Sequence[str]) -> None:
        if names and not any(finding.id == "target.hidden" for finding in self.result.findings):
            self.result.findings.append(hidden_objects(self.result.name, names))

    def _copy(self, item: CopyItem) -> None:
        whole = receipt_name(item.name)
        line = self._ledger.lines.get(whole)
        if line and line.pruned and not self._options.named:
            return
        own = [self._named(item, name) for name in item.files]
        if self._is_there(whole) and not self._lost and all(map(self._is_there, own)) and not self._is_old(whole, own):
            self.result.already.append(item.name)
            return
        self._adopt(whole)
        sealing = self._destination.seals and not item.is_kit
        before = dict(self._ledger.lines)
        for name, path in zip(own, item.files.values(), strict=True):
            if not self._is_there(name):
                self._to_send(path)
        lines = [*self._stored(item, sealing=sealing), *self._own(item, sealing=sealing)]
        same = all(_same(before.get(line.object), line) for line in lines)
        if self._is_there(whole) and same and not self._is_old(whole, [line.object for line in lines]):
            if item.name not in self.result.sent:
                self.result.already.append(item.name)
            return
        self._receipt(item, lines, sealing=sealing)
        self.result.sent.append(item.name)
        size = sum(line.size for line in lines)
        self._options.listen(CopySent(self.result.name, item.name, size, sealing))

    def _is_old(self, whole: str, names: Iterable[str]) -> bool:
        """Return whether a receipt is older than an object that was sealed and sent again: it names other bytes."""
        receipt = self._ledger.sent(whole)
        again = [line for name in names if (line := self._ledger.sent(name)) and line.again and line.sealed]
        return bool(receipt) and any(line.sent > receipt.sent for line in again)  # type: ignore[operator,union-attr]

    def _own(self, item: CopyItem, *, sealing: bool) -> list[LedgerLine]:
        """Put the files of an item, unless they are there, and return their lines."""
        return [
            self._object(item, self._named(item, name), path, item.sha256.get(name), sealing=sealing)
            for name, path in item.files.items()
        ]

    def _stored(self, item: CopyItem, *, sealing: bool) -> list[LedgerLine]:
        """Put the files of the media store that an item lists, unless they are there, several at once."""
        key, store = self._options.key if sealing else None, MediaStore(self._catalog.directory)
        files = {stored_name(sha256, key): (store.path(sha256), sha256) for sha256 in sorted(item.stored())}
        self._adopt_all(files)
        absent = [name for name in files if not self._is_there(name)]
        for name in absent:
            self._to_send(files[name][0])

        def put(name: str) -> LedgerLine:
            return self._object(item, name, *files[name], sealing=sealing)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            if isinstance(self._target, BatchingTarget):
                ahead: list[Future[tuple[Path, LedgerLine]]] = []  # made ready while the batch before is sent
                for batch in (*batches((name, _size(files[name][0])) for name in absent), []):
                    ready, ahead = (
                        ahead,
                        [pool.submit(self._ready, item, name, *files[name], sealing=sealing) for name in batch],
                    )
                    self._put_batch(self._target, [one.result() for one in ready])
            else:
                list(pool.map(put, files))
        return [self._ledger.lines[name] for name in files]

    def _put_batch(self, target: BatchingTarget, ready: Sequence[tuple[Path, LedgerLine]]) -> None:
        """Put files together, and write down those that are there; raise the first error of the others."""
        if not ready:
            return
        self._ledger.write(*(self._begun(line) for _, line in ready))
        if self._stop.is_set():
            raise Stopped
        objects = [PutObject(self._remote(line.object), source, line.sha256) for source, line in ready]
        with gathered(objects, self._spool / "batch") as together:
            results = target.put_many(together)
        done, problems = [], []
        for source, line in ready:
            match results[self._remote(line.object)]:
                case PutResult() as put:
                    done.append((source, line, put))
                case problem:
                    problems.append(problem)
        self._sent(*done)
        if problems:
            raise problems[0]

    def _named(self, item: CopyItem, name: str) -> str:
        return f"{name}{SEALED_SUFFIX}" if self._destination.seals and not item.is_kit else name

    def _remote(self, name: str) -> str:
        return f"{self._options.site}/{name}"

    def _is_there(self, name: str) -> bool:
        line = self._ledger.sent(name)
        if line is None or line.bad:
            return False
        return self._there is None or self._there.get(self._remote(name)) == line.size

    def _adopt(self, whole: str) -> None:
        """Take the objects of a receipt there into the ledger: this host may have lost its own, or another sent it."""
        line = self._ledger.lines.get(whole)
        if self._there is not None and self._remote(whole) in self._there and not (line and (line.sent or line.pruned)):
            self._receipts.adopt(self._ledger, whole)

    def _adopt_all(self, names: Iterable[str]) -> None:
        """Adopt all receipts there if one of the objects called `names` is there, and the ledger does not know it.

        A sealed file is not sealed twice in the same way: what another host has sent can only be known by its receipt.
        """
        there = self._there or {}
        if any(self._remote(name) in there and name not in self._ledger.lines for name in names):
            for remote in [one for one in there if one.endswith(SUFFIX)]:
                self._adopt(remote.partition("/")[2])

    def _object(self, item: CopyItem, name: str, path: Path, saved: str | None, *, sealing: bool) -> LedgerLine:
        """Put a file as the object `name`, unless it is there, and return its line in the ledger.

        `saved` is its SHA-256 where that is known; ProofFailed if it has another one.
        """
        if self._is_there(name):
            return self._locked(self._ledger.lines[name])
        return self._put(*self._ready(item, name, path, saved, sealing=sealing))

    def _ready(
        self, item: CopyItem, name: str, path: Path, saved: str | None, *, sealing: bool
    ) -> tuple[Path, LedgerLine]:
        """Return the file to send as the object `name`, and its line in the ledger; raises as `_object`."""
        if self._stop.is_set():
            raise Stopped
        if sealing:
            source, digest = self._sealed(path, name, saved)
        else:
            source = path
            with explained(f"read {path}"):
                digest, _ = sha256_of(path)
            _require_saved(path, saved, digest)
        size = source.stat().st_size
        return source, LedgerLine(object=name, artifact=item.name, size=size, sha256=digest, sealed=sealing)

    def _sealed(self, path: Path, name: str, saved: str | None) -> tuple[Path, str]:
        """Return a file sealed in the spool, and its SHA-256; that of a killed run is used if it is the same."""
        place, line = self._spool / name, self._ledger.lines.get(name)
        if line and not line.bad and place.exists() and sha256_of(place)[0] == line.sha256:
            return place, line.sha256
        private_directory(place.parent)
        place.unlink(missing_ok=True)
        with explained(f"seal {path} in {place}"), open_plain(path) as source:
            reader = _Hashing(source)
            with create_private(place) as to:
                age.seal_stream(reader, to, self._destination.recipients)  # type: ignore[arg-type]
        _require_saved(path, saved, reader.digest.hexdigest())
        if not age.is_sealed(place):
            raise ProofFailed(f"{place} was sealed and is no age file", hint="check the disk (dmesg)")
        return place, sha256_of(place)[0]

    def _put(self, source: Path, line: LedgerLine) -> LedgerLine:
        """Put a file as the object of `line`, and write down that it is there."""
        self._work.item = line.object
        self._ledger.write(self._begun(line))
        return self._sent((source, line, self._target.put(self._remote(line.object), source, line.sha256)))[0]

    def _begun(self, line: LedgerLine) -> LedgerLine:
        """Return the line of an object that is going to be sent; one that is bad there makes place for it."""
        remote, known = self._remote(line.object), self._ledger.lines.get(line.object)
        if known and (known.sent or known.bad) and isinstance(self._target, DeletingTarget):
            self._make_place(remote)
        again = known is not None and (known.sent is not None or known.again)
        return msgspec.structs.replace(line, bad=known.bad if known else "", again=again)

    def _sent(self, *done: tuple[Path, LedgerLine, PutResult]) -> list[LedgerLine]:
        """Write down that objects are there and return their lines; their files leave the spool."""
        now = datetime.now(UTC)
        lines = [
            msgspec.structs.replace(line, sent=now, locked_until=put.locked_until,
                                    lock_read=now if put.locked_until else None,
                                    again=self._ledger.lines[line.object].again)
            for _, line, put in done
        ]  # fmt: skip
        self._ledger.write(*lines)
        for source, line, put in done:
            self.result.bytes += line.size if put.is_new else 0
            self._done += line.size
            self._work.count += 1
            if self._there is not None:
                self._there[self._remote(line.object)] = line.size
            if source.is_relative_to(self._spool):
                source.unlink()
        return [self._locked(line) for line in lines]

    def _make_place(self, remote: str) -> None:
        """Delete an object that is bad there, cut or gone; ProofFailed if the target keeps it."""
        assert isinstance(self._target, DeletingTarget)  # noqa: S101 - for mypy
        try:
            self._target.delete(remote)
        except Refused as problem:
            raise ProofFailed(f"{problem.message}; it is damaged there", hint=problem.hint) from None

    def _locked(self, line: LedgerLine) -> LedgerLine:
        """Return the line of an object with a lock that lasts long enough, lengthened if it does not."""
        days = self._destination.lock_days
        enough = datetime.now(UTC) + timedelta(days=days * _LOCKED_ENOUGH)
        if not days or (line.locked_until and line.locked_until >= enough):
            return line
        lock = ObjectLock()
        if isinstance(self._target, LockingTarget):
            try:
                lock = self._target.retain(self._remote(line.object))
            except Unreachable:
                raise
            except KorrigoBackupError:  # the finding says that it is not locked
                lock = ObjectLock()
        if lock.until is None or lock.until < enough:
            self._unlocked(line.object)
            return line
        line = msgspec.structs.replace(line, locked_until=lock.until, lock_read=datetime.now(UTC))
        self._ledger.write(line)
        return line

    def _switch_holds(self) -> None:
        self.result.findings += switch_holds(self._receipts, self._ledger, self._options.held)

    def _unlocked(self, name: str) -> None:
        if any(finding.id == "target.unlocked" for finding in self.result.findings):
            return
        self.result.findings.append(
            loss("target.unlocked", f"{self.result.name}: the server keeps no retention on {name}: it can be deleted",
                 "make the bucket with Object Lock, or set lock_days = 0")
        )  # fmt: skip

    def _receipt(self, item: CopyItem, lines: Sequence[LedgerLine], *, sealing: bool) -> None:
        name = receipt_name(item.name)
        place, line = self._spool / name, self._ledger.lines.get(name)
        objects = tuple(ReceiptObject(one.object, one.size, one.sha256) for one in lines)
        known = line is not None and place.exists() and sha256_of(place)[0] == line.sha256
        if not known or decode(place.read_bytes(), name).objects != objects:
            receipt = Receipt(
                artifact=item.name,
                site=self._options.site,
                created=item.created.astimezone(UTC),
                copied=datetime.now(UTC),
                sealed=sealing or item.is_kit,
                components=item.components,
                objects=objects,
            )
            place.unlink(missing_ok=True)
            with explained(f"write {place}"):
                write_private(place, sign(msgspec.json.encode(receipt), self._options.key))
        digest, size = sha256_of(place)
        line = self._put(place, LedgerLine(object=name, artifact=item.name, size=size, sha256=digest,
                                           sealed=sealing or item.is_kit, whole=True, components=item.components,
                                           created=item.created.astimezone(UTC)))  # fmt: skip
        ends = [one.locked_until for one in (*lines, line)]
        locks = [end for end in ends if end]
        end = min(locks) if len(locks) == len(ends) else None
        self._ledger.write(msgspec.structs.replace(line, locked_until=end, lock_read=line.lock_read if end else None))


class _Hashing:
    """A file that is read once and hashed on the way."""

    def __init__(self, file: object) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = CHUNK) -> bytes:
        """Return the next bytes."""
        data: bytes = self._file.read(size)  # type: ignore[attr-defined]
        self.digest.update(data)
        return data


def _require_saved(path: Path, saved: str | None, digest: str) -> None:
    if saved is not None and saved != digest:
        raise ProofFailed(
            f"{path} differs from its manifest, so it is not copied",
            hint="korrigo-backup verify all; then use another backup",
        )


def _size(path: Path) -> int:
    with explained(f"read {path}"):
        return path.stat().st_size


def _same(before: LedgerLine | None, now: LedgerLine) -> bool:
    return before is not None and before.sha256 == now.sha256
