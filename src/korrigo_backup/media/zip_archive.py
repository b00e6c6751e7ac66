"""The media of a `django` artifact: the upload tree as ZIP, and a listing with the SHA-256 of every file.

Paths are relative to MEDIA_ROOT, as Korrigo's former command wrote them. Data that do not get smaller are stored. Times
are kept to the second in Info-ZIP's extended timestamp, and to the nanosecond in a field of our own; a header's own
time cannot be before 1980. Names are bytes: a name that is not UTF-8 is written as it is, without the UTF-8 flag.

One file: the fields that the writer makes are those that the reader understands.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from isal import isal_zlib

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.paths import printable
from korrigo_backup.errors import ProofFailed, Refused
from korrigo_backup.media import listing as members
from korrigo_backup.media.archive import CheckedArchive, saving
from korrigo_backup.media.counts import MediaCounts
from korrigo_backup.media.stable import open_stable, unsettled
from korrigo_backup.media.staging import GivenProperties, safe_parts
from korrigo_backup.media.tar_header import SECOND
from korrigo_backup.system.files import CHUNK, write_all
from korrigo_backup.system.progress import Unit, Work, reading, under_way
from korrigo_backup.system.streams import HashingReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.artifact.manifest import MediaProof
    from korrigo_backup.media.archive import ReadableTree
    from korrigo_backup.media.stable import Steady
    from korrigo_backup.media.staging import Staging
    from korrigo_backup.media.walk import TreeEntry
    from korrigo_backup.system.streams import HashingWriter

ROOT = "."
LEVEL = 3
"""The best of isal's levels: several times as fast as zlib's default, and a few per cent larger."""

WORTH = 0.015
"""The least gain, of a piece of a file, for which it is compressed: most scans and PDFs stay below it, text does not.

Measured, not derived from the name: a PDF may hold plain text, and a badly made JPEG gains an eighth.
"""

_SAMPLE = 16 * 1024
"""Bytes examined, from the middle of the first piece: a header does not show how well the rest compresses."""

LONGEST = 255
"""Bytes of a part of a path on Linux file systems."""

_UNIX = 3
_UTF8 = 0x800
_ENCRYPTED = 0x1
_TIMESTAMP = 0x5455
_NANOSECONDS = 0x4B62
"""A field of our own: nanoseconds since 1970. Other tools pass over it and take the timestamp."""

_FIRST, _LAST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def create(
    tree: ReadableTree,
    archive: HashingWriter,
    listing: HashingWriter,
    *,
    members_name: str,
    again: bool = True,
) -> MediaProof:
    """Write every file and directory of `tree` into `archive` and its checksum into `listing`.

    A file that changes while it is read is read again; a file that goes on changing is named in `unstable`. Links,
    devices, sockets and pipes are never followed and are named in `notes`. Raises ChangedMidway, unless this is done
    `again`, for a large file that began to change: a second run will copy it before it is read.
    """
    with (
        under_way(saving()) as work,
        zipfile.ZipFile(archive, "w", allowZip64=True) as opened,  # type: ignore[call-overload]
    ):
        writer = _Writer(opened, listing, work, again=again)
        for entry, file in tree.contents():
            writer.add(entry, file)
    return writer.proof(members_name)


def check(archive: IO[bytes], listing: IO[bytes] | None, source: str) -> CheckedArchive:
    """Read a whole archive and hold every file against `listing`; both are left at their start.

    Raises ProofFailed when it is not a ZIP, is cut or damaged, or a file is not as listed; Refused for a name
    that leads elsewhere.
    """
    checked = _read(archive, listing, source, None, None)
    archive.seek(0)
    if listing:
        listing.seek(0)
    return checked


def load(
    archive: IO[bytes], listing: IO[bytes] | None, source: str, *, staging: Staging, room: int | None = None
) -> CheckedArchive:
    """Write the archive's content into `staging`, each file proven while it is written; raises as `check`.

    No file is written if the archive announces more than `room` bytes (Refused).
    """
    return _read(archive, listing, source, staging, room)


_NAMED = 5
"""How many of the entries whose owner is not in the archive are named."""


class _Info(zipfile.ZipInfo):
    """A header whose name is bytes."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile's name
        # zipfile writes a name as ASCII or UTF-8 and fails for a name with surrogates. A name on Linux is any bytes, so
        # this private method, which zipfile calls for each header, returns the bytes themselves. The flag for UTF-8 is
        # set only if they are UTF-8: readers take them for the local encoding otherwise.
        raw = os.fsencode(self.filename)
        if raw.isascii():
            return raw, self.flag_bits & ~_UTF8
        try:
            raw.decode()
        except UnicodeDecodeError:
            return raw, self.flag_bits & ~_UTF8
        return raw, self.flag_bits | _UTF8


