"""Copy artifacts to all targets at once; each target by itself, so that none keeps another from its copies.

An object that is on a target and in its ledger is not sent again. A run that was killed is resumed: what is being sent
lies in a spool directory, and the ledger names it. Only the copy reads the backup directory, and it changes no backup.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.signature import sign
from korrigo_backup.core.finding import Finding, loss, warning
from korrigo_backup.errors import KorrigoBackupError, NotFound, PartlyDone, ProofFailed, Refused, Unreachable
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.record import Step, Verb
from korrigo_backup.system import age, lock
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
from korrigo_backup.targets.ledger import Ledger, LedgerLine
from korrigo_backup.targets.port import DeletingTarget
from korrigo_backup.targets.receipt import SEALED_SUFFIX, Receipt, ReceiptObject, decode, receipt_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.run.journal import JournaledSite
    from korrigo_backup.run.record import Listener
    from korrigo_backup.targets.destination import Destination
    from korrigo_backup.targets.items import CopyItem

LOCK = ".copying"
"""The lock file of a copy: it does not keep a backup from being made."""

SPOOL_PREFIX = ".copying-"
_PAUSES = (2.0, 10.0, 30.0)
"""Seconds before each further try of a target that does not answer."""

_NAMED = 3
"""Problems of a target that are named."""

_ENDING = 5.0
"""Seconds for the threads to see that they shall stop."""


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
    """The input of a copy: the site's identity, the signing key, the artifacts, and the pauses between tries."""

    site: str
    key: Key
    items: Sequence[CopyItem]
    listen: Listener
    pauses: Sequence[float] = _PAUSES


def copy(catalog: Catalog, destinations: Sequence[Destination], options: CopyOptions) -> list[TargetResult]:
    """Copy every item to every target and return a result for each; Locked while another copy runs.

    The problems of a target are in its result: none is raised.
    """
    with lock.exclusive(catalog.directory / LOCK, "copy"):
        stop = threading.Event()
        copies = [_TargetCopy(catalog, one, options, stop) for one in destinations]
        threads = [threading.Thread(target=one.run, name=one.result.name, daemon=True) for one in copies]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():  # a join without a limit would not let a signal through
                    thread.join(0.2)
        except BaseException:
            stop.set()
            for thread in threads:
                thread.join(_ENDING)
            raise
    return [one.result for one in copies]


def recorded_copy(
    catalog: Catalog, destinations: Sequence[Destination], options: CopyOptions, name: JournaledSite
) -> list[TargetResult]:
    """Copy as `copy` does, with a line in the journal that has the problems of the targets."""
    results: list[TargetResult] = []
    subject = ", ".join(one.name for one in destinations)
    with (
        suppress(PartlyDone),  # it is for the journal; the caller raises it after it has shown the results
        recorded(catalog.directory, name, Verb.COPY, subject, listener=options.listen) as running,
    ):
        results += copy(catalog, destinations, replace(options, listen=running.listen))
        running.bytes = sum(result.bytes for result in results)
        require_all(results)
    return results


def require_all(results: Sequence[TargetResult]) -> None:
    """Raise PartlyDone for targets that lack a copy, each with its reason; the local backups are not concerned."""
    bad = [result for result in results if result.problems]
    losses = [finding for result in results for finding in result.findings if finding.id == "target.unlocked"]
    if not bad and not losses:
        return
    messages = [problem.message for result in bad for problem in result.problems[:_NAMED]]
    more = [(len(result.problems) - _NAMED, result.name) for result in bad]
    messages += [f"and {number} more on {name}" for number, name in more if number > 0]
    hints = [problem.hint for result in bad for problem in result.problems[:1]]
    raise PartlyDone(
        "; ".join([*messages, *(finding.message for finding in losses)]),
        hint="; ".join(dict.fromkeys([*hints, *(finding.hint for finding in losses)])),
        state="the backups on this machine are untouched; a copy that is not complete is not listed there",
    )


class _Stopped(Exception):
    """The run was interrupted."""


