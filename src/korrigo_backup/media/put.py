"""Staged files moved to their places among the live files: nothing is overwritten, no link is followed."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from korrigo_backup.core.paths import printable
from korrigo_backup.errors import Refused
from korrigo_backup.media.reuse import READ
from korrigo_backup.system.files import fsync_directory, rename_new

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def parents(path: str) -> list[str]:
    """Return the directories of a path, the outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def missing_directories(root: Path, paths: Sequence[str], hint: str) -> tuple[str, ...]:
    """Return the directories that files need and that are not there, the outer directories first.

    Raises Refused, with a hint, for a directory that is a link or a file.
    """
    found = dict.fromkeys(parent for path in paths for parent in parents(path))
    return tuple(name for name in found if not _is_directory(root, name, hint))


def _is_directory(root: Path, name: str, hint: str) -> bool:
    path = root / name
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise Refused(f"{printable(name)} among the media is a link or a file now: no file is put below it", hint=hint)
    return path.is_dir()


def put(root: Path, staged: Path, paths: Sequence[str], directories: Sequence[str]) -> None:
    """Move staged files to their places; FileExistsError if a name is taken, then some may be moved."""
    for name in directories:
        _make_directory(root, name, (staged / name).stat())
    for path in paths:
        require_plain(root, path)
        rename_new(staged / path, root / path)
    for name in {path.rpartition("/")[0] for path in paths} | {name.rpartition("/")[0] for name in directories}:
        fsync_directory(root / name)


def _make_directory(root: Path, name: str, like: os.stat_result) -> None:
    """Make a directory with mode and owner of another; one that somebody has made meanwhile stays as it is.

    Raises Refused if a directory of the path is a link now.
    """
    with _directory_of(root, name) as above:
        own = name.rpartition("/")[2]
        try:
            os.mkdir(own, dir_fd=above)
        except FileExistsError:
            return
        made = os.open(own, READ | os.O_DIRECTORY, dir_fd=above)
        try:
            os.fchown(made, like.st_uid, like.st_gid)
            os.fchmod(made, like.st_mode & 0o7777)
        finally:
            os.close(made)


def require_plain(root: Path, path: str) -> None:
    """Raise Refused if a directory of a path has become a link."""
    with _directory_of(root, path):
        pass


@contextmanager
def _directory_of(root: Path, path: str) -> Iterator[int]:
    """Yield the open directory that a path lies in; Refused if a directory of the path has become a link."""
    with ExitStack() as opened:
        directory = _opened(opened, str(root))
        try:
            for part in path.split("/")[:-1]:
                directory = _opened(opened, part, directory)
        except OSError:
            raise Refused(
                f"a directory of {printable(path)} among the media is no directory any more",
                hint="run it again: it makes a new plan",
            ) from None
        yield directory


def _opened(opened: ExitStack, name: str, above: int | None = None) -> int:
    descriptor = os.open(name, READ | os.O_DIRECTORY, dir_fd=above)
    opened.callback(os.close, descriptor)
    return descriptor
