"""What is on a target, by its own list and receipts, and the proof of it: every byte read back from there."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact import manifest as manifests
from korrigo_backup.artifact.catalog import LATEST
from korrigo_backup.artifact.kinds import Origin
from korrigo_backup.artifact.naming import DIRECTORY_MANIFEST, MANIFEST_SUFFIX, is_kit, parse
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.finding import Finding, error, first_error, ok, warning
from korrigo_backup.errors import NotFound, ProofFailed, UsageError
from korrigo_backup.system import age
from korrigo_backup.system.files import create_private, explained, open_plain, private_directory, sha256_of
from korrigo_backup.targets.ledger import Ledger
from korrigo_backup.targets.receipt import (
    LARGEST,
    SEALED_SUFFIX,
    SUFFIX,
    decode,
    is_stored,
    plain_name,
    receipt_name,
    stored_name,
)
from korrigo_backup.targets.target_copy import SPOOL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.targets.destination import Destination
    from korrigo_backup.targets.receipt import Receipt


@dataclass(frozen=True)
class RemoteCopy:
    """An artifact on a target. `size` is in bytes there; `missing` names objects of its ledger that are not there.

    `sent` and `read` are from the ledger of this host, None where it does not know the copy.
    """

    name: str
    size: int
    objects: int
    sealed: bool
    sent: datetime | None
    read: datetime | None
    locked_until: datetime | None
    missing: tuple[str, ...] = ()


def sites(destination: Destination) -> list[str]:
    """Return the identities of the sites that have copies on a target."""
    return sorted({one.name.split("/")[0] for one in destination.target.list() if "/" in one.name})


def require_one_site(destination: Destination, site: str | None, own: str | None) -> str:
    """Return the site whose copies are meant: `site`, else this host's own, else the only one on the target."""
    if site or own:
        return site or own or ""
    found = sites(destination)
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"{destination.name}: {destination.target.place} holds no copies", hint="check the url")
    raise UsageError(
        f"{destination.name} holds the copies of {len(found)} sites: {', '.join(found)}",
        hint="name one of them: --site ID",
    )


