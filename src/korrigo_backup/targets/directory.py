"""A target that is a mounted directory: another disk, an NFS or SMB share, a disk to carry away.

An object gets its name by a hard link or a rename that replaces no file, when its bytes are on the disk and were read
back from there.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError, NotFound, Refused, Unreachable
from korrigo_backup.system.files import (
    CHUNK,
    create_private,
    fsync_directory,
    open_plain,
    private_directory,
    rename_new,
    sha256_of,
    write_all,
)
from korrigo_backup.targets.pace import Pace
from korrigo_backup.targets.port import PutResult, StoredObject, other_content, require_named, require_plain

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTIAL = ".partial-"
"""The beginning of the name of a file that is being written; no list shows it."""

_LEFT = 86_400.0
"""Seconds without a change, after which such a file belongs to no put any more."""


@dataclass(frozen=True)
class DirectoryTarget:
    """Objects below `root`, which must be on another file system than the directory `apart`, if that is given.

    A disk that is not mounted leaves its mount point, an empty directory of the disk with the backups.
    """

    name: str
    root: Path
    apart: Path | None = None
    pace: Pace = field(default_factory=Pace)
    _cleaned: set[Path] = field(default_factory=set, compare=False, repr=False)

    @property
    def place(self) -> str:
        """The directory as an URL."""
        return f"file://{self.root}"

    def put(self, name: str, source: Path, sha256: str) -> PutResult:
        """Store a file; see the port. The bytes are forced to the disk and read back before the object is visible."""
        require_named(name, source)
        with self._explained("store", name):
            final = self._mounted() / name
            if not self._is_there(final):
                is_new = self._write(source, final, sha256, name)
                return PutResult(is_new=is_new)
            if sha256_of(final) != (sha256, source.stat().st_size):
                raise other_content(self, name)
            return PutResult(is_new=False)

    def list(self, below: str = "") -> Iterator[StoredObject]:
        """Yield objects; see the port."""
        with self._explained("list", below or "objects"):
            start = self._mounted() / (require_plain(below.rstrip("/")) if below else "")
            found = [path for path in start.rglob("*") if self._is_object(path)]
            yield from (StoredObject(str(path.relative_to(self.root)), path.stat().st_size) for path in sorted(found))

    def stat(self, name: str) -> StoredObject | None:
        """Return an object; see the port."""
        with self._explained("look at", name):
            path = self._mounted() / require_plain(name)
            return StoredObject(name, path.stat().st_size) if self._is_there(path) else None

    def fetch(self, name: str, to: Path) -> str:
        """Write an object to a file; see the port."""
        with self._explained("fetch", name):
            path = self._mounted() / require_plain(name)
            if not self._is_there(path):
                raise NotFound(f"{self.name}: {self.place} has no {name}", hint="korrigo-backup list --on TARGET")
            with open_plain(path) as source, create_private(to) as target:
                return self._copy(source, target)

    def _write(self, source: Path, final: Path, sha256: str, name: str) -> bool:
        """Write a new object; return False if another host has put the same one meanwhile."""
        for above in reversed(final.relative_to(self.root).parents[:-1]):
            private_directory(self.root / above)
        self._remove_left(final.parent)
        descriptor, path = tempfile.mkstemp(prefix=_PARTIAL, dir=final.parent)
        partial = Path(path)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as target, open_plain(source) as content:
                self._copy(content, target)
                os.fsync(target.fileno())
                os.posix_fadvise(target.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # so that the disk is read
            if sha256_of(partial)[0] != sha256:
                raise other_content(self, name)
            rename_new(partial, final)
        except FileExistsError:
            if not self._is_there(final) or sha256_of(final)[0] != sha256:
                raise other_content(self, name) from None
            return False
        finally:
            partial.unlink(missing_ok=True)
        fsync_directory(final.parent)
        return True

    def _remove_left(self, directory: Path) -> None:
        """Remove files that a killed put has left; once in a directory, and none that may be another host's at work."""
        if directory in self._cleaned:
            return
        self._cleaned.add(directory)
        for left in directory.glob(f"{_PARTIAL}*"):
            with suppress(FileNotFoundError):
                if time.time() - left.lstat().st_mtime > _LEFT:
                    left.unlink()

    def _copy(self, source: IO[bytes], target: IO[bytes]) -> str:
        digest = hashlib.sha256()
        while piece := source.read(CHUNK):
            self.pace.take(len(piece))
            digest.update(piece)
            write_all(target, piece)
        return digest.hexdigest()

    def _mounted(self) -> Path:
        """Return the root; Unreachable if it is not there, or not on a file system of its own."""
        if not self.root.is_dir():
            raise Unreachable(
                f"{self.name}: there is no directory {self.root}",
                hint="mount the disk; the first time, make the directory on it",
            )
        if self.apart and self.apart.is_dir() and self.apart.stat().st_dev == self.root.stat().st_dev:
            raise Unreachable(
                f"{self.name}: {self.root} is on the same file system as {self.apart}",
                hint="mount the disk or the share there: a copy on the same disk is lost with it",
            )
        return self.root

    @contextmanager
    def _explained(self, doing: str, name: str) -> Iterator[None]:
        try:
            yield
        except PermissionError as problem:
            raise Refused(
                f"{self.name}: cannot {doing} {name} on {self.place}: {problem.strerror}", hint=f"ls -ld {self.root}"
            ) from None
        except OSError as problem:
            raise KorrigoBackupError(
                f"{self.name}: cannot {doing} {name} on {self.place}: {problem.strerror}", hint=f"df -h {self.root}"
            ) from None

    @staticmethod
    def _is_there(path: Path) -> bool:
        return path.is_file() and not path.is_symlink()

    def _is_object(self, path: Path) -> bool:
        hidden = any(part.startswith(".") for part in path.relative_to(self.root).parts)
        return not hidden and self._is_there(path)


@dataclass(frozen=True)
class DeletingDirectoryTarget(DirectoryTarget):
    """The same with the right to delete."""

    def delete(self, name: str) -> None:
        """Delete an object; see the port."""
        with self._explained("delete", name):
            (self._mounted() / require_plain(name)).unlink(missing_ok=True)
