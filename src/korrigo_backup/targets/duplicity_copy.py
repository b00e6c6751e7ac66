"""The copy to a target of duplicity: all backups are gathered in a directory, and one run of duplicity takes it.

A state is visible when its manifest, which duplicity sends last, is there; the receipts are in the same state.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.signature import sign
from korrigo_backup.errors import NotFound, ProofFailed, Refused
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.run.step import CopySent
from korrigo_backup.system.files import explained, private_directory, remove_tree, sha256_of, write_private
from korrigo_backup.targets.duplicity import DuplicityTarget
from korrigo_backup.targets.items import items
from korrigo_backup.targets.ledger import LedgerLine
from korrigo_backup.targets.receipt import Receipt, ReceiptObject, receipt_name, stored_name
from korrigo_backup.targets.target_copy import Stopped, TargetCopy

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.targets.items import CopyItem


@dataclass(frozen=True)
class _GatheredItem:
    """An item in the directory: the lines of its files, and the line of its receipt."""

    item: CopyItem
    lines: tuple[LedgerLine, ...]
    receipt: LedgerLine

    @property
    def objects(self) -> set[str]:
        """The names of its objects."""
        return {self.receipt.object, *(line.object for line in self.lines)}


class DuplicityCopy(TargetCopy):
    """The copy to a target of duplicity, in a thread of its own."""

    def _run(self) -> None:
        target = self._target
        if not isinstance(target, DuplicityTarget):
            raise TypeError(target)
        chosen = {one.name: one for one in items(self._catalog, (), now=local_now())}
        chosen |= {one.name: one for one in self._options.items}
        tree = self._spool / "tree"
        with explained(f"write {tree}"):
            remove_tree(self._spool)
            private_directory(tree / self._options.site)
        gathered = []
        for item in chosen.values():
            try:
                gathered.append(self._gather(item, tree / self._options.site))
            except (ProofFailed, NotFound) as problem:
                self.result.problems.append(problem)
        bad = {line.object for line in self._ledger.lines.values() if line.bad}
        fresh = [one for one in gathered if not self._ledger.sent(one.receipt.object) or one.objects & bad]
        if fresh or not target.states():
            self._patiently(lambda: target.save(tree, whole=bool(bad)))
            if not target.states():
                raise Refused(
                    f"{target.name}: {target.place} lists no complete state after the copy",
                    hint=f"look at it: {target.words[0]} collection-status {target.url}",
                )
        self._write_down(gathered, {one.item.name for one in fresh})
        with explained(f"remove {self._spool}"):
            remove_tree(self._spool)

    def _gather(self, item: CopyItem, directory: Path) -> _GatheredItem:
        """Put the files of an item, and its receipt, into the directory; those that are new are compared first."""
        store = MediaStore(self._catalog.directory)
        files = {name: (path, item.sha256.get(name)) for name, path in item.files.items()}
        files |= {stored_name(one, None): (store.path(one), one) for one in sorted(item.stored())}
        lines = tuple(self._link(item, name, path, saved, directory) for name, (path, saved) in files.items())
        known = self._ledger.sent(receipt_name(item.name))
        copied = known.sent if known and known.sent else datetime.now(UTC)
        receipt = Receipt(
            artifact=item.name,
            site=self._options.site,
            created=item.created.astimezone(UTC),
            copied=copied,
            sealed=item.is_kit,
            components=item.components,
            objects=tuple(ReceiptObject(line.object, line.size, line.sha256) for line in lines),
        )
        place = directory / receipt_name(item.name)
        with explained(f"write {place}"):
            write_private(place, sign(msgspec.json.encode(receipt), self._options.key))
            os.utime(place, (copied.timestamp(), copied.timestamp()))  # an unchanged receipt is not sent again
            digest, size = sha256_of(place)
        return _GatheredItem(item, lines, LedgerLine(object=place.name, artifact=item.name, size=size, sha256=digest,
                                                 sent=copied, sealed=item.is_kit, whole=True))  # fmt: skip

    def _link(self, item: CopyItem, name: str, path: Path, saved: str | None, directory: Path) -> LedgerLine:
        if self._stop.is_set():
            raise Stopped
        place = directory / name
        line = self._ledger.sent(name)
        with explained(f"read {path}"):
            size = path.stat().st_size
            if line is None or line.bad or line.size != size:
                digest = sha256_of(path)[0]
                if saved is not None and digest != saved:
                    raise ProofFailed(
                        f"{path} differs from its manifest, so it is not copied",
                        hint="korrigo-backup verify all; then use another backup",
                    )
                line = LedgerLine(object=name, artifact=item.name, size=size, sha256=digest)
        with explained(f"write {place}"):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not place.exists():
                _link_or_copy(path, place)
        return line

    def _write_down(self, gathered: list[_GatheredItem], fresh: set[str]) -> None:
        now = datetime.now(UTC)
        for one in gathered:
            if one.item.name not in fresh:
                self.result.already.append(one.item.name)
                continue
            new = [msgspec.structs.replace(line, sent=now) for line in one.lines if line.sent is None]
            self._ledger.write(*new, one.receipt)
            self.result.bytes += sum(line.size for line in new)
            self.result.sent.append(one.item.name)
            size = sum(line.size for line in one.lines)
            self._options.listen(CopySent(self.result.name, one.item.name, size, one.item.is_kit, "duplicity"))


def _link_or_copy(path: Path, place: Path) -> None:
    try:
        os.link(path, place)
    except OSError:  # no hard links here
        shutil.copyfile(path, place)
