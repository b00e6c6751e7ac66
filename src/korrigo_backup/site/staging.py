"""A media tree being built beside the live one: nothing is written outside it, whatever an archive says."""

from __future__ import annotations

import os
import re
from typing import IO, TYPE_CHECKING

from korrigo_backup.errors import Refused
from korrigo_backup.system.files import DIRECTORY_MODE, fsync_directory

if TYPE_CHECKING:
    from pathlib import Path

OURS = re.compile(
    r"\.(absent|stage|before|after|journal)-([0-9]{8}_[0-9]{6})(\.partial|\.moving|\.moving-alone)?", re.ASCII
)
"""Names below the root that are ours: role, stamp, how far it is."""

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_PARENT_MODE = 0o755
"""For a directory that an archive implies but does not hold: as Django makes them, nginx must read it."""

DEEPEST = 100
"""Levels of directories; each open level costs a descriptor, and a deeper tree is a mistake or an attack."""


class Staging:
    """A tree being built. Nothing is written outside it, whatever the paths it is given say."""

    def __init__(self, live: Path, partial: Path, final: Path) -> None:
        self._partial = partial
        self._final = final
        self._owner = live.stat() if os.geteuid() == 0 else None
        self._root = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._directories: list[tuple[str, int, int]] = []
        self._parts: tuple[str, ...] = ()
        self._open: list[int] = [self._root]

    def add_directory(self, path: str, *, mode: int, mtime_ns: int) -> None:
        """Make a directory; its mode and time are set by `finish`, when its content is there."""
        self._enter(safe_parts(path))
        self._directories.append((path, mode, mtime_ns))

    def create(self, path: str) -> IO[bytes]:
        """Open a new file for unbuffered writing; FileExistsError for a second one of that path."""
        parts = safe_parts(path)
        parent = self._enter(parts[:-1])
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(parts[-1], flags, 0o600, dir_fd=parent), "wb", buffering=0)

    def settle(self, file: IO[bytes], *, mode: int, mtime_ns: int) -> None:
        """Give a written file its mode (permission bits alone), time and owner (that of the live root)."""
        descriptor = file.fileno()
        if self._owner:
            os.fchown(descriptor, self._owner.st_uid, self._owner.st_gid)
        os.fchmod(descriptor, mode & 0o777)
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))

    def finish(self) -> None:
        """Set directory modes and times, force all to disk, and give the tree its proven name."""
        for path, mode, mtime_ns in reversed(self._directories):
            descriptor = self._enter(safe_parts(path))
            if self._owner:
                os.fchown(descriptor, self._owner.st_uid, self._owner.st_gid)
            os.fchmod(descriptor, (mode & 0o777) | 0o700)
            os.utime(descriptor, ns=(mtime_ns, mtime_ns))
        self.close()
        os.sync()  # one flush for all files: a hundred thousand fsync calls would take minutes
        self._partial.rename(self._final)
        fsync_directory(self._final.parent)

    def close(self) -> None:
        """Close what is open; the tree stays as it is."""
        while self._open:
            os.close(self._open.pop())

    def _enter(self, parts: tuple[str, ...]) -> int:
        same = 0
        while same < min(len(parts), len(self._parts)) and parts[same] == self._parts[same]:
            same += 1
        while len(self._open) > same + 1:
            os.close(self._open.pop())
        for part in parts[same:]:
            try:
                os.mkdir(part, DIRECTORY_MODE, dir_fd=self._open[-1])
                if self._owner:
                    os.chown(part, self._owner.st_uid, self._owner.st_gid, dir_fd=self._open[-1])
                os.chmod(part, _PARENT_MODE, dir_fd=self._open[-1])
            except FileExistsError:
                pass
            self._open.append(os.open(part, READ | os.O_DIRECTORY, dir_fd=self._open[-1]))
        self._parts = parts
        return self._open[-1]


def safe_parts(path: str) -> tuple[str, ...]:
    """Return the parts of a relative path; Refused when it could lead out of the tree or into what is ours."""
    parts = tuple(path.split("/"))
    unsafe = any(part in {"", ".", ".."} or "\0" in part for part in parts)
    if unsafe or len(parts) > DEEPEST or OURS.fullmatch(parts[0]):
        raise Refused(
            f"the archive names {path!r}, which is not a path inside the media tree",
            hint="the archive was altered or is not a media backup: do not use it",
        )
    return parts
