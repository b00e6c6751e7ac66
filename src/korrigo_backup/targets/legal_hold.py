"""Legal holds on a target: each object of an artifact on hold has one, and no other object has one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.core.finding import Finding, loss
from korrigo_backup.targets.port import LockingTarget
from korrigo_backup.targets.receipt import receipt_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.targets.ledger import Ledger
    from korrigo_backup.targets.receipts_there import ReceiptsThere


def switch_holds(receipts: ReceiptsThere, ledger: Ledger, held: Iterable[str] | None) -> list[Finding]:
    """Switch the legal holds on a target to the artifacts called `held`, with their components, and read each back.

    `held` is None if the holds cannot be read: then none is switched. A stored file that several artifacts list has a
    hold as long as one of them has. If a receipt of an artifact on hold is not this site's, no hold is ended.
    """
    if held is None:
        return [
            loss("target.unheld", f"{receipts.target.name}: no legal hold is switched, since the holds cannot be read",
                 "korrigo-backup hold list")
        ]  # fmt: skip
    target = receipts.target
    assert isinstance(target, LockingTarget)  # noqa: S101 - the configuration allows it for S3 alone
    wanted, doubtful = _objects(receipts, ledger, held)
    now = {line.object for line in ledger.lines.values() if line.held}
    for name in sorted(wanted - now if doubtful else wanted ^ now):
        lock = target.hold(f"{receipts.site}/{name}", on=name in wanted)
        if lock.is_held != (name in wanted):
            return [
                loss("target.unheld", f"{target.name}: the server does not keep the legal hold of {name}",
                     "make the bucket with Object Lock, or set legal_hold = false")
            ]  # fmt: skip
        if line := ledger.lines.get(name):
            ledger.write(replace(line, held=datetime.now(UTC) if lock.is_held else None))
    return [
        loss("target.unheld", f"{target.name}: no legal hold is ended: the receipt of {name} there is not this site's",
             f"korrigo-backup verify --on {target.name} {name}")
        for name in doubtful[:1]
    ]  # fmt: skip


def _objects(receipts: ReceiptsThere, ledger: Ledger, held: Iterable[str]) -> tuple[set[str], list[str]]:
    """Return the objects of the artifacts called `held` on the target, with components, and those in doubt."""
    found, left, seen, doubtful = set[str](), set(held), set[str](), list[str]()
    while left:
        name = receipt_name(artifact := left.pop())
        seen.add(artifact)
        if ledger.sent(name) is None:
            if (line := ledger.lines.get(name)) and line.again:
                doubtful.append(artifact)
            continue
        read = receipts.read(name)
        if not read.is_ours:
            doubtful.append(artifact)
            continue
        found |= {name, *(one.name for one in read.receipt.objects)}
        left |= {*read.receipt.components} - seen
    return found, doubtful
