"""The artifacts on a target, by its own list and receipts, and their files read back from there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from korrigo_backup.artifact.catalog import LATEST
from korrigo_backup.artifact.kinds import KINDS, Kind, Origin
from korrigo_backup.artifact.meaning import matching_names, only_match
from korrigo_backup.artifact.naming import is_kit, parse
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.errors import NotFound, ProofFailed, UsageError
from korrigo_backup.system import age
from korrigo_backup.system.files import create_private, explained, open_plain, sha256_of
from korrigo_backup.system.progress import Unit, Work, under_way
from korrigo_backup.targets.ledger import Ledger, LedgerLine
from korrigo_backup.targets.port import VersioningTarget
from korrigo_backup.targets.reading_directory import reading_directory
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

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.targets.destination import Destination
    from korrigo_backup.targets.receipt import Receipt, ReceiptObject


@dataclass(frozen=True)
class RemoteCopy:
    """An artifact on a target. `size` is in bytes there; `missing` names objects of its ledger that are not there.

    `sent`, `read`, `locked_until` and `lock_read` are from the ledger of this host, None where it does not know the
    copy. `bad` is why it was found bad when it was last read back. `hidden` names objects that somebody has deleted:
    the versions below their delete markers are there.
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
    bad: str = ""


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
        if line.sent or line.again:
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
                bad=next((one.bad for one in sent if one.bad), ""),
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
    overwritten: list[str] = field(default_factory=list)
    """Objects that somebody has put other content over; what was sent was read from an earlier version."""

    def directory(self) -> AbstractContextManager[Path]:
        """Yield a private directory below the backup directory, as `reading_directory`."""
        return reading_directory(self.catalog.directory, self.destination.name)

    def receipt(self, artifact: str, to: Path) -> tuple[Receipt, Authenticity]:
        """Return the receipt of an artifact and the result of checking its signature; NotFound without one.

        FORGED, too, for a receipt that was signed for another artifact or site, and for one that no key here proves
        where this host has sent another. Of several versions, the newest authentic one counts.
        """
        name = receipt_name(artifact)
        place = to / name.replace("/", "_")
        place.unlink(missing_ok=True)
        try:
            digest = self.destination.target.fetch(f"{self.site}/{name}", place)
        except NotFound:
            raise NotFound(
                f"{self.destination.name} has no whole copy of {artifact}",
                hint=f"korrigo-backup list --on {self.destination.name}",
            ) from None
        try:
            newest = self._receipt_in(place, artifact, digest)
        except ProofFailed:
            if earlier := self._earlier_receipt(place, artifact):
                return earlier
            raise
        if newest[1] is Authenticity.AUTHENTIC:
            return newest
        return self._earlier_receipt(place, artifact) or newest

    def _earlier_receipt(self, place: Path, artifact: str) -> tuple[Receipt, Authenticity] | None:
        """Return the newest authentic receipt among the earlier versions, None if there is none."""
        name = receipt_name(artifact)
        for digest in self._earlier(name, place):
            with suppress(ProofFailed):
                found = self._receipt_in(place, artifact, digest)
                if found[1] is Authenticity.AUTHENTIC:
                    self.overwritten.append(name)
                    return found
        return None

    def _earlier(self, name: str, place: Path) -> Iterator[str]:
        target = self.destination.target
        return target.earlier(f"{self.site}/{name}", place) if isinstance(target, VersioningTarget) else iter(())

    def _receipt_in(self, place: Path, artifact: str, digest: str) -> tuple[Receipt, Authenticity]:
        name = receipt_name(artifact)
        with open_plain(place) as file:
            raw = file.read(LARGEST)
        place.unlink()
        found, signed = decode(raw, name), self.catalog.authenticity(raw)
        sent = Ledger(self.catalog.directory, self.destination.name).sent(name)
        replaced = signed is Authenticity.UNKNOWN_KEY and sent is not None and sent.sha256 != digest
        meant = (found.site, found.artifact) == (self.site, artifact)
        return found, signed if meant and not replaced else Authenticity.FORGED

    def files(
        self, receipt: Receipt, to: Path, *, without: Container[str] = ()
    ) -> Iterator[tuple[str, Path | None, str]]:
        """Yield for each object its name, the file as it was saved (None if it stays sealed), and why it is bad.

        The objects `without` are passed over. A file of the media store is named by its content.
        """
        wanted = [one for one in receipt.objects if one.name not in without]
        sealed, place, done = receipt.sealed and not is_kit(receipt.artifact), to / "object", 0

        def look(work: Work) -> None:
            work.size = done + place.stat().st_size

        work = Work(name=f"fetching from {self.destination.name}", unit=Unit.FILES, number=len(wanted), look=look)
        work.whole = sum(one.size for one in wanted)
        with under_way(work):
            for one in wanted:
                work.item = one.name
                place.unlink(missing_ok=True)
                yield self._file(one, place, to / "opened", sealed=sealed)
                done += one.size
                work.count += 1

    def _file(self, one: ReceiptObject, place: Path, to: Path, *, sealed: bool) -> tuple[str, Path | None, str]:
        """Fetch an object to `place`, open a sealed one as `to`, and return what `files` yields for it."""
        try:
            digest = self._fetched(one, place)
        except NotFound:
            return one.name, None, f"{one.name} is not there"
        except ProofFailed as problem:
            return one.name, None, problem.message
        if digest != one.sha256:
            return one.name, None, f"{one.name} has another content than was sent"
        if not sealed or not age.is_sealed(place):
            return (one.name, None, f"{one.name} is not sealed") if sealed else (one.name, place, "")
        opened, name = self._opened(place, to, one.name), plain_name(one.name)
        if opened and is_stored(name):
            name = stored_name(sha256_of(opened)[0], None)
        return name, opened, ""

    def _fetched(self, one: ReceiptObject, place: Path) -> str:
        """Fetch an object, from an earlier version if the newest is not what was sent; return its SHA-256."""
        digest = self.destination.target.fetch(f"{self.site}/{one.name}", place)
        if digest != one.sha256 and one.sha256 in self._earlier(one.name, place):
            self.overwritten.append(one.name)
            return one.sha256
        return digest

    def _opened(self, place: Path, to: Path, name: str) -> Path | None:
        if self.identity is None:
            return None
        to.unlink(missing_ok=True)
        with explained(f"write {to}"), open_plain(place) as source, create_private(to) as opened:
            age.unseal_stream(source, opened, self.identity, name)
        return to