class _Writer:
    def __init__(self, opened: zipfile.ZipFile, listing: HashingWriter, work: Work, *, again: bool) -> None:
        self._work = work
        self._again = again
        self._zip = opened
        self._listing = listing
        self._counts = MediaCounts()
        self._owner: tuple[int, int] | None = None
        self._plain: list[str] = []
        self._bare = 0

    def add(self, entry: TreeEntry, file: Steady | None) -> None:
        self._note_rights(entry)
        if file:
            self._add_file(entry, file)
        elif entry.same_as is not None:
            with open_stable(entry) as again:
                if again:
                    self._add_file(entry, again)
        elif entry.is_file:
            self._counts.note(f"deleted while the backup ran: {printable(entry.path)}")
        elif entry.odd:
            self._counts.note_odd(entry)
            self._counts.note_link(entry, entry.target or "")
        elif entry.path:
            self._zip.mkdir(_header(entry, directory=True))

    def _note_rights(self, entry: TreeEntry) -> None:
        """Count entries with another owner than the root, or set-ID bits: a restore gives all the root's owner."""
        owner = entry.info.st_uid, entry.info.st_gid
        self._owner = self._owner or owner  # the root comes first
        special = entry.info.st_mode & (stat.S_ISUID | stat.S_ISGID) and entry.path
        if not entry.odd and (owner != self._owner or special):
            self._bare += 1
            if len(self._plain) < _NAMED:
                self._plain.append(printable(entry.path))

    def _rights(self) -> list[str]:
        if not self._bare:
            return []
        return [f"owner or set-ID bits left out: {first_of(self._plain, _NAMED, count=self._bare)}"]

    def _add_file(self, entry: TreeEntry, file: Steady) -> None:
        info = _header(entry, directory=False)
        info.file_size = file.size
        self._work.item = entry.path
        piece = file.read()
        deflated = _is_worth(piece)
        if deflated:
            info.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(info, "w") as member:
            if deflated:  # zipfile knows zlib alone; its writer asks only for compress() and flush()
                member._compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -zlib.MAX_WBITS)  # type: ignore[attr-defined]  # noqa: SLF001
            while piece:
                member.write(piece)
                self._work.size += len(piece)
                piece = file.read()
        self._work.count += 1
        self._listing.write(members.line(file.sha256, entry.path))
        self._counts.add_file(file.size)
        self._counts.unstable += unsettled(entry, file, again=self._again)

    def proof(self, members_name: str) -> MediaProof:
        self._counts.notes += self._rights()
        return self._counts.proof(members=members_name, root=ROOT, properties=False)


def _is_worth(piece: bytes) -> bool:
    middle = max(0, len(piece) - _SAMPLE) // 2
    sample = piece[middle : middle + _SAMPLE]
    if not sample:
        return False
    engine = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -zlib.MAX_WBITS)
    return len(engine.compress(sample)) + len(engine.flush()) < len(sample) * (1 - WORTH)


def _header(entry: TreeEntry, *, directory: bool) -> _Info:
    seconds = entry.info.st_mtime_ns // SECOND
    local = time.localtime(max(seconds, 0))[:6]
    info = _Info(entry.path + ("/" if directory else ""), min(max(local, _FIRST), _LAST))
    info.create_system = _UNIX
    info.external_attr = (stat.S_IFMT(entry.info.st_mode) | (entry.info.st_mode & 0o777)) << 16
    info.CRC = info.compress_size = info.file_size = 0
    if directory:
        info.external_attr |= 0x10  # the directory attribute of MS-DOS, which some tools read
    if -(1 << 31) <= seconds < 1 << 31:
        info.extra = struct.pack("<HHBi", _TIMESTAMP, 5, 1, seconds)
    if entry.info.st_mtime_ns % SECOND:
        info.extra += struct.pack("<HHq", _NANOSECONDS, 8, entry.info.st_mtime_ns)
    return info


@dataclass(frozen=True)
class _Member:
    """An entry of an archive after all checks that do not need its content."""

    info: zipfile.ZipInfo
    path: str
    is_directory: bool
    mode: int
    mtime_ns: int


def _read(
    archive: IO[bytes], listing: IO[bytes] | None, source: str, staging: Staging | None, room: int | None
) -> CheckedArchive:
    whole = HashingReader(archive)
    with reading("reading the media archive", archive):
        for _ in whole:
            pass
    archive.seek(0)
    buffered = io.BufferedReader(archive, CHUNK)  # type: ignore[type-var]
    try:
        with zipfile.ZipFile(buffered) as opened:
            reader = _Reader(opened, source, members.read(listing, source) if listing else None)
            found = reader.members(whole.size)
            size = sum(member.info.file_size for member in found)
            _need_room(size, room, source)
            name = "unpacking the media files" if staging else "reading the media archive"
            with under_way(Work(name=name, whole=size, unit=Unit.FILES, number=len(found))) as work:
                for member in found:
                    work.item = member.info.filename
                    reader.read(member, staging)
                    work.size += member.info.file_size
                    work.count += 1
            reader.close()
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        UnicodeError,
        ValueError,
        NotImplementedError,
        struct.error,
    ) as problem:
        raise _wrong(source, f"it is not a complete ZIP archive ({problem})") from None
    finally:
        buffered.detach()
    return CheckedArchive(reader.files, reader.bytes, (), whole.size, whole.sha256)


