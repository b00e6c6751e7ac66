"""Byte streams of constant memory: hashed while written, compressed, decompressed within bounds."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import IO, TYPE_CHECKING, Protocol, Self

from isal import isal_zlib

from korrigo_backup.errors import ProofFailed
from korrigo_backup.system.blocks import BLOCK, HEAD, Effort, length, pack, unpack
from korrigo_backup.system.files import CHUNK, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

GZIP_WINDOW = 31
"""zlib's `wbits` for a 32 KiB window with a gzip header and trailer."""

THREADS = 2
"""Compressing threads: with the reader and the database's own processes this fills a small server, no more."""

AHEAD = 4
"""Blocks in the hands of the threads: enough that none waits, few against the memory limit."""


class HashingWriter:
    """Writes to an unbuffered file and knows size and SHA-256 of all that was written; `then` is called each time."""

    def __init__(self, file: IO[bytes], then: Callable[[], None] | None = None) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._then = then
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write all of `data`."""
        write_all(self._file, data)
        if self._then:
            self._then()
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Return at once: the file is unbuffered."""

    @property
    def sha256(self) -> str:
        """The checksum so far, in hexadecimal."""
        return self._digest.hexdigest()


class ByteSource(Protocol):
    """A source of bytes, read forwards."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""


class HashingReader:
    """Yields the chunks of a file and knows size and SHA-256 of all that was read."""

    def __init__(self, file: ByteSource) -> None:
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
    """Compresses bytes into `target` on threads of its own; zcat reads the result.

    A context manager: leaving the block without an error writes all pending bytes.
    """

    def __init__(self, target: HashingWriter, effort: Effort) -> None:
        self._target = target
        self._effort = effort
        self._packers = ThreadPoolExecutor(THREADS)
        self._writer = ThreadPoolExecutor(1)
        self._written: deque[Future[int]] = deque()
        self._held: list[bytes] = []
        self._missing = BLOCK
        self._empty = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._held or self._empty:
                    self._pack()
                self._drain(0)
        finally:
            self._writer.shutdown(cancel_futures=True)
            self._packers.shutdown(cancel_futures=True)

    def write(self, data: bytes) -> int:
        """Give `data` to the threads; raises the error of an earlier piece, if any."""
        start = 0
        while len(data) - start >= self._missing:
            end = start + self._missing
            self._held.append(data[start:end])  # of a whole block this makes no copy
            self._pack()
            start = end
        if start < len(data):
            self._held.append(data[start:])
            self._missing -= len(data) - start
        return len(data)

    def _pack(self) -> None:
        block = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held, self._missing, self._empty = [], BLOCK, False
        packed = self._packers.submit(pack, block, self._effort)
        self._written.append(self._writer.submit(lambda: self._target.write(packed.result())))
        self._drain(AHEAD)

    def _drain(self, leave: int) -> None:
        while len(self._written) > leave:
            self._written.popleft().result()


def gunzip(chunks: Iterable[bytes], source: str) -> Iterator[bytes]:
    """Yield the decompressed bytes of a gzip stream in pieces of at most 1 MiB, several members allowed.

    Members with their length in the header (`blocks`) are decompressed by several threads. Raises ProofFailed if the
    stream is not gzip, is damaged (CRC), or ends before its trailer.
    """
    feed = _Feed(_ahead(chunks))
    unpacked: deque[Future[bytes]] = deque()
    started = False
    with closing(_Threads()) as threads:
        try:
            while head := feed.peek(HEAD):
                if size := length(head):
                    unpacked.append(threads.submit(unpack, feed.take(size)))
                    leave = AHEAD
                else:
                    leave = 0
                while len(unpacked) > leave:
                    yield from _not_empty(unpacked.popleft().result())
                if not size and not (started and feed.skip_padding()):
                    yield from _one_member(feed)
                started = True
            while unpacked:
                yield from _not_empty(unpacked.popleft().result())
        except (isal_zlib.error, ValueError) as problem:  # type: ignore[misc]  # its stub calls it a variable
            raise _damaged(source, f"is not a valid gzip file ({problem})") from None
        except EOFError:
            raise _damaged(source, "is cut: the gzip stream ends before its end mark") from None
    if not started:
        raise _damaged(source, "is empty")


class _Threads:
    """A pool that is made when it is first needed: a file of a former version needs none."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[[bytes], bytes], data: bytes) -> Future[bytes]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS)
        return self._pool.submit(work, data)

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)


def _ahead(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks; the next chunk is read (and hashed) while the present chunk is worked on."""
    source = iter(chunks)
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, source, b"")
        while chunk := coming.result():
            coming = reader.submit(next, source, b"")
            yield chunk


class _Feed:
    """Chunks of any size, read as a stream: a number of bytes, or the next chunk."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""

    def peek(self, size: int) -> bytes:
        """Return the next bytes without taking them; fewer at the end."""
        while len(self._held) < size and (chunk := next(self._chunks, b"")):
            self._held += chunk
        return self._held[:size]

    def take(self, size: int) -> bytes:
        """Return exactly so many bytes; EOFError at the end."""
        parts, missing = [], size
        while missing:
            if not self.peek(1):
                raise EOFError
            parts.append(self._held[:missing])
            self._held = self._held[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def some(self) -> bytes:
        """Return the next bytes; EOFError at the end."""
        if not self.peek(1):
            raise EOFError
        data, self._held = self._held, b""
        return data

    def give_back(self, data: bytes) -> None:
        """Put back unused bytes."""
        self._held = data + self._held

    def skip_padding(self) -> bool:
        """Skip zeros after the last member, as gzip itself does; False when something else comes."""
        while self.peek(1):
            if rest := self.some().lstrip(b"\0"):
                self.give_back(rest)
                break
        return not self._held


def _one_member(feed: _Feed) -> Iterator[bytes]:
    engine = isal_zlib.decompressobj(GZIP_WINDOW)
    data = b""
    while True:
        if piece := engine.decompress(data or feed.some(), CHUNK):
            yield piece
        if engine.eof:
            break
        data = engine.unconsumed_tail
    feed.give_back(engine.unused_data)


def _not_empty(piece: bytes) -> Iterator[bytes]:
    if piece:
        yield piece


def _damaged(source: str, what: str) -> ProofFailed:
    return ProofFailed(f"{source} {what}", hint="use another backup: korrigo-backup list shows them, newest first")
