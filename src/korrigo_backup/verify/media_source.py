"""Media archives and listings opened for a restore or a check: verified, then used through the same open file."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from korrigo_backup.artifact.components import usable_manifest
from korrigo_backup.artifact.naming import MEMBERS_SUFFIX
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, ok, warning
from korrigo_backup.errors import ProofFailed
from korrigo_backup.media import archive as media_format
from korrigo_backup.media import foreign_zip
from korrigo_backup.media import listing as members
from korrigo_backup.media.findings import of_media
from korrigo_backup.media.saved_files import stored_files
from korrigo_backup.media.store import listing
from korrigo_backup.media.store.load import load as load_stored
from korrigo_backup.media.store.load import verify as verify_stored
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.media.store.save import REST_NS, FormerListing
from korrigo_backup.system.files import explained, open_plain
from korrigo_backup.system.packed import ZIP
from korrigo_backup.system.progress import Unit, Work, reading, under_way
from korrigo_backup.system.streams import HashingReader
from korrigo_backup.verify.members import not_saved, require_member, unproven

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import Manifest, MediaProof
    from korrigo_backup.media.archive import Found
    from korrigo_backup.media.port import Stage
    from korrigo_backup.media.walk import TreeEntry


@dataclass(frozen=True)
class MediaSource:
    """A verified media archive, open for loading, with its listing if it exists."""

    archive: IO[bytes]
    listing: IO[bytes] | None
    root: str | None
    files: int
    bytes: int
    findings: tuple[Finding, ...]
    saved: MediaProof | None = None
    """The manifest's proof of them; None for an archive of another tool."""
    found: tuple[Found, ...] = ()
    """The members of an archive of another tool."""
    repeated: Mapping[str, int] = field(default_factory=dict)
    is_zip: bool = False
    name: str = ""
    store: MediaStore | None = None
    """Where the files are if `archive` is a listing of the media store."""
    began: datetime | None = None
    """When the backup began, by its manifest."""

    @property
    def by_content(self) -> bool:
        """Whether the files are proven after a load by their content: without checksums it is by their number alone."""
        return bool(self.listing or self.store)

    def saved_files(self) -> Iterator[tuple[str, str]] | None:
        """Yield the SHA-256 and the path below the media root of every file; None if the checksums are not known."""
        if self.store:
            return stored_files(_FromStart(self.archive), self.name)
        if self.listing is None:
            return None
        self.listing.seek(0)
        return members.below(members.read(self.listing, self.name), self.root or "")

    def unchanged(self) -> Callable[[TreeEntry], str | None] | None:
        """Return a function from a live file to its SHA-256, None if it must be read; None for an archive.

        A file is unchanged since the backup by size, mtime, ctime and inode.
        """
        if self.store is None or self.began is None:
            return None
        blocks = listing.unpacked(_FromStart(self.archive), self.name)
        return FormerListing(blocks, self.store, began_ns=int(self.began.timestamp()) * 1_000_000_000).digest

    @property
    def at_rest_before_ns(self) -> int:
        """The time, in nanoseconds, before which a stored file must have changed last to be known as unchanged now.

        0 without a signed time of the backup.
        """
        return int(self.began.timestamp()) * 1_000_000_000 - REST_NS if self.began else 0

    def load(self, staging: Stage, *, trusted: bool, link_unchanged: bool = False) -> media_format.Content:
        """Write the files into `staging`, each proven while it is written; raises ProofFailed.

        Unchanged live files of a listing of the media store are taken over where the file system can share their
        blocks; with `link_unchanged` they are linked, and not read.
        """
        self.archive.seek(0)
        if self.store:
            entries = listing.read(self.archive, self.name)
            at_rest = self.at_rest_before_ns
            name = "unpacking the media files"
            with under_way(Work(name=name, whole=self.bytes, unit=Unit.FILES, number=self.files)) as work:
                return load_stored(
                    entries,
                    self.store,
                    staging,
                    trusted=trusted,
                    at_rest_before_ns=at_rest,
                    link=link_unchanged,
                    work=work,
                )
        if self.is_zip:
            return foreign_zip.load(self.archive, self.name, root=self.root or ".", staging=staging)
        if self.listing:
            self.listing.seek(0)
        owners = bool(self.saved and self.saved.properties)
        reading = media_format.Reading(self.root, trusted, owners, self.repeated)
        return media_format.load(self.archive, self.listing, self.name, reading=reading, staging=staging)


