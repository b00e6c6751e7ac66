"""Read a live file so that the bytes read are a single state of it.

A file is stable if it did not change between opening and the end of reading. A small file is read whole, again if need
be, before any byte of it is written; so is a large file that was written to a moment ago, into a temporary file. Any
other large file streams, and its stability is known afterwards; the archive can then be made again, and finds it
recently written to.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import closing, contextmanager
from typing import IO, TYPE_CHECKING, Protocol, TypeVar

from korrigo_backup.core.paths import printable
from korrigo_backup.media.extended import read_extended
from korrigo_backup.system.files import write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from korrigo_backup.media.walk import TreeEntry

Result = TypeVar("Result")

WHOLE = 8 * 1024 * 1024
"""Bytes up to which a file is read at once: most scans, and small against the memory limit."""

RECENT = 60.0
"""Seconds since its last change within which a large file may still be growing: an upload under way."""

TRIES = 3
_PAUSE = 0.2
"""Seconds between tries: an upload writes a piece every few milliseconds."""

_CHUNK = 1024 * 1024


class ChangedMidway(Exception):
    """A large file that had been at rest was written to while it streamed; the text is its path."""


class Steady(Protocol):
    """A file that knows whether its content is a single state of it: read it whole, then ask."""

    @property
    def size(self) -> int:
        """The bytes that come out of it."""
        ...

    @property
    def sha256(self) -> str:
        """The checksum of the bytes read."""
        ...

    @property
    def streamed(self) -> bool:
        """Whether it was read as it stood, without a copy made before."""
        ...

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, none at the end."""
        ...

    def is_stable(self) -> bool:
        """Return, after reading, whether the bytes read are a single state of the file."""
        ...


class StableFile:
    """A file being archived: it gives exactly `size` bytes, even if the file changes meanwhile."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._before = os.fstat(file.fileno())
        self.size = self._before.st_size
        self._digest = hashlib.sha256()
        self._content = self._read_whole() if self.size <= WHOLE else None
        self._settled: bool | None = None  # whether a copy was made of a single state; None without a copy
        self._source = self._copied() if self._content is None and _is_recent(self._before) else file
        self._position = 0
        self._short = False

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; a file that became shorter is filled with zeros and is not stable."""
        want = min(self.size - self._position, _CHUNK if size < 0 else size)
        if self._content is not None:
            piece = self._content[self._position : self._position + want]
        else:
            piece = self._source.read(want)
            if len(piece) < want:
                self._short = True
                piece += bytes(want - len(piece))
        self._position += len(piece)
        self._digest.update(piece)
        return piece

    @property
    def sha256(self) -> str:
        """The checksum of the bytes read."""
        return self._digest.hexdigest()

    def is_stable(self) -> bool:
        """Return, after reading, whether the bytes read are a single state of the file."""
        if self._settled is not None:
            return self._settled
        return not self._short and _same(self._before, os.fstat(self._file.fileno()))

    @property
    def streamed(self) -> bool:
        """Whether it was read as it stood, without a copy made before."""
        return self._content is None and self._source is self._file

    def extended(self) -> dict[str, bytes]:
        """Return the extended attributes of the file."""
        return read_extended(self._file.fileno())

    def close(self) -> None:
        """Forget the copy, if any; the file itself is the caller's."""
        if self._source is not self._file:
            self._source.close()

    def _read_whole(self) -> bytes:
        for attempt in range(TRIES):
            if attempt:
                time.sleep(_PAUSE)
                self._file.seek(0)
            self._before = os.fstat(self._file.fileno())
            content = _read_up_to(self._file, WHOLE)
            if len(content) == self._before.st_size and _same(self._before, os.fstat(self._file.fileno())):
                break
        self.size = len(content)
        return content

    def _copied(self) -> IO[bytes]:
        """Return a copy of a single state of a large file, or the file itself where there is no room for a copy."""
        copy = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close()
        for attempt in range(TRIES):
            if attempt:
                time.sleep(_PAUSE)
            self._file.seek(0)
            copy.seek(0)
            copy.truncate()
            self._before = os.fstat(self._file.fileno())
            try:
                size = _copy(self._file, copy, self._before.st_size)
            except OSError:
                copy.close()
                self._file.seek(0)
                return self._file
            self._settled = size == self._before.st_size and _same(self._before, os.fstat(self._file.fileno()))
            if self._settled:
                break
        self.size = size
        copy.seek(0)
        return copy


def unsettled(entry: TreeEntry, file: Steady, *, again: bool) -> list[str]:
    """Return the path of a file that changed while it was read, as a list; an empty list if it did not.

    Raises ChangedMidway for a file that streamed, unless this is already done `again`.
    """
    if file.is_stable():
        return []
    if file.streamed and not again:
        raise ChangedMidway(printable(entry.path))
    return [printable(entry.path)]


def made(make: Callable[..., Result], restart: Callable[[str], None]) -> Result:
    """Return the result of `make(again=False)`; after ChangedMidway call `restart(path)` and make it `again`."""
    try:
        return make(again=False)
    except ChangedMidway as changed:
        restart(str(changed))
        return make(again=True)


@contextmanager
def open_stable(entry: TreeEntry) -> Iterator[StableFile | None]:
    """Yield the file of `entry`, or None when the site deleted it since it was listed."""
    try:
        file = entry.open()
    except FileNotFoundError:
        yield None
        return
    with file, closing(StableFile(file)) as stable:
        yield stable


def _is_recent(info: os.stat_result) -> bool:
    return time.time() - info.st_mtime < RECENT


def _copy(source: IO[bytes], target: IO[bytes], limit: int) -> int:
    size = 0
    while size < limit and (piece := source.read(min(_CHUNK, limit - size))):
        write_all(target, piece)
        size += len(piece)
    return size


def _read_up_to(file: IO[bytes], limit: int) -> bytes:
    parts, size = [], 0
    while size < limit and (piece := file.read(min(_CHUNK, limit - size))):
        parts.append(piece)
        size += len(piece)
    return b"".join(parts)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino) == (
        other.st_size,
        other.st_mtime_ns,
        other.st_ctime_ns,
        other.st_ino,
    )
