"""The `media` kind: the upload tree as tar and gzip, and a listing with the SHA-256 of every file.

Every member stands below a single root (`app/media` by default), so that the runbook's `tar -xzf … -C /` puts it in its
place. Archives of the runbook's former recipes, with the roots `app/media` and `data`, are read, too.

One file: what the writer puts into the archive and the listing is what the reader accepts.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Protocol

from korrigo_backup.core.paths import printable, stays_inside
from korrigo_backup.errors import ProofFailed
from korrigo_backup.media import listing as members
from korrigo_backup.media.counts import NOTES, MediaCounts
from korrigo_backup.media.stable import unsettled
from korrigo_backup.media.staging import GivenProperties
from korrigo_backup.media.tar_header import SECOND, TarHeader, mtime_ns, packed, written_time
from korrigo_backup.system import progress
from korrigo_backup.system.blocks import Effort
from korrigo_backup.system.files import CHUNK, write_all
from korrigo_backup.system.packed import unpacked
from korrigo_backup.system.progress import Unit, Work
from korrigo_backup.system.streams import GzipWriter, HashingReader, HashingWriter, gunzip
from korrigo_backup.system.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from korrigo_backup.artifact.manifest import MediaProof
    from korrigo_backup.media.port import Stage
    from korrigo_backup.media.stable import Steady
    from korrigo_backup.media.walk import TreeEntry
    from korrigo_backup.system.streams import ByteSource

    Buffer = bytes | memoryview

EFFORT = Effort.QUICK
"""Scans and PDFs are compressed already: more effort costs time and saves little."""

_EXTENDED = "SCHILY.xattr."
"""How the name of an extended attribute begins among the headers of a file, for GNU tar and bsdtar, too."""

_HARMLESS = ("user.", "system.posix_acl_")
"""Extended attributes that are also restored from an archive without an authentic signature."""

_LINKED = "KORRIGO.linked"
"""The header of a file that has more names: those that follow in the archive are links to it."""


@dataclass(frozen=True)
class Content:
    """The content of an archive: files, their bytes, and the entries that were skipped.

    `unread` of the files were linked to unchanged live files, and not read.
    """

    files: int
    bytes: int
    notes: tuple[str, ...]
    unread: int = field(default=0, kw_only=True)


@dataclass(frozen=True)
class Found:
    """A member of an archive of another tool: its path, its kind (file, directory, link), and a link's target."""

    path: str
    kind: str
    target: str = ""


@dataclass(frozen=True)
class CheckedArchive(Content):
    """The result of reading a whole archive: its content, and size and SHA-256 of the file as it was read.

    `found` names every member, for an archive of another tool only.
    """

    size: int
    sha256: str
    found: tuple[Found, ...] = ()


class ReadableTree(Protocol):
    """Anything whose entries can be archived: a live tree, or the listing of a stored one."""

    def contents(self) -> Iterator[tuple[TreeEntry, Steady | None]]:
        """Yield every entry, and each file's content, which is read before the next entry is asked for."""
        ...


def create(
    tree: ReadableTree,
    archive: HashingWriter,
    listing: HashingWriter,
    *,
    root: str,
    members_name: str,
    again: bool = True,
    work: Work | None = None,
) -> MediaProof:
    """Write every file and directory of `tree` into `archive` and its checksum into `listing`.

    Owners, modes, extended attributes (ACLs among them), hard and symbolic links are members' headers, as `tar` has
    them. A file that changes while it is read is read again; a file that goes on changing is named in `unstable`.
    Devices, sockets and pipes are named in `notes`; links are not followed. Raises ChangedMidway, unless this is done
    `again`, for a large file that began to change: a second run will copy it before it is read. `work` is brought up to
    date.
    """
    with GzipWriter(archive, EFFORT) as gzip:
        writer = _ArchiveWriter(gzip, listing, root, work or saving(), again=again)
        for entry, file in tree.contents():
            writer.add(entry, file)
        writer.close()
    return writer.counts.proof(members=members_name, root=root)


def saving(files: int | None = None, size: int | None = None) -> Work:
    """Return the work of saving a tree; `files` and `size` (bytes) are those of the last backup or of a look at it."""
    return Work(name="saving the media files", whole=size, is_estimate=True, unit=Unit.FILES, number=files)