class _FromStart:
    """An open file read from its start, apart from the position of other readers."""

    def __init__(self, file: IO[bytes]) -> None:
        self._descriptor = file.fileno()
        self._position = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, none at the end."""
        data = os.pread(self._descriptor, size, self._position)
        self._position += len(data)
        return data


@contextmanager
def open_media(artifact: Artifact, *, unpacked: bool = True) -> Iterator[MediaSource]:
    """Open and verify a media archive; raises as `open_sql`.

    Without `unpacked` the checksum of an authentic archive is enough: the key's holder has read every file in it when
    it was made, and a load proves each again.
    """
    unpacked = unpacked or artifact.authenticity is not Authenticity.AUTHENTIC
    with ExitStack() as stack:
        with explained(f"read {artifact.path}"):
            source = _verified_media(artifact, stack, unpacked=unpacked)
        yield source


def _verified_media(artifact: Artifact, stack: ExitStack, *, unpacked: bool) -> MediaSource:
    manifest = usable_manifest(artifact)
    media = manifest.media if manifest else None
    archive = stack.enter_context(open_plain(artifact.path))
    if artifact.is_listing:
        return _stored_media(artifact, manifest, archive, unpacked=unpacked)
    if manifest is None or media is None:
        return _foreign_media(artifact, archive)
    listed_in = stack.enter_context(_open_listing(artifact.path.with_name(artifact.name + MEMBERS_SUFFIX)))
    if unpacked or not _is_member(manifest, archive):  # unpacking finds its faults
        checked = media_format.check(archive, listed_in, artifact.name, root=media.root)
        require_member(artifact, manifest, artifact.name, checked.sha256, checked.size)
    _require_listing(artifact, manifest, listed_in)
    found = ok("artifact.verified", f"{artifact.name}: {counted(media.files, 'file')}, every checksum as saved")
    findings = (found, *of_media(manifest))
    return MediaSource(archive, listed_in, media.root, media.files, media.bytes, findings, media, name=artifact.name)


def _stored_media(artifact: Artifact, manifest: Manifest | None, archive: IO[bytes], *, unpacked: bool) -> MediaSource:
    """Verify a listing, and that every file that it names is stored; `unpacked`: their contents are read."""
    if manifest and not _is_member(manifest, archive):
        raise not_saved(artifact, artifact.name)
    store = MediaStore(artifact.path.parent)
    media = manifest.media if manifest else None
    files, size = verify_stored(listing.read(archive, artifact.name), store, content=unpacked, expected=media)
    archive.seek(0)
    if manifest is None or media is None:
        findings: tuple[Finding, ...] = (unproven(artifact),)
    else:
        words = "every checksum as saved" if unpacked else "all in the media store"
        findings = (ok("artifact.verified", f"{artifact.name}: {counted(files, 'file')}, {words}"), *of_media(manifest))
    began = manifest.created if manifest and artifact.authenticity is Authenticity.AUTHENTIC else None
    return MediaSource(archive, None, None, files, size, findings, media, name=artifact.name, store=store, began=began)


def _foreign_media(artifact: Artifact, archive: IO[bytes]) -> MediaSource:
    """Read an archive of another tool to its end."""
    is_zip = archive.read(len(ZIP)) == ZIP
    archive.seek(0)
    place = str(artifact.path)  # as a whole: it stands in commands to type
    checked = foreign_zip.check(archive, place) if is_zip else media_format.check(archive, None, place, root=None)
    notes = first_of(checked.notes)
    left = (warning("media.left_out", f"{len(checked.notes)} entries of the archive are not taken: {notes}",
                    "right for pipes and devices"),) if notes else ()  # fmt: skip
    return MediaSource(
        archive,
        None,
        None,
        checked.files,
        checked.bytes,
        (unproven(artifact), *left),
        None,
        checked.found,
        {},
        is_zip,
        name=artifact.name,
    )


def _is_member(manifest: Manifest, file: IO[bytes]) -> bool:
    """Return whether an open file is named in the manifest, by checksum and size; it is left at its start."""
    reader = HashingReader(file)
    with reading("computing the checksum of a backup", file):
        for _ in reader:
            pass
    file.seek(0)
    return (reader.sha256, reader.size) in {(member.sha256, member.size) for member in manifest.members}


def _open_listing(path: Path) -> IO[bytes]:
    try:
        return open_plain(path)
    except FileNotFoundError:
        raise ProofFailed(
            f"{path} is missing: the checksums of the files cannot be compared",
            hint="copy it back to the archive's directory, or use another backup: korrigo-backup list",
        ) from None


def _require_listing(artifact: Artifact, manifest: Manifest, listing: IO[bytes]) -> None:
    """Raise ProofFailed unless the listing is the saved file; it is left at its start."""
    reader = HashingReader(listing)
    for _ in reader:
        pass
    listing.seek(0)
    require_member(artifact, manifest, artifact.name + MEMBERS_SUFFIX, reader.sha256, reader.size)
