"""The proof of a copy: every byte is read back from the target, and so are its locks; the ledger notes the time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact import manifest as manifests
from korrigo_backup.artifact.naming import DIRECTORY_MANIFEST, MANIFEST_SUFFIX, is_kit
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, error, first_error, loss, ok, warning
from korrigo_backup.errors import ProofFailed, Refused
from korrigo_backup.system.files import sha256_of
from korrigo_backup.targets.ledger import Ledger
from korrigo_backup.targets.port import LockingTarget
from korrigo_backup.targets.receipt import receipt_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from korrigo_backup.targets.read_back import TargetReader
    from korrigo_backup.targets.receipt import Receipt


def verify(reader: TargetReader, artifact: str) -> list[Finding]:
    """Read every byte of an artifact back from the target and return the findings; the ledger notes the time."""
    target, bad = reader.destination.name, dict[str, str]()
    reader.overwritten.clear()
    with reader.directory() as to:
        receipt, signed = _receipt(reader, artifact, to)
        findings = [_signature(reader, artifact, signed)]
        manifest, digests, opened = None, dict[str, str](), True
        for name, place, why in reader.files(receipt, to):
            if why:
                bad[name] = why
            elif place is None:
                opened = False
            else:
                digests[name] = sha256_of(place)[0]
                if name in _manifests(artifact):
                    manifest = manifests.decode(place.read_bytes(), name)
    hint = "move it away there (with may_delete this is done), then send it again: korrigo-backup copy"
    findings += [error("target.damaged", f"{target}: {why}", hint) for why in bad.values()]
    if manifest and not bad:
        findings += _against(reader, artifact, manifest, digests)
    if not first_error(findings):
        findings.append(_whole(reader, receipt, opened=opened))
    findings += _hidden(reader, receipt)
    if reader.overwritten:
        findings.append(_overwritten(target, reader.overwritten))
    locks = reader.destination.lock_days and not (bad or reader.overwritten)  # only the newest version is asked
    lock = _lock(reader, receipt) if locks else None
    if locks and lock is None:
        findings.append(
            loss("target.unlocked", f"{target}: the server keeps no retention on {artifact}: it can be deleted",
                 "make the bucket with Object Lock, or set lock_days = 0")
        )  # fmt: skip
    _write_down(reader, receipt, bad, good=not first_error(findings), lock=lock)
    return findings


def _hidden(reader: TargetReader, receipt: Receipt) -> list[Finding]:
    """Return a finding if somebody has deleted objects of an artifact whose versions are there."""
    names = {f"{reader.site}/{one.name}" for one in receipt.objects}
    names.add(f"{reader.site}/{receipt_name(receipt.artifact)}")
    try:
        hidden = [one.name for one in reader.destination.target.list(f"{reader.site}/") if one.is_hidden]
    except Refused:  # a key that may fetch and not list
        return []
    found = sorted(names.intersection(hidden))
    return [] if not found else [hidden_objects(reader.destination.name, found)]


def _overwritten(target: str, names: Sequence[str]) -> Finding:
    return loss("target.overwritten", f"{target}: somebody has put other content over {first_of(names, 1)}; the version"
                " that was sent is there and was read", "find who may write there; then remove the newer versions"
                " (aws s3api delete-object --version-id VERSION)")  # fmt: skip


def hidden_objects(target: str, names: Sequence[str]) -> Finding:
    """Return the finding for objects on a target that somebody has deleted, and whose versions are there."""
    return loss("target.hidden", f"{target}: somebody has deleted {len(names)} objects, such as {names[0]}; the version"
                " below is there and was read", "find who may delete there; then remove the delete markers"
                " (aws s3api delete-object --version-id MARKER)")  # fmt: skip


def _lock(reader: TargetReader, receipt: Receipt) -> datetime | None:
    """Return the earliest end of the retention of the objects as the server gives it back, None if one has none."""
    target, ends = reader.destination.target, list[datetime]()
    if not isinstance(target, LockingTarget):
        return None
    for name in (receipt_name(receipt.artifact), *(one.name for one in receipt.objects)):
        until = target.lock_of(f"{reader.site}/{name}").until
        if until is None or until <= datetime.now(UTC):
            return None
        ends.append(until)
    return min(ends)


def _receipt(reader: TargetReader, artifact: str, to: Path) -> tuple[Receipt, Authenticity]:
    """Return the receipt as the reader does; the ledger notes one that is damaged."""
    try:
        return reader.receipt(artifact, to)
    except ProofFailed as problem:
        ledger = Ledger(reader.catalog.directory, reader.destination.name)
        if line := ledger.lines.get(receipt_name(artifact)):
            ledger.write(replace(line, bad=problem.message))
        raise


def _manifests(artifact: str) -> tuple[str, ...]:
    """Return the names that the manifest of an artifact may have; the record of a recovery kit is none."""
    return () if is_kit(artifact) else (f"{artifact}{MANIFEST_SUFFIX}", f"{artifact}/{DIRECTORY_MANIFEST}")


def _signature(reader: TargetReader, artifact: str, signed: Authenticity) -> Finding:
    if signed is Authenticity.AUTHENTIC:
        return ok("target.authentic", f"{artifact}: its receipt on {reader.destination.name} is signed by this site")
    if signed is Authenticity.FORGED:
        return error("target.forged", f"the receipt of {artifact} on {reader.destination.name} was altered, or is that"
                     " of another backup",
                     "do not use this copy; find who can write there")  # fmt: skip
    if signed is Authenticity.UNSIGNED:
        return error("target.forged", f"the receipt of {artifact} on {reader.destination.name} is not signed",
                     "do not use this copy: a copy signs each receipt; find who can write there")  # fmt: skip
    return warning("target.unproven", f"the receipt of {artifact} on {reader.destination.name} is not signed with a key"
                   " that is here", "put the signing key in place: it is in the recovery kit")  # fmt: skip


def _against(
    reader: TargetReader, artifact: str, manifest: manifests.Manifest, digests: dict[str, str]
) -> Iterator[Finding]:
    """Yield an error for each file whose content differs from the manifest that was read from the same place."""
    within = f"{artifact}/" if f"{artifact}/{DIRECTORY_MANIFEST}" in digests else ""
    for member in manifest.members:
        if digests.get(f"{within}{member.name}") != member.sha256:
            yield error("target.damaged", f"{reader.destination.name}: {member.name} differs from the manifest there",
                        "use another copy of it")  # fmt: skip


def _whole(reader: TargetReader, receipt: Receipt, *, opened: bool) -> Finding:
    how = (
        "opened and held against its manifest"
        if opened and receipt.sealed
        else (
            "held against its manifest" if opened else "sealed, as its header says; with --identity it is opened, too"
        )
    )
    size = sum(one.size for one in receipt.objects)
    return ok("target.read", f"{receipt.artifact}: {len(receipt.objects)} files, {size:,} bytes read back from"
              f" {reader.destination.name}, {how}")  # fmt: skip


def _write_down(
    reader: TargetReader, receipt: Receipt, bad: Mapping[str, str], *, good: bool, lock: datetime | None
) -> None:
    """Note what was found in the ledger: the next copy sends again what is bad."""
    ledger = Ledger(reader.catalog.directory, reader.destination.name)
    for name, why in bad.items():
        if line := ledger.lines.get(name):
            ledger.write(replace(line, bad=why))
    line = ledger.sent(receipt_name(receipt.artifact))
    if good and line:  # without a line this host has not copied it, and keeps no account of it
        now = datetime.now(UTC)
        if reader.destination.lock_days:
            line = replace(line, locked_until=lock, lock_read=now if lock else None)
        ledger.write(replace(line, read=now, bad=""))