def check(archive: IO[bytes], listing: IO[bytes] | None, source: str, *, root: str | None) -> CheckedArchive:
    """Read a whole archive and hold every file against `listing`; both are left at their start.

    Raises ProofFailed when it is not gzip or tar, is cut or damaged, or a file is not as listed.
    """
    with progress.reading("reading the media archive", archive) as work:
        checked = _checked(archive, listing, source, Reading(root), work)
    archive.seek(0)
    if listing:
        listing.seek(0)
    return checked


def read_back(archive: ByteSource, listing: ByteSource, *, source: str, root: str) -> str:
    """Read an archive that is being or was just written, as `check` does, and return the SHA-256 of the file."""
    return _checked(archive, listing, source, Reading(root, trusted=True), Work(name="")).sha256


def load(archive: IO[bytes], listing: IO[bytes] | None, source: str, *, reading: Reading, staging: Stage) -> Content:
    """Write the archive's content into `staging`, each file proven while it is written; raises as `check`."""
    with progress.reading("unpacking the media files", archive) as work:
        content, _ = _read(iter(lambda: archive.read(CHUNK), b""), listing, source, reading, staging, work)
    return content


class _ArchiveWriter:
    """Writes tar members one after the other; tarfile makes their headers."""

    def __init__(self, gzip: GzipWriter, listing: HashingWriter, root: str, work: Work, *, again: bool) -> None:
        self._work = work
        self._again = again
        self._gzip = gzip
        self._listing = listing
        self._root = root
        self._size = 0
        self.counts = MediaCounts()
        self._digests: dict[str, str] = {}  # of files with more than one name

    def add(self, entry: TreeEntry, file: Steady | None) -> None:
        if file:
            self._add_file(entry, file)
        elif entry.same_as is not None:
            self._add_hard_link(entry, entry.same_as)
        elif entry.target is not None:
            self._add_link(entry, entry.target)
        elif entry.is_file:
            return  # deleted by the site since it was listed
        elif entry.odd:
            self.counts.note_odd(entry)
            return
        else:
            self._write(packed(self._header(entry)))
        self.counts.add_owner(entry)

    def _add_link(self, entry: TreeEntry, target: str) -> None:
        info = self._header(entry)
        info.linkname = target
        self._write(packed(info))
        self.counts.note_link(entry, target)

    def _add_hard_link(self, entry: TreeEntry, existing: str) -> None:
        info = self._header(entry)
        info.type, info.linkname = tarfile.LNKTYPE, f"{self._root}/{existing}"
        self._write(packed(info))
        self._listing.write(members.line(self._digests[existing], info.name))
        self.counts.add_file(0)

    def _add_file(self, entry: TreeEntry, file: Steady) -> None:
        info = self._header(entry)
        info.size = file.size
        self._work.item = entry.path
        self._write(packed(info))
        while piece := file.read(CHUNK):
            self._write(piece)
            self._work.size += len(piece)
        self._work.count += 1
        self._fill(tarfile.BLOCKSIZE)
        digest = file.sha256
        self._listing.write(members.line(digest, info.name))
        if entry.info.st_nlink > 1:
            self._digests[entry.path] = digest
        self.counts.add_file(file.size)
        self.counts.unstable += unsettled(entry, file, again=self._again)

    def _header(self, entry: TreeEntry) -> tarfile.TarInfo:
        info = tarfile.TarInfo(f"{self._root}/{entry.path}" if entry.path else self._root)
        if entry.is_directory:
            info.type = tarfile.DIRTYPE
        elif entry.target is not None:
            info.type = tarfile.SYMTYPE
        info.mode = entry.info.st_mode & 0o7777
        info.mtime = entry.info.st_mtime_ns // SECOND
        info.uid, info.gid = entry.info.st_uid, entry.info.st_gid
        if entry.info.st_mtime_ns % SECOND:
            info.pax_headers = {"mtime": written_time(entry.info.st_mtime_ns)}
        if entry.extended:
            extended = {_keyword(name): _as_text(value) for name, value in entry.extended.items()}
            info.pax_headers = {**info.pax_headers, **extended}
        if entry.is_file and entry.info.st_nlink > 1:
            info.pax_headers = {**info.pax_headers, _LINKED: str(entry.info.st_nlink)}
        return info

    def _write(self, data: bytes) -> None:
        self._gzip.write(data)
        self._size += len(data)

    def _fill(self, multiple: int) -> None:
        if rest := -self._size % multiple:
            self._write(bytes(rest))

    def close(self) -> None:
        """Write the end of the archive: two empty blocks, then the rest of the last record."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._fill(tarfile.RECORDSIZE)


def _keyword(name: str) -> str:
    """Return the header that carries an extended attribute; "=" ends its name, so it is escaped as in GNU tar."""
    return _EXTENDED + name.replace("%", "%25").replace("=", "%3D")


def _as_text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _extended(info: tarfile.TarInfo) -> dict[str, bytes]:
    """Return the extended attributes that the headers of a member carry."""
    return {
        keyword[len(_EXTENDED) :].replace("%3D", "=").replace("%25", "%"): value.encode("utf-8", "surrogateescape")
        for keyword, value in info.pax_headers.items()
        if keyword.startswith(_EXTENDED)
    }


@dataclass(frozen=True)
class Reading:
    """How an archive is read. `root` is the beginning of its paths, None if it is not known yet.

    From a `trusted` archive everything that was recorded is restored; from another archive no setuid bit, no attribute
    of the system, and no link that could lead out of the tree. `owners` is True if owners are recorded. `repeated`
    counts the paths that come more than once in an archive of another tool: the last occurrence is used.
    """

    root: str | None = None
    trusted: bool = False
    owners: bool = False
    repeated: Mapping[str, int] = field(default_factory=dict)


class _ArchiveReader:
    def __init__(
        self, source: str, tape: Tape, reading: Reading, listed: Iterator[tuple[str, str]] | None, work: Work
    ) -> None:
        self._work = work
        self._source = source
        self._tape = tape
        self._reading = reading
        self._root = reading.root
        self._listed = listed
        self._left = dict(reading.repeated)
        self._digests: dict[str, str] = {}  # of files with more than one name
        self.files = 0
        self.bytes = 0
        self.notes: list[str] = []
        self.found: list[Found] = []

    def read_all(self, tar: tarfile.TarFile, staging: Stage | None) -> None:
        for info in tar:
            self._one(tar, info, staging)
            tar.members.clear()  # type: ignore[attr-defined]  # as above
        if self._listed and (missing := next(self._listed, None)):
            raise self._wrong(f"{printable(missing[1])} is listed but not in the archive")

    def _one(self, tar: tarfile.TarFile, info: tarfile.TarInfo, staging: Stage | None) -> None:
        path = self._relative(info.name)
        if path is None or self._comes_again(path):
            return
        if self._listed is None and self._reading.root is None:
            self._note(info, path)
        if info.isreg():
            self._file(tar, info, path, staging)
        elif info.islnk():
            self._hard_link(info, path, staging)
        elif info.isdir():
            if staging and (path or self._reading.owners):
                staging.add_directory(path, self._given(info, directory=True))
        elif info.issym() and (self._reading.trusted or stays_inside(path, info.linkname)):
            if staging:
                given = self._given(info)
                staging.add_link(path, info.linkname, mtime_ns=given.mtime_ns, owner=given.owner)
        elif len(self.notes) < NOTES:
            what = "link that leads out of the tree" if info.issym() else "not a file or directory"
            self.notes.append(f"{what}, left out: {printable(path)}")

    def _note(self, info: tarfile.TarInfo, path: str) -> None:
        """Note a member of an archive of another tool, whose root is not known yet."""
        kind = "directory" if info.isdir() else "link" if info.issym() else "file"
        self.found.append(Found(path, kind, info.linkname if info.issym() else ""))

    def _comes_again(self, path: str) -> bool:
        left = self._left.get(path, 0)
        if left:
            self._left[path] = left - 1
        return left > 1

    def _given(self, info: tarfile.TarInfo, *, directory: bool = False) -> GivenProperties:
        """Return the properties that a member gets: those that the archive records and is trusted with."""
        recorded = self._reading.owners
        owner = (info.uid, info.gid) if recorded else None
        extended = _extended(info) if recorded else {}
        trusted = self._reading.trusted
        return given_properties(info.mode, mtime_ns(info), owner, extended, trusted=trusted, directory=directory)

    def _file(self, tar: tarfile.TarFile, info: tarfile.TarInfo, path: str, staging: Stage | None) -> None:
        if not path:
            raise self._wrong(f"{printable(info.name)} has no content")
        content = self._content(tar, info)
        self._work.item = path
        if staging is None:
            digest = _copy(content, None)
        else:
            with staging.create(path) as file:
                digest = _copy(content, file)
                staging.settle(file, self._given(info))
        self._require_listed(digest, info)
        if _LINKED in info.pax_headers:
            self._digests[path] = digest
        self.files += 1
        self.bytes += info.size

    def _hard_link(self, info: tarfile.TarInfo, path: str, staging: Stage | None) -> None:
        """Give a file a second name; with a list of checksums its own must be that of the first."""
        existing = self._relative(info.linkname)
        if not existing or not path:
            raise self._wrong(f"{printable(info.name)} is a link to {printable(info.linkname)}, which is no file")
        if self._listed:
            self._require_listed(self._digests.get(existing, ""), info)
        if staging:
            try:
                staging.add_hard_link(path, existing)
            except FileNotFoundError:
                raise self._wrong(
                    f"{printable(info.name)} is a link to {printable(info.linkname)}, which does not come before it"
                ) from None
        self.files += 1

    def _require_listed(self, digest: str, info: tarfile.TarInfo) -> None:
        if self._listed and next(self._listed, None) != (digest, info.name):
            raise self._wrong(f"{printable(info.name)} differs from its checksum")

    def _content(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[Buffer]:
        """Return the pieces of a file; a file with holes (GNU tar's --sparse) is put together by tarfile."""
        if not info.issparse():
            return self._tape.content(info.size)
        file = tar.extractfile(info)
        return iter(lambda: file.read(CHUNK) if file else b"", b"")

    def _relative(self, name: str) -> str | None:
        """Return the path below the root, None for a directory above it in an archive of another tool."""
        clean = plain(name)
        if self._root is None or self._root == ".":
            return "" if clean == "." else clean
        if clean != self._root and not clean.startswith(f"{self._root}/"):
            if self._listed is None and (clean == "." or self._root.startswith(f"{clean}/")):
                return None
            raise self._wrong(f"{printable(name)} stands outside the archive's root {self._root}")
        return clean[len(self._root) + 1 :]

    def _wrong(self, what: str) -> ProofFailed:
        return ProofFailed(f"{self._source}: {what}", hint="use another backup: korrigo-backup list shows them")


def given_properties(
    mode: int,
    mtime_ns: int,
    owner: tuple[int, int] | None,
    extended: Mapping[str, bytes],
    *,
    trusted: bool,
    directory: bool,
) -> GivenProperties:
    """Return the properties that an entry gets: those that its backup records and is trusted with."""
    if not trusted:
        mode &= 0o3777 if directory else 0o777
        extended = {name: value for name, value in extended.items() if name.startswith(_HARMLESS)}
    return GivenProperties(mode & 0o7777, mtime_ns, owner, extended)


def plain(name: str) -> str:
    """Return a member's name without the leading "/" or "./" that tools write, "." for the root itself."""
    clean = name.lstrip("/")
    while clean.startswith("./"):
        clean = clean[2:].lstrip("/")
    return clean.rstrip("/") or "."


def _checked(
    archive: ByteSource, listing: ByteSource | None, source: str, reading: Reading, work: Work
) -> CheckedArchive:
    file = HashingReader(archive)
    content, found = _read(file, listing, source, reading, None, work)
    return CheckedArchive(content.files, content.bytes, content.notes, file.size, file.sha256, tuple(found))


def _read(
    archive: Iterable[bytes],
    listing: ByteSource | None,
    source: str,
    reading: Reading,
    staging: Stage | None,
    work: Work,
) -> tuple[Content, list[Found]]:
    pieces = gunzip(archive, source) if listing else unpacked(archive, source)
    tape = Tape(pieces)
    reader = _ArchiveReader(source, tape, reading, members.read(listing, source) if listing else None, work)
    try:
        with tarfile.open(mode="r:", fileobj=tape, tarinfo=TarHeader) as tar:  # type: ignore[call-overload]
            reader.read_all(tar, staging)
    except (tarfile.TarError, EOFError, UnicodeError, ValueError) as problem:
        raise ProofFailed(
            f"{source} is not a complete tar archive ({problem})",
            hint="use another backup: korrigo-backup list shows them, newest first",
        ) from None
    for _ in pieces:  # to the gzip trailer, whose CRC covers all
        pass
    return Content(reader.files, reader.bytes, tuple(reader.notes)), reader.found


def _copy(content: Iterator[Buffer], target: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
        if target:
            write_all(target, piece)
    return digest.hexdigest()
