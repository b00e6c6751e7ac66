"""The `media` kind: the upload tree as tar and gzip, with the SHA-256 of every file beside it.

Every member stands below one root (`app/media` by default), so that the runbook's `tar -xzf … -C /` puts it in
its place. Archives of the runbook's former recipes, with the roots `app/media` and `data`, are read, too.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from korrigo_backup.domain.manifest import MediaProof
from korrigo_backup.domain.paths import printable
from korrigo_backup.errors import ProofFailed
from korrigo_backup.formats import members
from korrigo_backup.formats.tape import Tape
from korrigo_backup.site.stable import unsettled
from korrigo_backup.system.blocks import Effort
from korrigo_backup.system.files import CHUNK, write_all
from korrigo_backup.system.streams import GzipWriter, HashingReader, HashingWriter, gunzip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.site.stable import Steady
    from korrigo_backup.site.tree import Stage, Tree
    from korrigo_backup.site.walk import Entry
    from korrigo_backup.system.streams import Source

    Buffer = bytes | memoryview

EFFORT = Effort.QUICK
"""Scans and PDFs are compressed already: more effort costs time and saves little."""

KNOWN_ROOTS = ("app/media", "media", "data", ".")
"""Roots found in archives without a manifest: the runbook's two recipes (4.5) and common hand-made ones."""

_NOTES = 50
"""Odd entries named in a manifest; a tree full of sockets is a finding, not a list."""


@dataclass(frozen=True)
class Content:
    """What an archive holds: files, their bytes, and the entries that were skipped."""

    files: int
    bytes: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Checked(Content):
    """What reading a whole archive gave: its content, and size and SHA-256 of the file as it was read."""

    size: int
    sha256: str


def create(
    tree: Tree, archive: HashingWriter, listing: HashingWriter, *, root: str, members_name: str, again: bool = True
) -> MediaProof:
    """Write every file and directory of `tree` into `archive` and its checksum into `listing`.

    A file that changes while it is read is read again; one that goes on changing is named in `unstable`. Links,
    devices, sockets and pipes are never followed and are named in `notes`. Raises ChangedMidway, unless this is done
    `again`, for a large file that began to change: a second run will copy it before it is read.
    """
    with GzipWriter(archive, EFFORT) as gzip:
        writer = _ArchiveWriter(gzip, listing, root, again=again)
        for entry, file in tree.contents():
            writer.add(entry, file)
        writer.close()
    return MediaProof(
        files=writer.files,
        bytes=writer.bytes,
        members=members_name,
        root=root,
        notes=tuple(writer.notes),
        unstable=tuple(writer.unstable),
    )


def check(archive: IO[bytes], listing: IO[bytes] | None, source: str, *, root: str | None) -> Checked:
    """Read a whole archive and hold every file against `listing`; both are left at their start.

    Raises ProofFailed when it is not gzip or tar, is cut or damaged, or a file is not as listed.
    """
    checked = _checked(archive, listing, source, root)
    archive.seek(0)
    if listing:
        listing.seek(0)
    return checked


def read_back(archive: Source, listing: Source, *, source: str, root: str) -> str:
    """Read an archive that is being or was just written, as `check` does, and return the SHA-256 of the file."""
    return _checked(archive, listing, source, root).sha256


def load(archive: IO[bytes], listing: IO[bytes] | None, source: str, *, root: str | None, staging: Stage) -> Content:
    """Write the archive's content into `staging`, each file proven while it is written; raises as `check`."""
    return _read(iter(lambda: archive.read(CHUNK), b""), listing, source, root, staging)


