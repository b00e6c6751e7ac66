"""Single files of a media tree: compared with those of a backup, put in their places, taken away again.

It runs where the tree is, also behind a container (`remote/agent.py`). The caller holds the lock of the backup
directory and has a record: after a kill `take_away` makes the tree as it was before. Files that are overwritten are
kept in `.replaced-S` below the root, put there by an exchange of two names, and brought back by another.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from korrigo_backup.errors import Refused
from korrigo_backup.media.places import FilePlace, place_of, plain_place
from korrigo_backup.media.put import make_directory, missing_directories, parents, put
from korrigo_backup.system.files import explained, remove_tree, sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

REPLACED = "replaced"
"""The role of the directory below the media root that keeps overwritten files."""

ABSENT, SAME, OTHER, IRREGULAR = "absent", "same", "other", "irregular"
"""A live file beside that of a backup: not there, with the same content, with other content, no regular file
or behind a link."""


@dataclass(frozen=True)
class WantedFile:
    """A file of a backup: its path below the root, SHA-256, bytes and time if they are known.

    Without `read` a live file is not read if it has this size and time. `target` is that of a symbolic link.
    """

    path: str
    sha256: str
    size: int | None = None
    mtime_ns: int | None = None
    read: bool = True
    target: str | None = None


@dataclass(frozen=True)
class PutFile:
    """A file that is put among the media: its path below the root, its SHA-256, the inode of its content.

    `target` is that of a symbolic link, which has no SHA-256.
    """

    path: str
    sha256: str
    inode: int
    target: str | None = None


@dataclass(frozen=True)
class PutChange:
    """The files that an operation of a stamp puts in their places.

    `directories` are those that it makes for them, the outer directories first; `replaced` has the inode of the live
    file of each path that is overwritten.
    """

    stamp: str
    files: tuple[PutFile, ...]
    directories: tuple[str, ...] = ()
    replaced: Mapping[str, int] = field(default_factory=dict)


class SingleFiles(Protocol):
    """The operations on single files of a tree; see `LocalFiles`."""

    def compare(self, files: Sequence[WantedFile]) -> list[tuple[str, int]]:
        """Return for each file how the live file is, and its inode."""
        ...

    def missing_directories(self, paths: Sequence[str], hint: str) -> tuple[str, ...]:
        """Return the directories that files need and that are not there."""
        ...

    def staged(self, stamp: str, paths: Sequence[str]) -> list[int]:
        """Return the inodes of staged files."""
        ...

    def put(self, change: PutChange) -> None:
        """Move staged files to their places."""
        ...

    def changed(self, change: PutChange) -> list[str]:
        """Return the paths of files that are neither gone nor those that were put."""
        ...

    def take_away(self, change: PutChange) -> list[str]:
        """Remove the files that were put, and bring the former files back; return the paths of those changed since."""
        ...

    def discard_former(self, stamp: str) -> None:
        """Remove the overwritten files that are kept."""
        ...


class LocalFiles:
    """Single files of a tree on this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def compare(self, files: Sequence[WantedFile]) -> list[tuple[str, int]]:
        """Return for each file ABSENT, SAME, OTHER or IRREGULAR with the inode of the live file, 0 if it has none.

        A file below a link is IRREGULAR: it is that of another place.
        """
        return [self._compared(file) for file in files]

    def _compared(self, file: WantedFile) -> tuple[str, int]:
        live = self._root / file.path
        if not os.path.lexists(live):
            return ABSENT, 0
        if file.target is not None:
            is_same = not self._is_behind_link(file.path) and live.is_symlink() and str(live.readlink()) == file.target
            return (SAME if is_same else IRREGULAR), 0
        if live.is_symlink() or not live.is_file() or self._is_behind_link(file.path):
            return IRREGULAR, 0
        with explained(f"read {live}"):
            info = live.stat()
            is_same = (not file.read and (info.st_size, info.st_mtime_ns) == (file.size, file.mtime_ns)) or (
                file.size in {None, info.st_size} and sha256_of(live)[0] == file.sha256
            )
        return (SAME if is_same else OTHER), info.st_ino

    def _is_behind_link(self, path: str) -> bool:
        parts = path.split("/")[:-1]
        return any((self._root / "/".join(parts[: n + 1])).is_symlink() for n in range(len(parts)))

    def missing_directories(self, paths: Sequence[str], hint: str) -> tuple[str, ...]:
        """Return the directories that files need and that are not there, the outer directories first.

        Raises Refused, with a hint, for a directory that is a link or a file.
        """
        return missing_directories(self._root, paths, hint)

    def staged(self, stamp: str, paths: Sequence[str]) -> list[int]:
        """Return the inodes of staged files."""
        stage = self._beside("stage", stamp)
        return [(stage / path).lstat().st_ino for path in paths]

    def put(self, change: PutChange) -> None:
        """Move staged files to their places.

        FileExistsError if a name is taken, Refused if a live file that is overwritten is not that of the plan, or if
        the file system cannot exchange two names; then some may be moved.
        """
        staged = self._beside("stage", change.stamp)
        if change.replaced:
            former = self._beside(REPLACED, change.stamp)
            staged = former if former.exists() else staged.rename(former)
        put(self._root, staged, [one.path for one in change.files if one.path not in change.replaced],
            change.directories)  # fmt: skip
        for file in change.files:
            if file.path in change.replaced:
                with plain_place(staged, file.path) as source, plain_place(self._root, file.path) as live:
                    self._put_over(source, live, file.path, change.replaced[file.path])

    def _put_over(self, staged: FilePlace, live: FilePlace, path: str, inode: int) -> None:
        with explained(f"put {self._root / path}"):
            if live.inode() != inode:
                raise _changed(path)
            if not staged.exchanged(live):
                raise Refused(
                    f"the file system of {self._root} cannot exchange two files in one step",
                    hint=f"move {self._root / path} away by hand, then run it again without --overwrite",
                )
            if staged.inode() != inode:  # the site has replaced it in this moment
                staged.exchanged(live)
                raise _changed(path)
            live.force()

    def changed(self, change: PutChange) -> list[str]:
        """Return the paths of files that are neither gone nor those that were put."""
        return [file.path for file in change.files if not self._is_as_put(file)]

    def _is_as_put(self, file: PutFile) -> bool:
        try:
            with place_of(self._root, file.path) as live:
                return not live.info() or _is_put(live, file)
        except FileNotFoundError:
            return True
        except NotADirectoryError:
            return False

    def take_away(self, change: PutChange) -> list[str]:
        """Remove the files that were put, and bring the former files back; return the paths of those changed since.

        Safe to repeat. Directories that were made for the files are removed if they are empty.
        """
        former = self._beside(REPLACED, change.stamp)
        left = [file.path for file in change.files if not self._is_taken_away(file, former, change)]
        for path in {file.path.rpartition("/")[0]: file.path for file in change.files}.values():
            with suppress(FileNotFoundError, NotADirectoryError), place_of(self._root, path) as place:
                place.force()
        for name in reversed(change.directories):
            with suppress(OSError), place_of(self._root, name) as place:
                os.rmdir(name.rpartition("/")[2], dir_fd=place.directory)
        return left

    def _is_taken_away(self, file: PutFile, former: Path, change: PutChange) -> bool:
        """Make a place as it was before; return False if something else is there now, and stays."""
        inode = change.replaced.get(file.path)
        with ExitStack() as opened:
            try:
                kept = opened.enter_context(place_of(former, file.path)) if inode is not None else None
            except FileNotFoundError:
                kept = None
            if kept and kept.inode() != inode:
                kept = None  # it is back
            try:
                if kept:
                    self._make_directories(file.path, former)
                live = opened.enter_context(place_of(self._root, file.path))
            except FileNotFoundError:
                return True
            except (Refused, NotADirectoryError):
                return False  # a directory of it is a link or a file now
            try:
                return _taken_away(live, file, inode, kept)
            except FileExistsError:
                return False

    def _make_directories(self, path: str, like: Path) -> None:
        for name in parents(path):
            make_directory(self._root, name, like)

    def discard_former(self, stamp: str) -> None:
        """Remove the overwritten files that are kept."""
        remove_tree(self._beside(REPLACED, stamp))

    def _beside(self, role: str, stamp: str) -> Path:
        return self._root / f".{role}-{stamp}"


def _taken_away(live: FilePlace, file: PutFile, inode: int | None, former: FilePlace | None) -> bool:
    """Remove a file that was put, or exchange it for the former file; return False if something else is there."""
    if not live.info():
        if former:
            former.rename_new(live)
        return True
    if inode is not None and live.inode() == inode:
        return True  # it is back
    if not _is_put(live, file):
        return False
    if inode is None:
        live.unlink()
        return True
    return former is not None and former.exchanged(live)


def _is_put(live: FilePlace, file: PutFile) -> bool:
    if file.target is not None:
        info = live.info()
        return info is not None and info.st_ino == file.inode and live.target() == file.target
    return live.inode() == file.inode and live.sha256() == file.sha256


def _changed(path: str) -> Refused:
    return Refused(f"the live file {path} has changed since the plan", hint="run it again: it makes a new plan")
