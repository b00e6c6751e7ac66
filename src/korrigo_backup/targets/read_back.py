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
from korrigo_backup.core.finding import Finding, error, first_error, loss, ok, warning
from korrigo_backup.errors import NotFound, Refused, UsageError
from korrigo_backup.system import age
from korrigo_backup.system.files import create_private, explained, open_plain, private_directory, sha256_of
from korrigo_backup.targets.ledger import Ledger, LedgerLine
from korrigo_backup.targets.port import LockingTarget
from korrigo_backup.targets.receipt import (
    LARGEST,
    SEALED_SUFFIX,
    SUFFIX,
    artifact_of,
    decode,
    is_stored,
    plain_name,
    receipt_name,
    stored_name,
)
from korrigo_backup.targets.target_copy import SPOOL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.targets.destination import Destination
    from korrigo_backup.targets.receipt import Receipt


@dataclass(frozen=True)
class RemoteCopy:
    """An artifact on a target. `size` is in bytes there; `missing` names objects of its ledger that are not there.

    `sent`, `read`, `locked_until` and `lock_read` are from the ledger of this host, None where it does not know the
    copy. `hidden` names objects that somebody has deleted: the versions below their delete markers are there.
    """

    name: str
    size: int
    objects: int
    sealed: bool
    sent: datetime | None
    read: datetime | None
    locked_until: datetime | None
    lock_read: datetime | None = None
    missing: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


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
    there, hidden, own = dict[str, int](), set[str](), dict[str, list[str]]()
    for one in destination.target.list(f"{site}/"):
        name = one.name.partition("/")[2]
        there[name] = one.size
        own.setdefault(artifact_of(name), []).append(name)
        if one.is_hidden:
            hidden.add(name)
    lines: dict[str, list[LedgerLine]] = {}
    for line in ledger.lines.values():
        if line.sent:
            lines.setdefault(line.artifact, []).append(line)
    found = []
    for artifact in (name.removesuffix(SUFFIX) for name in there if name.endswith(SUFFIX)):
        names = [name for name in own[artifact] if not name.endswith(SUFFIX)]
        whole, sent = ledger.sent(receipt_name(artifact)), lines.get(artifact, ())
        of_it = {*names, receipt_name(artifact), *(one.object for one in sent)}
        found.append(
            RemoteCopy(
                name=artifact,
                size=sum(there[name] for name in names),
                objects=len(names),
                sealed=any(name.endswith(SEALED_SUFFIX) for name in names),
                sent=whole.sent if whole else None,
                read=whole.read if whole else None,
                locked_until=whole.locked_until if whole else None,
                lock_read=whole.lock_read if whole else None,
                missing=tuple(one.object for one in sent if there.get(one.object) != one.size),
                hidden=tuple(sorted(of_it & hidden)),
            )
        )
    return sorted(found, key=lambda one: one.name.removesuffix(SUFFIX)[-40:], reverse=True)


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
        place.unlink(missing_ok=True)
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
        receipt, signed = reader.receipt(artifact, to)
        findings = [_signature(reader, artifact, signed)]
        manifest, digests, opened = None, dict[str, str](), True
        for name, place, why in reader.files(receipt, to):
            if why:
                bad[name] = why
            elif place is None:
                opened = False
            else:
                digests[name] = sha256_of(place)[0]
                if name in {f"{artifact}{MANIFEST_SUFFIX}", f"{artifact}/{DIRECTORY_MANIFEST}"} and not is_kit(
                    artifact
                ):
                    manifest = manifests.decode(place.read_bytes(), name)
    hint = "move it away there (with may_delete this is done), then send it again: korrigo-backup copy"
    findings += [error("target.damaged", f"{target}: {why}", hint) for why in bad.values()]
    if manifest and not bad:
        findings += _against(reader, artifact, manifest, digests)
    if not first_error(findings):
        findings.append(_whole(reader, receipt, opened=opened))
    findings += _hidden(reader, receipt)
    lock = _lock(reader, receipt) if reader.destination.lock_days and not bad else None
    if reader.destination.lock_days and not bad and lock is None:
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


def _write_down(
    reader: TargetReader, receipt: Receipt, bad: Mapping[str, str], *, good: bool, lock: datetime | None
) -> None:
    """Note what was found in the ledger: the next copy sends again what is bad."""
    ledger = Ledger(reader.catalog.directory, reader.destination.name)
    for name, why in bad.items():
        if line := ledger.lines.get(name):
            ledger.write(replace(line, bad=why))
    line = ledger.lines.get(receipt_name(receipt.artifact))
    if good and line:  # without a line this host has not copied it, and keeps no account of it
        now = datetime.now(UTC)
        if reader.destination.lock_days:
            line = replace(line, locked_until=lock, lock_read=now if lock else None)
        ledger.write(replace(line, read=now, bad=""))


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
