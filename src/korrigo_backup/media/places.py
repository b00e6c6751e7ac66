"""The place of a file below the media root, by its open directory: no directory becomes a link between look and act."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.core.paths import printable
from korrigo_backup.errors import Refused
from korrigo_backup.media.reuse import READ
from korrigo_backup.system.files import exchanged, rename_new, sha256_of_open

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class FilePlace:
    """A name in an open directory."""

    directory: int
    name: str

    def info(self) -> os.stat_result | None:
        """Return what the name is, a link as a link; None if nothing has it."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def inode(self) -> int | None:
        """Return the inode of a regular file, None if there is none."""
        info = self.info()
        return info.st_ino if info and stat.S_ISREG(info.st_mode) else None

    def sha256(self) -> str:
        """Return the SHA-256 of the file."""
        with os.fdopen(os.open(self.name, READ, dir_fd=self.directory), "rb", buffering=0) as file:
            return sha256_of_open(file)[0]

    def target(self) -> str | None:
        """Return the target of a symbolic link, None if it is none."""
        try:
            return os.readlink(self.name, dir_fd=self.directory)
        except OSError:
            return None

    def unlink(self) -> None:
        """Remove the file."""
        os.unlink(self.name, dir_fd=self.directory)

    def rename_new(self, target: FilePlace) -> None:
        """Move the file to a place that is free; FileExistsError if it is not."""
        rename_new(self.name, target.name, self.directory, target.directory)

    def exchanged(self, other: FilePlace) -> bool:
        """Exchange two files in one step; return whether this file system can do that."""
        return exchanged(self.name, other.name, self.directory, other.directory)

    def force(self) -> None:
        """Force the entries of the directory to disk."""
        os.fsync(self.directory)


@contextmanager
def place_of(root: Path, path: str) -> Iterator[FilePlace]:
    """Yield the place of a path; FileNotFoundError if a directory of it is missing, OSError if one is none."""
    *above, name = path.split("/")
    with ExitStack() as opened:
        directory = _opened(opened, str(root))
        for part in above:
            directory = _opened(opened, part, directory)
        yield FilePlace(directory, name)


@contextmanager
def plain_place(root: Path, path: str) -> Iterator[FilePlace]:
    """Yield the place of a path; Refused if a directory of it is missing, or is none any more."""
    with ExitStack() as opened:
        try:
            place = opened.enter_context(place_of(root, path))
        except OSError:
            raise Refused(
                f"a directory of {printable(path)} among the media is no directory any more",
                hint="run it again: it makes a new plan",
            ) from None
        yield place


def _opened(opened: ExitStack, name: str, above: int | None = None) -> int:
    descriptor = os.open(name, READ | os.O_DIRECTORY, dir_fd=above)
    opened.callback(os.close, descriptor)
    return descriptor
