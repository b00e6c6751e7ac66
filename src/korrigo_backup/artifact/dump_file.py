"""Database dumps as other people keep them: recognised by their first bytes, and unpacked."""

from __future__ import annotations

import bz2
import lzma
import shutil
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from enum import StrEnum
from shlex import quote
from typing import IO, TYPE_CHECKING

from korrigo_backup.errors import ProofFailed, UsageError
from korrigo_backup.system.files import CHUNK, open_plain
from korrigo_backup.system.run import Command, spawn
from korrigo_backup.system.streams import gunzip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOC = "toc.dat"
"""The table of contents of a dump in directory format, and the first member of a dump in tar format."""

HEAD = 64 * 1024
"""Bytes that are read to find the form of a file."""


class Form(StrEnum):
    """The form of a file by its first bytes."""

    GZIP = "gzip"
    ZSTD = "zstd"
    XZ = "xz"
    BZIP2 = "bzip2"
    ZIP = "zip"
    CUSTOM = "custom format"
    TAR = "tar format"
    ARCHIVE = "tar archive"
    """An archive made by another program; `TAR` is the format of pg_dump."""
    TEXT = "text"


PACKED = frozenset({Form.GZIP, Form.ZSTD, Form.XZ, Form.BZIP2, Form.ZIP, Form.ARCHIVE})
"""Forms that hold another file."""

_MAGIC = (
    (b"\x1f\x8b", Form.GZIP),
    (b"\x28\xb5\x2f\xfd", Form.ZSTD),
    (b"\xfd7zXZ\0", Form.XZ),
    (b"BZh", Form.BZIP2),
    (b"PK\x03\x04", Form.ZIP),
    (b"PGDMP", Form.CUSTOM),
    (TOC.encode() + b"\0", Form.TAR),
)
_TAR_AT, _TAR_MAGIC = 257, b"ustar"
_MARKS = (b"-- PostgreSQL database dump", b"-- PostgreSQL database cluster dump")
_LAYERS = 3


def form(head: bytes) -> Form:
    """Return the form of a file that begins with `head`."""
    found = next((form for magic, form in _MAGIC if head.startswith(magic)), Form.TEXT)
    return Form.ARCHIVE if found is Form.TEXT and head[_TAR_AT:].startswith(_TAR_MAGIC) else found


def is_dump(path: Path) -> bool:
    """Return whether a file or directory is a PostgreSQL dump, in any packing. Damage does not raise: returns False."""
    if path.is_dir():
        return (path / TOC).is_file()
    try:
        with open_plain(path) as file:
            head = file.read(HEAD)
            for _ in range(_LAYERS):
                if (found := form(head)) not in PACKED or found is Form.ARCHIVE:
                    break
                head = beginning(found, head, file)
    except (OSError, ValueError, ProofFailed, UsageError):
        return False
    if form(head) in {Form.CUSTOM, Form.TAR}:
        return True
    is_marked = any(mark in head.replace(b"\0", b"") for mark in _MARKS)
    return is_marked and (form(head) is not Form.ARCHIVE or _holds_one_file(path))


def _holds_one_file(path: Path) -> bool:
    """Return whether a tar archive, packed or not, holds a single file; it is read as far as its second file."""
    try:
        with tarfile.open(path) as archive:
            return sum(1 for _, one in zip(range(2), filter(tarfile.TarInfo.isreg, archive), strict=False)) == 1
    except (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError):
        return False


def beginning(packed: Form, head: bytes, file: IO[bytes]) -> bytes:
    """Return the first bytes of the content of a packed file that begins with `head`; b"" if they cannot be read."""
    try:
        match packed:
            case Form.GZIP:
                return zlib.decompressobj(31).decompress(head, HEAD)
            case Form.XZ:
                return lzma.LZMADecompressor().decompress(head, HEAD)
            case Form.BZIP2:
                return bz2.BZ2Decompressor().decompress(head, HEAD)
            case _:
                file.seek(0)
                with unpacked(packed, file, "") as pieces:
                    return next(iter(pieces), b"")[:HEAD]
    except (zlib.error, lzma.LZMAError, OSError, EOFError):
        return b""


@contextmanager
def unpacked(packed: Form, file: IO[bytes], source: str) -> Iterator[Iterator[bytes]]:
    """Yield the content of a packed file, open at its start, in pieces.

    Raises ProofFailed for a damaged file, UsageError for an archive with several files or when zstd is not installed.
    """
    try:
        match packed:
            case Form.GZIP:
                yield gunzip(iter(lambda: file.read(CHUNK), b""), source)
            case Form.XZ:
                with lzma.open(file) as inside:
                    yield iter(lambda: inside.read(CHUNK), b"")
            case Form.BZIP2:
                with bz2.open(file) as inside:
                    yield iter(lambda: inside.read(CHUNK), b"")
            case Form.ZIP:
                with _only_member(file, source) as inside:
                    yield iter(lambda: inside.read(CHUNK), b"")
            case Form.ARCHIVE:
                with _only_file(file, source) as inside:
                    yield iter(lambda: inside.read(CHUNK), b"")
            case _:
                yield _by_zstd(file, source)
    except OSError as problem:
        if problem.errno is not None:
            raise  # an error of the disk; bz2 raises OSError without a number for damage
        raise _damaged(packed, source, problem) from None
    except (lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError) as problem:
        raise _damaged(packed, source, problem) from None


def _damaged(packed: Form, source: str, problem: Exception) -> ProofFailed:
    return ProofFailed(
        f"{source} is not a valid {packed} file: {problem}", hint="it was cut or damaged: fetch it again"
    )


def _only_member(file: IO[bytes], source: str) -> IO[bytes]:
    archive = zipfile.ZipFile(file)
    files = [one for one in archive.infolist() if not one.is_dir()]
    if len(files) != 1:
        raise UsageError(
            f"{source} holds {len(files)} files, and exactly one is needed: the dump",
            hint="unpack it, and name the dump: unzip FILE.zip",
        )
    if files[0].flag_bits & 0x1:
        raise UsageError(
            f"{source} holds an encrypted file",
            hint="unpack it, which asks for the password, and name the dump: unzip FILE.zip",
        )
    return archive.open(files[0])


def _only_file(file: IO[bytes], source: str) -> IO[bytes]:
    archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - the file is the caller's
    files = [one for one in archive if one.isreg()]
    inside = archive.extractfile(files[0]) if len(files) == 1 else None
    if inside is None:
        raise UsageError(
            f"{source} holds {len(files)} files, and exactly one is needed: the dump",
            hint=f"take the dump out of it: tar -xOf {quote(source)}"
            f" {quote(files[0].name) if files else 'MEMBER'} | gzip > NAME.sql.gz",
        )
    return inside


def _by_zstd(file: IO[bytes], source: str) -> Iterator[bytes]:
    if shutil.which("zstd") is None:
        raise UsageError(
            f"{source} is packed by zstd, which is not installed here",
            hint="install it (apt-get install zstd), or unpack the file elsewhere: zstd -d FILE.zst",
        )
    with spawn(Command(("zstd", "-dcq"), unprivileged=True), stdin=file, stdout=True) as zstd:
        while piece := zstd.stdout.read(CHUNK):
            yield piece
        if zstd.wait():
            raise ProofFailed(
                f"{source} is not a valid zstd file: {zstd.stderr}", hint="it was cut or damaged: fetch it again"
            )
