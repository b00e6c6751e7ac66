"""The receipts on a target as a copy reads them: they name objects that the ledger does not know or has lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.finding import Finding, loss, warning
from korrigo_backup.errors import Refused
from korrigo_backup.targets.ledger import LedgerLine
from korrigo_backup.targets.receipt import SUFFIX, Receipt, decode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.targets.ledger import Ledger
    from korrigo_backup.targets.port import Target


@dataclass(frozen=True)
class FoundReceipt:
    """A receipt, whether this site has signed it for the artifact whose name it has, its size and SHA-256."""

    receipt: Receipt
    is_ours: bool
    size: int
    sha256: str


@dataclass(frozen=True)
class ReceiptsThere:
    """The receipts of the site on a target; `place` is a private directory."""

    target: Target
    site: str
    catalog: Catalog
    place: Path

    def read(self, name: str) -> FoundReceipt:
        """Return the receipt called `name`; ProofFailed if it cannot be read, and the errors of a fetch."""
        file = self.place / "receipt"
        file.unlink(missing_ok=True)
        sha256 = self.target.fetch(f"{self.site}/{name}", file)
        raw = file.read_bytes()
        file.unlink()
        found = decode(raw, name)
        meant = (found.site, found.artifact) == (self.site, name.removesuffix(SUFFIX))
        is_ours = meant and self.catalog.authenticity(raw) is Authenticity.AUTHENTIC
        return FoundReceipt(found, is_ours, len(raw), sha256)

    def adopt(self, ledger: Ledger, name: str) -> None:
        """Take the objects of a receipt into the ledger, if it is this site's: another host has sent them.

        Objects that the ledger knows stay as they are there.
        """
        found = self.read(name)
        if not found.is_ours:
            return
        receipt = found.receipt
        lines = [LedgerLine(object=one.name, artifact=receipt.artifact, size=one.size, sha256=one.sha256,
                            sent=receipt.copied, sealed=receipt.sealed)
                 for one in receipt.objects if not ledger.sent(one.name)]  # fmt: skip
        whole = LedgerLine(object=name, artifact=receipt.artifact, size=found.size, sha256=found.sha256,
                           sent=receipt.copied, sealed=receipt.sealed, whole=True, created=receipt.created,
                           components=receipt.components)  # fmt: skip
        ledger.write(*lines, whole)

    def lost(self, objects: Iterable[str], there: Iterable[str]) -> tuple[set[str], Finding | None]:
        """Return which of the `objects` a receipt among the objects `there` names, and a finding if there are any.

        Without the right to read receipts, all are returned.
        """
        wanted, named, artifacts = set(objects), set[str](), set[str]()
        try:
            for name in (one for one in there if one.endswith(SUFFIX)):
                found = wanted.intersection(one.name for one in self.read(name).receipt.objects)
                named |= found
                artifacts |= {name.removesuffix(SUFFIX)} if found else set()
        except Refused:
            return wanted, warning(
                "target.lost", f"{self.target.name}: {len(wanted)} media files that were sent are not there; no backup"
                " here needs them", f"verify it with a key that may read: korrigo-backup verify --on {self.target.name}"
                " all")  # fmt: skip
        if not artifacts:
            return named, None
        newest = max(artifacts)
        return named, loss(
            "target.lost", f"{self.target.name}: {len(named)} media files are missing or damaged there, and no backup"
            f" here has them: {len(artifacts)} copies are not whole, such as {newest}",
            f"korrigo-backup verify --on {self.target.name} {newest}; another target may have a copy")  # fmt: skip
