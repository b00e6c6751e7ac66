"""Files that a process of lesser trust writes and we read: plain, with a single name, of a known size at most."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o640
NEW = ".new"
"""How the hidden name ends that a file has while it is written."""


class NoPlainFileError(ValueError):
    """A file that is none of those; its text is the reason, without a word of the file."""


@contextmanager
def opened_directory(path: Path) -> Iterator[int]:
    """Yield the descriptor of a directory, which is no link; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_untrusted(inside: int, name: str, largest: int) -> bytes:
    """Return the content of a file of an open directory; NoPlainFileError, FileNotFoundError."""
    try:
        descriptor = os.open(name, _READ, dir_fd=inside)
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise NoPlainFileError(f"it cannot be opened as a file: {problem.strerror}") from None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            raise NoPlainFileError("it is no plain file with a single name")
        if facts.st_size > largest:
            raise NoPlainFileError("it is too large")
        raw = b""
        while len(raw) <= largest and (chunk := file.read(largest + 1 - len(raw))):
            raw += chunk
        return raw


def write_for_others(inside: int, name: str, raw: bytes) -> None:
    """Write a file under a new hidden name, force it to disk and rename it; its group is that of the directory.

    Two processes may write the same file: the last one stays.
    """
    fresh = f".{name}.{token_hex(4)}{NEW}"
    descriptor = os.open(fresh, _NEW, _MODE, dir_fd=inside)
    try:
        _fill(inside, descriptor, raw)
        os.rename(fresh, name, src_dir_fd=inside, dst_dir_fd=inside)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh, dir_fd=inside)
        raise


def _fill(inside: int, descriptor: int, raw: bytes) -> None:
    try:
        os.fchmod(descriptor, _MODE)
        with suppress(PermissionError):
            os.fchown(descriptor, -1, os.fstat(inside).st_gid)
        view = memoryview(raw)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