def components_on(reader: TargetReader, name: str) -> tuple[str, ...]:
    """Return the artifacts that a restore point on a target binds, none for another artifact; raises as `receipt`."""
    parsed = parse(name)
    if parsed is None or not KINDS[parsed.kind].components:
        return ()
    with reader.directory() as to:
        receipt, _ = reader.receipt(name, to)  # its signature is checked with that of the others
    return tuple(one for one in receipt.components if parse(one))


def artifacts_on(
    reader: TargetReader, named: str, *, passed: Callable[[str, str], None] = lambda _name, _why: None
) -> list[str]:
    """Return the artifacts on a target that are meant by a name or its beginning, a date, `latest…` or `all`.

    `latest` is the newest copy that was not found bad there; `passed` is called with each newer one and the reason.
    Raises NotFound if there is none, UsageError if a date or a beginning means several.
    """
    found = copies(reader.catalog, reader.destination, reader.site)
    whole = [one.name for one in found]
    if named in LATEST:
        whole = _newest_good(found, LATEST[named], passed)
    elif named != "all" and named not in whole:
        meant = only_match(named, matching_names(named, whole))
        whole = [meant] if meant else []
    elif named != "all":
        whole = [named]
    if not whole:
        raise NotFound(
            f"{reader.destination.name} has no whole copy of {named}",
            hint=f"korrigo-backup list --on {reader.destination.name}",
        )
    return whole


def _newest_good(found: Sequence[RemoteCopy], kind: Kind, passed: Callable[[str, str], None]) -> list[str]:
    """Return the newest routine copy of a kind that is not known bad; the newest if all are: reading reports it."""
    parsed = [(name, one) for one in found if (name := parse(one.name))]
    alike = [
        one
        for name, one in sorted(parsed, key=lambda pair: (pair[0].stamp, pair[0].counter), reverse=True)
        if name.kind is kind and name.origin is Origin.ROUTINE
    ]
    good = next((one for one in alike if not one.bad), None)
    if good is None:
        return [one.name for one in alike[:1]]
    for one in alike[: alike.index(good)]:
        passed(one.name, f"was found bad there: {one.bad}")
    return [good.name]