class _Reader:
    def __init__(self, opened: zipfile.ZipFile, source: str, listed: Iterator[tuple[str, str]] | None) -> None:
        self._zip = opened
        self._source = source
        self._listed = listed
        self.files = 0
        self.bytes = 0

    def members(self, archive_size: int) -> list[_Member]:
        """Return the entries in the order of the archive; their content is not read."""
        found = [self._member(info) for info in self._zip.infolist()]
        if len({member.path for member in found}) != len(found):
            raise _wrong(self._source, "a path is in the archive twice")
        if sum(member.info.compress_size for member in found) > archive_size:
            raise _wrong(self._source, "its entries overlap: it was made to fill the disk")
        files = {member.path for member in found if not member.is_directory}
        for member in found:
            if any(str(parent) in files for parent in PurePosixPath(member.path).parents):
                raise _wrong(self._source, f"{printable(member.path)} stands below a file")
        return found

    def _member(self, info: zipfile.ZipInfo) -> _Member:
        name = named(info)
        mode, shown = info.external_attr >> 16, printable(name)
        kind = stat.S_IFMT(mode)
        directory = name.endswith("/")
        if kind not in {0, stat.S_IFDIR if directory else stat.S_IFREG}:
            raise _wrong(self._source, f"{shown} is neither a file nor a directory")
        if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
            raise _wrong(self._source, f"{shown} is encrypted or compressed in a way that no media backup is")
        if "\0" in info.orig_filename or ("\\" in name and info.create_system != _UNIX):
            raise _wrong(self._source, f"{shown} is not a path")
        path = name.removesuffix("/")
        if any(len(os.fsencode(part)) > LONGEST for part in safe_parts(path)):
            raise _wrong(self._source, f"{shown[:60]}… is a name that no file system takes")
        default = 0o755 if directory else 0o644
        return _Member(info, path, directory, (mode & 0o777) or default, modified(info))

    def read(self, member: _Member, staging: Staging | None) -> None:
        try:
            self._read(member, staging)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise _wrong(self._source, f"{printable(member.path)} is both a file and another entry") from None

    def _read(self, member: _Member, staging: Staging | None) -> None:
        if member.is_directory:
            if staging:
                staging.add_directory(member.path, GivenProperties(member.mode, member.mtime_ns))
            return
        with self._zip.open(member.info) as content:
            if staging is None:
                digest, size = copy_content(content, None)
            else:
                with staging.create(member.path) as file:
                    digest, size = copy_content(content, file)
                    staging.settle(file, GivenProperties(member.mode, member.mtime_ns))
        if size != member.info.file_size:
            raise _wrong(self._source, f"{printable(member.path)} has another length than the archive names")
        if self._listed and next(self._listed, None) != (digest, member.path):
            raise _wrong(self._source, f"{printable(member.path)} differs from its checksum")
        self.files += 1
        self.bytes += size

    def close(self) -> None:
        """Raise ProofFailed when a listed file was not in the archive."""
        if self._listed and (missing := next(self._listed, None)):
            raise _wrong(self._source, f"{printable(missing[1])} is listed but not in the archive")


def copy_content(content: IO[bytes], target: IO[bytes] | None) -> tuple[str, int]:
    """Copy a member's content; return its SHA-256 and its size in bytes."""
    digest, size = hashlib.sha256(), 0
    while piece := content.read(CHUNK):
        digest.update(piece)
        size += len(piece)
        if target:
            write_all(target, piece)
    return digest.hexdigest(), size


def named(info: zipfile.ZipInfo) -> str:
    """Return the path of an entry; bytes that are not UTF-8 are surrogate escapes."""
    if info.flag_bits & _UTF8 or info.orig_filename.isascii():
        return info.orig_filename
    return os.fsdecode(info.orig_filename.encode("cp437"))  # zipfile's reading of bytes, undone


def modified(info: zipfile.ZipInfo) -> int:
    """Return when an entry was changed, in nanoseconds since 1970."""
    seconds = None
    for kind, value in _fields(info.extra):
        if kind == _NANOSECONDS and len(value) == 8:  # noqa: PLR2004
            return int(struct.unpack("<q", value)[0])
        if kind == _TIMESTAMP and len(value) >= 5 and value[0] & 1 and seconds is None:  # noqa: PLR2004
            seconds = int(struct.unpack_from("<i", value, 1)[0])
    if seconds is None:
        try:
            seconds = int(time.mktime((*info.date_time, 0, 0, -1)))
        except (OverflowError, ValueError):
            seconds = 0
    return seconds * SECOND


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    while len(extra) >= 4:  # noqa: PLR2004 - an id and a length, two bytes each
        kind, size = struct.unpack_from("<HH", extra)
        yield kind, extra[4 : 4 + size]
        extra = extra[4 + size :]


def _need_room(announced: int, room: int | None, source: str) -> None:
    if room is not None and announced > room:
        raise Refused(
            f"{source} holds {announced:,} bytes of media, {room:,} are free",
            hint="make room on the disk of the media (df -h), then run it again",
        )


def _wrong(source: str, what: str) -> ProofFailed:
    return ProofFailed(f"{source}: {what}", hint="use another backup: korrigo-backup list shows them")
