"""Legal holds on a target: each object of an artifact on hold has one, and no other object has one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.core.finding import Finding, loss
from korrigo_backup.targets.port import LockingTarget
from korrigo_backup.targets.receipt import decode, receipt_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from korrigo_backup.targets.ledger import Ledger
    from korrigo_backup.targets.port import Target


def switch_holds(target: Target, ledger: Ledger, held: Iterable[str] | None, site: str, spool: Path) -> list[Finding]:
    """Switch the legal holds on a target to the artifacts called `held`, with their components, and read each back.

    `held` is None if the holds cannot be read: then none is switched. A stored file that several artifacts list has a
    hold as long as one of them has. `spool` is a private directory.
    """
    if held is None:
        return [
            loss("target.unheld", f"{target.name}: no legal hold is switched, since the holds cannot be read",
                 "korrigo-backup hold list")
        ]  # fmt: skip
    assert isinstance(target, LockingTarget)  # noqa: S101 - the configuration allows it for S3 alone
    wanted = _objects(target, ledger, held, site, spool)
    now = {line.object for line in ledger.lines.values() if line.held}
    for name in sorted(wanted ^ now):
        lock = target.hold(f"{site}/{name}", on=name in wanted)
        if lock.is_held != (name in wanted):
            return [
                loss("target.unheld", f"{target.name}: the server does not keep the legal hold of {name}",
                     "make the bucket with Object Lock, or set legal_hold = false")
            ]  # fmt: skip
        if line := ledger.lines.get(name):
            ledger.write(replace(line, held=datetime.now(UTC) if lock.is_held else None))
    return []


def _objects(target: Target, ledger: Ledger, held: Iterable[str], site: str, spool: Path) -> set[str]:
    """Return the objects of the artifacts called `held` that are on the target, and of their components."""
    found, left, seen = set[str](), set(held), set[str]()
    while left:
        name = receipt_name(artifact := left.pop())
        seen.add(artifact)
        if ledger.sent(name) is None:
            continue
        place = spool / "receipt"
        place.unlink(missing_ok=True)
        target.fetch(f"{site}/{name}", place)
        receipt = decode(place.read_bytes(), name)
        place.unlink()
        found |= {name, *(one.name for one in receipt.objects)}
        left |= {*receipt.components} - seen
    return found