def copies(catalog: Catalog, destination: Destination, site: str) -> list[RemoteCopy]:
    """Return the artifacts that are whole on a target, the newest name first."""
    ledger = Ledger(catalog.directory, destination.name)
    there = {one.name.partition("/")[2]: one.size for one in destination.target.list(f"{site}/")}
    wholes = [name.removesuffix(SUFFIX) for name in there if name.endswith(SUFFIX)]
    found = []
    for artifact in wholes:
        sizes = [size for name, size in there.items() if _belongs(name, artifact)]
        line = ledger.sent(receipt_name(artifact))
        lines = [one for one in ledger.lines.values() if one.artifact == artifact and one.sent]
        sealed = any(name.endswith(SEALED_SUFFIX) for name in there if _belongs(name, artifact))
        missing = tuple(one.object for one in lines if there.get(one.object) != one.size)
        found.append(
            RemoteCopy(
                artifact, sum(sizes), len(sizes), sealed, line.sent if line else None, line.read if line else None,
                line.locked_until if line else None, missing,
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: one.name.removesuffix(SUFFIX)[-40:], reverse=True)


def _belongs(name: str, artifact: str) -> bool:
    return plain_name(name) in {artifact, f"{artifact}{MANIFEST_SUFFIX}", f"{artifact}.sha256"} or name.startswith(
        f"{artifact}/"
    )


@dataclass(frozen=True)
class TargetReader:
    """Reads artifacts back from a target, into a private directory.

    `identity` opens sealed copies, if it is given; `key` is the signing key, which names sealed files of the store.
    """

    catalog: Catalog
    destination: Destination
    site: str
    identity: bytes | None = None
    key: Key | None = None

    @contextmanager
    def directory(self) -> Iterator[Path]:
        """Yield a private directory below the backup directory; it is removed at the end."""
        above = self.catalog.directory / f"{SPOOL_PREFIX}{self.destination.name}"
        with explained(f"use {above}"):
            private_directory(above)
            made = Path(mkdtemp(prefix="read-", dir=above))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
            with suppress(OSError):  # a copy under way has files in it
                above.rmdir()

    def receipt(self, artifact: str, to: Path) -> tuple[Receipt, Authenticity]:
        """Return the receipt of an artifact and the result of checking its signature; NotFound without one."""
        name = receipt_name(artifact)
        place = to / name.replace("/", "_")
        try:
            self.destination.target.fetch(f"{self.site}/{name}", place)
        except NotFound:
            raise NotFound(
                f"{self.destination.name} has no whole copy of {artifact}",
                hint=f"korrigo-backup list --on {self.destination.name}",
            ) from None
        with open_plain(place) as file:
            raw = file.read(LARGEST)
        place.unlink()
        return decode(raw, name), self.catalog.authenticity(raw)

    def files(
        self, receipt: Receipt, to: Path, *, without: Container[str] = ()
    ) -> Iterator[tuple[str, Path | None, str]]:
        """Yield for each object its name, the file as it was saved (None if it stays sealed), and why it is bad.

        The objects `without` are passed over. A file of the media store is named by its content.
        """
        sealed = receipt.sealed and not is_kit(receipt.artifact)
        for one in receipt.objects:
            if one.name in without:
                continue
            place = to / "object"
            place.unlink(missing_ok=True)
            try:
                digest = self.destination.target.fetch(f"{self.site}/{one.name}", place)
            except NotFound:
                yield one.name, None, f"{one.name} is not there"
                continue
            except ProofFailed as problem:
                yield one.name, None, problem.message
                continue
            if digest != one.sha256:
                yield one.name, None, f"{one.name} has another content than was sent"
            elif not sealed:
                yield one.name, place, ""
            elif not age.is_sealed(place):
                yield one.name, None, f"{one.name} is not sealed"
            else:
                opened = self._opened(place, to / "opened", one.name)
                name = plain_name(one.name)
                if opened and is_stored(name):
                    name = stored_name(sha256_of(opened)[0], None)
                yield name, opened, ""

    def _opened(self, place: Path, to: Path, name: str) -> Path | None:
        if self.identity is None:
            return None
        to.unlink(missing_ok=True)
        with explained(f"write {to}"), open_plain(place) as source, create_private(to) as opened:
            age.unseal_stream(source, opened, self.identity, name)
        return to


def verify(reader: TargetReader, artifact: str) -> list[Finding]:
    """Read every byte of an artifact back from the target and return the findings; the ledger notes the time."""
    target, bad = reader.destination.name, dict[str, str]()
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
    _write_down(reader, receipt, bad, good=not first_error(findings))
    return findings


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
        return error("target.forged", f"the receipt of {artifact} on {reader.destination.name} was altered",
                     "do not use this copy; find who can write there")  # fmt: skip
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


def _write_down(reader: TargetReader, receipt: Receipt, bad: Mapping[str, str], *, good: bool) -> None:
    """Note what was found in the ledger: the next copy sends again what is bad."""
    ledger = Ledger(reader.catalog.directory, reader.destination.name)
    for name, why in bad.items():
        if line := ledger.lines.get(name):
            ledger.write(replace(line, bad=why))
    line = ledger.lines.get(receipt_name(receipt.artifact))
    if good and line:  # without a line this host has not copied it, and keeps no account of it
        ledger.write(replace(line, read=datetime.now(UTC), bad=""))


def artifacts_on(reader: TargetReader, named: str) -> list[str]:
    """Return the artifacts on a target that are meant by a name, `latest`, `latest-point`, `latest-media` or `all`.

    Raises NotFound if there is none.
    """
    whole = [one.name for one in copies(reader.catalog, reader.destination, reader.site)]
    if named in LATEST:
        parsed = [(found, name) for name in whole if (found := parse(name))]
        whole = [name for found, name in sorted(parsed, key=lambda one: (one[0].stamp, one[0].counter))
                 if found.kind is LATEST[named] and found.origin is Origin.ROUTINE][-1:]  # fmt: skip
    elif named != "all":
        whole = [name for name in whole if name == named]
    if not whole:
        raise NotFound(
            f"{reader.destination.name} has no whole copy of {named}",
            hint=f"korrigo-backup list --on {reader.destination.name}",
        )
    return whole
