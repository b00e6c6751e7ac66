"""Staged files moved to their places among the live files: nothing is overwritten, no link is followed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from korrigo_backup.core.paths import printable
from korrigo_backup.errors import Refused
from korrigo_backup.media.places import plain_place
from korrigo_backup.media.reuse import READ

if TYPE_CHECKING:
    from collections.abc import Sequence
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
        make_directory(root, name, staged)
    for path in paths:
        with plain_place(staged, path) as source, plain_place(root, path) as target:
            source.rename_new(target)
    for path in {path.rpartition("/")[0]: path for path in (*paths, *directories)}.values():
        with plain_place(root, path) as place:
            place.force()


def make_directory(root: Path, name: str, like: Path) -> None:
    """Make a directory with mode and owner of its namesake below `like`; one that is there stays as it is.

    Raises Refused if a directory of the path is a link now.
    """
    with plain_place(like, name) as model, plain_place(root, name) as place:
        info = model.info()
        try:
            os.mkdir(place.name, dir_fd=place.directory)
        except FileExistsError:
            return
        made = os.open(place.name, READ | os.O_DIRECTORY, dir_fd=place.directory)
        try:
            if info:
                os.fchown(made, info.st_uid, info.st_gid)
                os.fchmod(made, info.st_mode & 0o7777)
        finally:
            os.close(made)
