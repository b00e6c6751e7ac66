"""Database dumps as other people keep them: recognised by their first bytes, and unpacked."""

from __future__ import annotations

import bz2
import lzma
import shutil
import zipfile
import zlib
from contextlib import contextmanager
from enum import StrEnum
from typing import IO, TYPE_CHECKING

from korrigo_backup.errors import ProofFailed, UsageError
from korrigo_backup.system.files import CHUNK, open_plain
from korrigo_backup.system.run import Command, spawn
from korrigo_backup.system.streams import gunzip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOC = "toc.dat"
"""The table of contents of a dump in directory format, and the first member of one in tar format."""

HEAD = 64 * 1024
"""Bytes that are looked at to tell what a file is."""


class Form(StrEnum):
    """What a file is by its first bytes."""

    GZIP = "gzip"
    ZSTD = "zstd"
    XZ = "xz"
    BZIP2 = "bzip2"
    ZIP = "zip"
    CUSTOM = "custom format"
    TAR = "tar format"
    TEXT = "text"


PACKED = frozenset({Form.GZIP, Form.ZSTD, Form.XZ, Form.BZIP2, Form.ZIP})
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
_MARKS = (b"-- PostgreSQL database dump", b"-- PostgreSQL database cluster dump")
_LAYERS = 3


def form(head: bytes) -> Form:
    """Return the form of a file that begins with `head`."""
    return next((form for magic, form in _MAGIC if head.startswith(magic)), Form.TEXT)


def is_dump(path: Path) -> bool:
    """Tell whether a file or directory is a PostgreSQL dump, however packed; damage is no answer of this question."""
    if path.is_dir():
        return (path / TOC).is_file()
    try:
        with open_plain(path) as file:
            head = file.read(HEAD)
            for _ in range(_LAYERS):
                if (found := form(head)) not in PACKED:
                    break
                head = beginning(found, head, file)
    except (OSError, ValueError, ProofFailed, UsageError):
        return False
    if form(head) in {Form.CUSTOM, Form.TAR}:
        return True
    return any(mark in head.replace(b"\0", b"") for mark in _MARKS)


def beginning(packed: Form, head: bytes, file: IO[bytes]) -> bytes:
    """Return the first bytes of what a packed file that begins with `head` holds; b"" when they cannot be had."""
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

    Raises ProofFailed for a damaged file, UsageError for a ZIP with several files or when zstd is not installed.
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
            case _:
                yield _by_zstd(file, source)
    except (lzma.LZMAError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as problem:
        raise ProofFailed(
            f"{source} is not a valid {packed} file: {problem}", hint="it was cut or damaged: fetch it again"
        ) from None


def _only_member(file: IO[bytes], source: str) -> IO[bytes]:
    archive = zipfile.ZipFile(file)
    files = [one for one in archive.infolist() if not one.is_dir()]
    if len(files) != 1:
        raise UsageError(
            f"{source} holds {len(files)} files, and one dump is needed",
            hint="unpack it, and name the dump: unzip FILE.zip",
        )
    if files[0].flag_bits & 0x1:
        raise UsageError(
            f"{source} holds an encrypted file",
            hint="unpack it, which asks for the password, and name the dump: unzip FILE.zip",
        )
    return archive.open(files[0])


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