class _TargetCopy:
    """The copy to one target, in a thread of its own."""

    def __init__(self, catalog: Catalog, destination: Destination, options: CopyOptions, stop: threading.Event) -> None:
        self._target = destination.target
        self._destination = destination
        self._options = options
        self._stop = stop
        self._ledger = Ledger(catalog.directory, destination.name)
        self._spool = catalog.directory / f"{SPOOL_PREFIX}{destination.name}"
        self._catalog = catalog
        self._there: Mapping[str, int] | None = None
        self.result = TargetResult(destination.name, self._target.place)

    def run(self) -> None:
        """Copy all items; whatever happens is in the result."""
        try:
            self._run()
        except _Stopped:
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

    def _run(self) -> None:
        private_directory(self._spool)
        self._patiently(self._look)
        for item in self._options.items:
            try:
                self._patiently(lambda item=item: self._copy(item))  # type: ignore[misc]
            except (ProofFailed, NotFound) as problem:  # of this artifact alone
                self.result.problems.append(problem)
        if not self.result.problems:
            with explained(f"remove {self._spool}"):
                remove_tree(self._spool)

    def _patiently(self, act: Callable[[], None]) -> None:
        """Do it; try again after a pause while the target does not answer."""
        for pause in self._options.pauses:
            try:
                return act()
            except Unreachable as problem:
                self._options.listen(Step("copy.again", {"target": self.result.name, "message": problem.message}))
                if self._stop.wait(pause):
                    raise _Stopped from None
        return act()

    def _look(self) -> None:
        """List the objects of this site; a key that may only write cannot, and the ledger is believed then."""
        try:
            found = self._target.list(f"{self._options.site}/")
            self._there = {one.name: one.size for one in found}
        except Refused:
            self._there = None
            self.result.findings.append(
                warning("target.unseen", f"{self.result.name}: this key may not list what is there",
                        "verify it with a key that may read: korrigo-backup verify --on TARGET")
            )  # fmt: skip

    def _copy(self, item: CopyItem) -> None:
        whole = receipt_name(item.name)
        if self._is_there(whole) and all(self._is_there(self._named(item, name)) for name in item.files):
            self.result.already.append(item.name)
            return
        self._adopt(item, whole)
        sealing = self._destination.seals and not item.is_kit
        before = {line.object: line.sha256 for line in self._ledger.lines.values() if line.artifact == item.name}
        lines = [self._object(item, name, sealing=sealing) for name in item.files]
        if not (self._is_there(whole) and all(before.get(line.object) == line.sha256 for line in lines)):
            self._receipt(item, lines, sealing=sealing)
        self.result.sent.append(item.name)
        size = sum(line.size for line in lines)
        facts = {"target": self.result.name, "name": item.name, "bytes": str(size), "sealed": str(sealing)}
        self._options.listen(Step("copy.sent", facts))

    def _named(self, item: CopyItem, name: str) -> str:
        return f"{name}{SEALED_SUFFIX}" if self._destination.seals and not item.is_kit else name

    def _remote(self, name: str) -> str:
        return f"{self._options.site}/{name}"

    def _is_there(self, name: str) -> bool:
        line = self._ledger.sent(name)
        if line is None or line.bad:
            return False
        return self._there is None or self._there.get(self._remote(name)) == line.size

    def _adopt(self, item: CopyItem, whole: str) -> None:
        """Take the objects of an authentic receipt there into the ledger: this host may have lost its own."""
        if self._there is None or self._remote(whole) not in self._there or self._ledger.sent(whole):
            return
        place = self._spool / "receipt"
        place.unlink(missing_ok=True)
        digest = self._target.fetch(self._remote(whole), place)
        raw = place.read_bytes()
        place.unlink()
        if self._catalog.authenticity(raw).value != "authentic":
            return
        receipt = decode(raw, whole)
        for one in receipt.objects:
            self._ledger.write(LedgerLine(object=one.name, artifact=item.name, size=one.size, sha256=one.sha256,
                                          sent=receipt.copied, sealed=receipt.sealed))  # fmt: skip
        self._ledger.write(LedgerLine(object=whole, artifact=item.name, size=len(raw), sha256=digest,
                                      sent=receipt.copied, sealed=receipt.sealed, whole=True))  # fmt: skip

    def _object(self, item: CopyItem, name: str, *, sealing: bool) -> LedgerLine:
        """Put a file of an item, unless it is there, and return its line in the ledger."""
        named = self._named(item, name)
        if self._is_there(named):
            return self._ledger.lines[named]
        if self._stop.is_set():
            raise _Stopped
        source, sha256 = self._sealed(item, name) if sealing else (item.files[name], self._plain(item, name))
        size = source.stat().st_size
        line = LedgerLine(object=named, artifact=item.name, size=size, sha256=sha256, sealed=sealing)
        return self._put(source, line)

    def _plain(self, item: CopyItem, name: str) -> str:
        with explained(f"read {item.files[name]}"):
            digest, _ = sha256_of(item.files[name])
        _require_saved(item, name, digest)
        return digest

    def _sealed(self, item: CopyItem, name: str) -> tuple[Path, str]:
        """Return a file sealed in the spool, and its SHA-256; that of a killed run is used if it is the same."""
        place = self._spool / f"{name}{SEALED_SUFFIX}"
        line = self._ledger.lines.get(f"{name}{SEALED_SUFFIX}")
        if line and not line.bad and place.exists() and sha256_of(place)[0] == line.sha256:
            return place, line.sha256
        private_directory(place.parent)
        place.unlink(missing_ok=True)
        with explained(f"seal {item.files[name]} in {place}"), open_plain(item.files[name]) as source:
            reader = _Hashing(source)
            with create_private(place) as to:
                age.seal_stream(reader, to, self._destination.recipients)  # type: ignore[arg-type]
        _require_saved(item, name, reader.digest.hexdigest())
        if not age.is_sealed(place):
            raise ProofFailed(f"{place} was sealed and is no age file", hint="check the disk (dmesg)")
        return place, sha256_of(place)[0]

    def _put(self, source: Path, line: LedgerLine) -> LedgerLine:
        """Put a file as the object of `line`, and write down that it is there."""
        remote, known = self._remote(line.object), self._ledger.lines.get(line.object)
        if known and (known.sent or known.bad) and isinstance(self._target, DeletingTarget):
            self._target.delete(remote)  # it is bad there, cut or gone: make place for it
        self._ledger.write(msgspec.structs.replace(line, bad=known.bad if known else ""))
        put = self._target.put(remote, source, line.sha256)
        line = msgspec.structs.replace(line, sent=datetime.now(UTC), locked_until=put.locked_until)
        self._ledger.write(line)
        self.result.bytes += line.size if put.is_new else 0
        if self._destination.locks and put.locked_until is None:
            self._unlocked(line.object)
        if source.is_relative_to(self._spool):
            source.unlink()
        return line

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
        if not (line and place.exists() and sha256_of(place)[0] == line.sha256):
            receipt = Receipt(
                artifact=item.name,
                site=self._options.site,
                created=item.created.astimezone(UTC),
                copied=datetime.now(UTC),
                sealed=sealing or item.is_kit,
                objects=tuple(ReceiptObject(line.object, line.size, line.sha256) for line in lines),
            )
            place.unlink(missing_ok=True)
            with explained(f"write {place}"):
                write_private(place, sign(msgspec.json.encode(receipt), self._options.key))
        digest, size = sha256_of(place)
        self._put(place, LedgerLine(object=name, artifact=item.name, size=size, sha256=digest,
                                    sealed=sealing or item.is_kit, whole=True))  # fmt: skip


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


def _require_saved(item: CopyItem, name: str, digest: str) -> None:
    saved = item.sha256.get(name)
    if saved is not None and saved != digest:
        raise ProofFailed(
            f"{item.files[name]} differs from its manifest, so it is not copied",
            hint=f"korrigo-backup verify {item.name}; then use another backup",
        )
