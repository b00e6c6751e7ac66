"""Walk a media tree without following a link: every entry below its root, ours left out."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.site.staging import DEEPEST, OURS, READ
from korrigo_backup.system.files import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ODD = {
    stat.S_IFLNK: "symbolic link",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}


@dataclass(frozen=True)
class Entry:
    """A regular file, a directory or an odd thing (`odd` says what) below the root.

    `path` is relative, its parts joined by "/", bytes that are not UTF-8 as surrogate escapes. `parent` is the
    descriptor of its directory, open only while the walk stands at this entry.
    """

    path: str
    info: os.stat_result
    parent: int
    odd: str | None = None

    @property
    def is_directory(self) -> bool:
        """Whether this is a directory."""
        return stat.S_ISDIR(self.info.st_mode)

    @property
    def is_file(self) -> bool:
        """Whether this is a regular file."""
        return stat.S_ISREG(self.info.st_mode)

    def open(self) -> IO[bytes]:
        """Open the file for unbuffered reading; a link that took its place is refused (OSError)."""
        name = self.path.rpartition("/")[2]
        return os.fdopen(os.open(name, READ, dir_fd=self.parent), "rb", buffering=0)

    def sha256(self) -> str:
        """Return the SHA-256 of the file; raises as `open`."""
        digest = hashlib.sha256()
        with self.open() as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()


def walk(root: Path) -> Iterator[Entry]:
    """Yield every entry, a directory before its content, ordered by the parts of the path; OSError as it comes."""
    descriptor = os.open(root, READ | os.O_DIRECTORY)
    try:
        yield from _below(descriptor, "", 0)
    finally:
        os.close(descriptor)


def _below(directory: int, prefix: str, depth: int) -> Iterator[Entry]:
    if depth > DEEPEST:
        raise KorrigoBackupError(
            f"the media tree is more than {DEEPEST} directories deep at {prefix[:60]}…",
            hint="look for a directory that contains itself (a bind mount), or move it away",
        )
    for name in sorted(os.listdir(directory), key=os.fsencode):
        if depth == 0 and OURS.fullmatch(name):
            continue
        try:
            info = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            continue  # deleted by the site since the directory was listed
        yield Entry(prefix + name, info, directory, _ODD.get(stat.S_IFMT(info.st_mode)))
        if stat.S_ISDIR(info.st_mode):
            inner = os.open(name, READ | os.O_DIRECTORY, dir_fd=directory)
            try:
                yield from _below(inner, f"{prefix}{name}/", depth + 1)
            finally:
                os.close(inner)
