"""The files of the media store: `media-store/ab/<sha256>`, whole, mode 0400, written once and never changed.

A file is written under a temporary name, forced to disk, read back, and then given its name. A killed run leaves only
temporary files, and files that no listing names.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from korrigo_backup.artifact.naming import MEDIA_STORE
from korrigo_backup.errors import ProofFailed
from korrigo_backup.media.stable import WHOLE
from korrigo_backup.system.files import (
    CHUNK,
    fsync_directory,
    open_plain,
    private_directory,
    remove_tree,
    sha256_of,
    write_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from korrigo_backup.media.stable import Steady

_PARTIAL = ".partial"
_DAMAGED = "damaged"
"""Where files are moved whose content is not that of their name: evidence, and no part of any backup."""

_MODE = 0o400
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FEW = 16
"""So many new files are forced to disk one by one; for more, one flush of all is quicker."""

_PENDING_FILES, _PENDING_BYTES = 1000, 256 * 1024 * 1024
"""New files are given their names after so many."""


class MediaStore:
    """The media store of a backup directory."""

    def __init__(self, backups: Path) -> None:
        self.directory = backups / MEDIA_STORE

    def path(self, sha256: str) -> Path:
        """Return where the content with this checksum is, or would be."""
        return self.directory / sha256[:2] / sha256

    def has(self, sha256: str, size: int) -> bool:
        """Return whether a file of this name and size is there; its content is not read."""
        try:
            info = os.lstat(f"{self.directory}/{sha256[:2]}/{sha256}")
        except OSError:
            return False
        return stat.S_ISREG(info.st_mode) and info.st_size == size

    def open(self, sha256: str) -> IO[bytes]:
        """Open a stored file for unbuffered reading; ProofFailed if it is missing or is no file."""
        try:
            return open_plain(self.path(sha256))
        except (FileNotFoundError, ValueError):
            raise missing(sha256) from None

    def require(self, sha256: str, size: int) -> None:
        """Raise ProofFailed unless a file of this name and size is there."""
        if not self.has(sha256, size):
            raise missing(sha256)

    def verify(self, sha256: str, size: int) -> None:
        """Read a stored file; ProofFailed if it is missing or its content is not that of its name."""
        self.require(sha256, size)
        if sha256_of(self.path(sha256)) != (sha256, size):
            raise damaged(sha256)

    def shelves(self) -> list[Path]:
        """Return the directories with stored files, in order."""
        if not self.directory.is_dir():
            return []
        return sorted(path for path in self.directory.iterdir() if re.fullmatch(r"[0-9a-f]{2}", path.name))

    def names(self, shelves: Iterable[Path] | None = None) -> Iterator[str]:
        """Yield the names of the stored files, of all shelves or of some, in order; other files are passed over."""
        for shelf in self.shelves() if shelves is None else shelves:
            yield from sorted(path.name for path in shelf.iterdir() if _SHA256.fullmatch(path.name))

    def set_aside(self, sha256: str) -> None:
        """Move a file whose content is not that of its name to `damaged/`, so that the next backup writes it anew."""
        place = self.directory / _DAMAGED
        private_directory(place)
        self.path(sha256).rename(place / sha256)
        fsync_directory(place)
        fsync_directory(self.path(sha256).parent)

    def remove(self, sha256: str) -> None:
        """Remove a stored file; the caller knows that no listing names it, and holds the lock."""
        self.path(sha256).unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[ObjectWriter]:
        """Yield a writer; the caller holds the lock of the backup directory. What a killed run left is removed."""
        partial = self.directory / _PARTIAL
        remove_tree(partial) if partial.exists() else None
        private_directory(self.directory)
        private_directory(partial)
        try:
            yield ObjectWriter(self, partial)
        finally:
            remove_tree(partial)


class ObjectWriter:
    """Writes new contents into the store; `flush` gives them their names."""

    def __init__(self, store: MediaStore, partial: Path) -> None:
        self._store = store
        self._partial = partial
        self._pending: dict[str, tuple[Path, int]] = {}
        self._pending_bytes = 0
        self._number = 0
        self.files = 0
        """New files so far."""
        self.bytes = 0
        self.position = 0
        """Bytes of the present file that are written."""

    def add(self, file: Steady) -> str:
        """Store the content of a file, unless it is there already, and return its SHA-256."""
        if file.size <= WHOLE:
            content = b"".join(iter(lambda: file.read(CHUNK), b""))
            if not self._is_there(file.sha256, len(content)):
                self._expect(file.sha256, *self._written(iter((content,))))
            return file.sha256
        path, size = self._written(iter(lambda: file.read(CHUNK), b""))
        if self._is_there(file.sha256, size):
            path.unlink()
        else:
            self._expect(file.sha256, path, size)
        return file.sha256

    def flush(self) -> None:
        """Force the pending files to disk, read them back, and give them their names.

        Raises ProofFailed if a file does not read back as it was written.
        """
        if len(self._pending) > _FEW:
            os.sync()
        else:
            for path, _ in self._pending.values():
                force_to_disk(path)
        shelves = set()
        for sha256, (path, size) in self._pending.items():
            if sha256_of(path) != (sha256, size):
                raise ProofFailed(
                    f"a media file does not read back from {self._store.directory} as it was written",
                    hint="the disk or the memory of this machine is failing: see dmesg, and use another disk",
                )
            final = self._store.path(sha256)
            private_directory(final.parent)
            path.rename(final)  # a file of this name that is cut, or was changed, is replaced
            shelves.add(final.parent)
        for shelf in shelves:
            fsync_directory(shelf)
        if shelves:
            fsync_directory(self._store.directory)
        self._pending.clear()
        self._pending_bytes = 0

    def _is_there(self, sha256: str, size: int) -> bool:
        return sha256 in self._pending or self._store.has(sha256, size)

    def _written(self, pieces: Iterator[bytes]) -> tuple[Path, int]:
        """Write a temporary file; return its path and size."""
        self._number += 1
        path, size, self.position = self._partial / str(self._number), 0, 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, _MODE), "wb", buffering=0) as target:
            for piece in pieces:
                write_all(target, piece)
                size += len(piece)
                self.position = size
        self.position = 0
        return path, size

    def _expect(self, sha256: str, path: Path, size: int) -> None:
        self._pending[sha256] = path, size
        self._pending_bytes += size
        self.files += 1
        self.bytes += size
        if len(self._pending) >= _PENDING_FILES or self._pending_bytes >= _PENDING_BYTES:
            self.flush()


def force_to_disk(path: Path) -> None:
    """Force the content of a file to disk."""
    with open_plain(path) as file:
        os.fsync(file.fileno())


def missing(sha256: str) -> ProofFailed:
    """Return the error for a stored file that is not there, or has another size."""
    return ProofFailed(
        f"{MEDIA_STORE}/{sha256[:2]}/{sha256} is missing or cut",
        hint="copy it back from another copy of the backup directory, or use another backup: korrigo-backup list",
    )


def damaged(sha256: str) -> ProofFailed:
    """Return the error for a stored file whose content is not that of its name."""
    return ProofFailed(
        f"{MEDIA_STORE}/{sha256[:2]}/{sha256} is damaged: its content is not that of its name",
        hint="the next backup moves it away, and stores it again if the site still has the file;"
        " or use another backup: korrigo-backup list",
    )