class _ArchiveWriter:
    """Writes tar members one after the other; tarfile makes their headers."""

    def __init__(self, gzip: GzipWriter, listing: HashingWriter, root: str, *, again: bool) -> None:
        self._again = again
        self._gzip = gzip
        self._listing = listing
        self._root = root
        self._size = 0
        self.files = 0
        self.bytes = 0
        self.notes: list[str] = []
        self.unstable: list[str] = []

    def add(self, entry: Entry, file: Steady | None) -> None:
        if file:
            self._add_file(entry, file)
        elif entry.is_directory:
            self._write(_packed(self._header(entry)))
        elif len(self.notes) < _NOTES:
            self.notes.append(f"{entry.odd} left out: {printable(entry.path)}")

    def _add_file(self, entry: Entry, file: Steady) -> None:
        info = self._header(entry)
        info.size = file.size
        self._write(_packed(info))
        while piece := file.read(CHUNK):
            self._write(piece)
        self._fill(tarfile.BLOCKSIZE)
        self._listing.write(members.line(file.sha256, info.name))
        self.files += 1
        self.bytes += file.size
        self.unstable += unsettled(entry, file, again=self._again)

    def _header(self, entry: Entry) -> tarfile.TarInfo:
        info = tarfile.TarInfo(f"{self._root}/{entry.path}")
        info.type = tarfile.DIRTYPE if entry.is_directory else tarfile.REGTYPE
        info.mode = entry.info.st_mode & 0o777
        info.mtime = int(entry.info.st_mtime)
        info.uid, info.gid = entry.info.st_uid, entry.info.st_gid
        return info

    def _write(self, data: bytes) -> None:
        self._gzip.write(data)
        self._size += len(data)

    def _fill(self, multiple: int) -> None:
        if rest := -self._size % multiple:
            self._write(bytes(rest))

    def close(self) -> None:
        """Write the end of the archive: two empty blocks, then what fills the last record."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._fill(tarfile.RECORDSIZE)


def _packed(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


class _ArchiveReader:
    def __init__(self, source: str, tape: Tape, root: str | None, listed: Iterator[tuple[str, str]] | None) -> None:
        self._source = source
        self._tape = tape
        self._root = root
        self._listed = listed
        self.files = 0
        self.bytes = 0
        self.notes: list[str] = []

    def read_all(self, tar: tarfile.TarFile, staging: Stage | None) -> None:
        for info in tar:
            path = self._relative(info.name)
            if info.isreg():
                self._file(tar, info, path, staging)
            elif info.isdir():
                if path and staging:
                    staging.add_directory(path, mode=info.mode, mtime_ns=_nanoseconds(info.mtime))
            elif len(self.notes) < _NOTES:
                self.notes.append(f"not a file or directory, left out: {printable(path)}")
            tar.members.clear()  # type: ignore[attr-defined]  # as above
        if self._listed and (missing := next(self._listed, None)):
            raise self._wrong(f"{printable(missing[1])} is listed but not in the archive")

    def _file(self, tar: tarfile.TarFile, info: tarfile.TarInfo, path: str, staging: Stage | None) -> None:
        if not path:
            raise self._wrong(f"{printable(info.name)} has no content")
        content = self._content(tar, info)
        if staging is None:
            digest = _copy(content, None)
        else:
            with staging.create(path) as file:
                digest = _copy(content, file)
                staging.settle(file, mode=info.mode, mtime_ns=_nanoseconds(info.mtime))
        if self._listed and next(self._listed, None) != (digest, info.name):
            raise self._wrong(f"{printable(info.name)} is not as its checksum says")
        self.files += 1
        self.bytes += info.size

    def _content(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[Buffer]:
        """Return the pieces of a file; one with holes (GNU tar's --sparse) is put together by tarfile."""
        if not info.issparse():
            return self._tape.content(info.size)
        file = tar.extractfile(info)
        return iter(lambda: file.read(CHUNK) if file else b"", b"")

    def _relative(self, name: str) -> str:
        clean = name.removeprefix("/").removeprefix("./") or "."
        if self._root is None:
            self._root = next((r for r in KNOWN_ROOTS if clean == r or clean.startswith(f"{r}/")), ".")
        if self._root == ".":
            return "" if clean == "." else clean
        if clean != self._root and not clean.startswith(f"{self._root}/"):
            raise self._wrong(f"{printable(name)} stands outside the archive's root {self._root}")
        return clean[len(self._root) + 1 :]

    def _wrong(self, what: str) -> ProofFailed:
        return ProofFailed(f"{self._source}: {what}", hint="use another backup: korrigo-backup list shows them")


def _checked(archive: Source, listing: Source | None, source: str, root: str | None) -> Checked:
    file = HashingReader(archive)
    content = _read(file, listing, source, root, None)
    return Checked(content.files, content.bytes, content.notes, file.size, file.sha256)


def _read(
    archive: Iterable[bytes], listing: Source | None, source: str, root: str | None, staging: Stage | None
) -> Content:
    pieces = gunzip(archive, source)
    tape = Tape(pieces)
    reader = _ArchiveReader(source, tape, root, members.read(listing, source) if listing else None)
    try:
        with tarfile.open(mode="r:", fileobj=tape) as tar:  # type: ignore[call-overload]
            reader.read_all(tar, staging)
    except (tarfile.TarError, EOFError, UnicodeError, ValueError) as problem:
        raise ProofFailed(
            f"{source} is not a complete tar archive ({problem})",
            hint="use another backup: korrigo-backup list shows them, newest first",
        ) from None
    for _ in pieces:  # to the gzip trailer, whose CRC covers all
        pass
    return Content(reader.files, reader.bytes, tuple(reader.notes))


def _copy(content: Iterator[Buffer], target: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
        if target:
            write_all(target, piece)
    return digest.hexdigest()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
