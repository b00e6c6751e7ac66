"""A stream of pieces as the file that tarfile reads, forwards only, with as few copies as can be."""

from __future__ import annotations

from tarfile import BLOCKSIZE, ReadError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


LONGEST = 16 * 1024 * 1024
"""Bytes read at once: tarfile takes a whole header into memory, and an archive may announce gigabytes."""


class Tape:
    """Pieces of bytes read as a file; bytes that have passed are gone."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._used = 0  # of the piece
        self._position = 0

    def tell(self) -> int:
        """Return the offset in bytes."""
        return self._position

    def seek(self, offset: int) -> None:
        """Go forwards; ReadError if that is backwards. Past the end it does not raise: the next read does."""
        if offset < self._position:
            raise ReadError("its members do not follow each other")
        for _ in self._some(offset - self._position):
            pass

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than `size` only at the end; ReadError for more than any header has."""
        if size > LONGEST:
            raise ReadError(f"a header of {size:,} bytes")
        return b"".join(self._some(size))

    def content(self, size: int) -> Iterator[memoryview]:
        """Yield the content of a member of that size, skip the padding of its last block; ReadError if it is cut."""
        missing = size
        for piece in self._some(size):
            missing -= len(piece)
            yield piece
        if missing:
            raise ReadError("unexpected end of data")
        self.seek(self._position + -size % BLOCKSIZE)

    def _some(self, size: int) -> Iterator[memoryview]:
        while size > 0:
            if self._used == len(self._piece):
                self._piece, self._used = next(self._pieces, b""), 0
                if not self._piece:
                    return
            part = memoryview(self._piece)[self._used : self._used + size]
            self._used += len(part)
            self._position += len(part)
            size -= len(part)
            yield part
