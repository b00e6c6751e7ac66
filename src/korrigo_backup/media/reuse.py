"""Unchanged files of the live tree: found for a tree being staged, which takes them over instead of writing them."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_FICLONE = 0x40049409
"""The number of the request in linux/fs.h: the target shares the blocks of the source until one of them is written."""

_NO_CLONES = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM})
"""The answers of a file system without clones, of two file systems, of an older kernel, and of a filter of calls."""


@dataclass(frozen=True)
class LiveFile:
    """A file of the live tree as the last backup saw it: times in nanoseconds, size in bytes, SHA-256 in hex digits."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str

    def is_seen_in(self, info: os.stat_result) -> bool:
        """Return whether a file is this one, unchanged."""
        seen = (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
        return stat.S_ISREG(info.st_mode) and seen == (self.size, self.mtime_ns, self.ctime_ns, self.inode)


@contextmanager
def directory_of(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """Open the directory of a path below `root` without following a link; OSError if it is not there."""
    with ExitStack() as stack:
        descriptor = _opened(stack, os.open(root, READ | os.O_DIRECTORY))
        for part in parts[:-1]:
            descriptor = _opened(stack, os.open(part, READ | os.O_DIRECTORY, dir_fd=descriptor))
        yield descriptor


def clone(source: int, target: int) -> bool:
    """Let an empty file share the blocks of another; return False where the file system cannot.

    A later write to one of the two does not change the other (btrfs, XFS).
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as problem:
        if problem.errno in _NO_CLONES:
            return False
        raise
    return True


def _opened(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor
