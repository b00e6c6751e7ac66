"""Byte streams of constant memory: hashed while written, compressed, decompressed within bounds."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Self

from isal import igzip_threaded, isal_zlib

from korrigo_backup.errors import ProofFailed
from korrigo_backup.system.files import CHUNK, write_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

GZIP_WINDOW = 31
"""zlib's `wbits` for a 32 KiB window with a gzip header and trailer."""

THREADS = 2
"""Compressing threads: with the reader and the database's own processes this fills a small server, no more."""


class HashingWriter:
    """Writes to an unbuffered file and knows size and SHA-256 of all that was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._abandoned = False
        self.size = 0

    def abandon(self) -> None:
        """Write nothing any more: the file is given up."""
        self._abandoned = True

    def write(self, data: bytes) -> int:
        """Write all of `data`."""
        if self._abandoned:
            return len(data)
        write_all(self._file, data)
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: the file is unbuffered."""

    @property
    def sha256(self) -> str:
        """The checksum so far, in hexadecimal."""
        return self._digest.hexdigest()


class HashingReader:
    """Yields the chunks of a file and knows size and SHA-256 of all that was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._file.read(CHUNK):
            self._digest.update(chunk)
            self.size += len(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        """The checksum so far, in hexadecimal."""
        return self._digest.hexdigest()


class GzipWriter:
    """Compresses what is written to it into `target` on threads of its own; zcat reads the result.

    A context manager: leaving the block without an error writes the trailer with length and CRC.
    """

    def __init__(self, target: HashingWriter, level: int) -> None:
        self._target = target
        self._engine = igzip_threaded.open(  # type: ignore[no-untyped-call]
            target, "wb", compresslevel=level, threads=THREADS, block_size=CHUNK
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._engine.close()
            return
        self._target.abandon()  # the threads finish what they hold, into nothing
        with suppress(Exception):  # the error that ended the block is the one to tell
            self._engine.close()

    def write(self, data: bytes) -> int:
        """Give `data` to the threads; raises what went wrong when an earlier piece was written."""
        self._engine.write(data)
        return len(data)


def gunzip(chunks: Iterable[bytes], source: str) -> Iterator[bytes]:
    """Yield the decompressed bytes of a gzip stream in pieces of at most 1 MiB, several members allowed.

    Raises ProofFailed when it is not gzip, is damaged (CRC), or ends before its trailer.
    """
    engine = isal_zlib.decompressobj(GZIP_WINDOW)
    started = False
    try:
        for chunk in chunks:
            data = chunk
            while data:
                if engine.eof:
                    if not data.strip(b"\0"):  # padding after the last member, as gzip itself accepts
                        break
                    engine = isal_zlib.decompressobj(GZIP_WINDOW)
                started = True
                if piece := engine.decompress(data, CHUNK):
                    yield piece
                data = engine.unused_data if engine.eof else engine.unconsumed_tail
    except isal_zlib.error as problem:  # type: ignore[misc]  # its stub calls it a variable
        raise _damaged(source, f"is not a valid gzip file ({problem})") from None
    if not started or not engine.eof:
        raise _damaged(source, "is cut: the gzip stream ends before its end mark" if started else "is empty")


def _damaged(source: str, what: str) -> ProofFailed:
    return ProofFailed(f"{source} {what}", hint="use another backup: korrigo-backup list shows them, newest first")
