"""The right to write among the media, looked at before anything is changed."""

from __future__ import annotations

import os
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.paths import printable
from korrigo_backup.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def require_writable(directories: Iterable[Path]) -> None:
    """Raise Refused for the first directory in which nothing can be written; a missing directory means its parent."""
    for place in dict.fromkeys(map(_nearest, directories)):
        if os.access(place, os.W_OK | os.X_OK, effective_ids=True):
            continue
        shown = printable(str(place))
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            raise Refused(
                f"the media in {shown} are on a file system that is mounted read-only",
                hint=f"mount it for writing (findmnt -T {quote(shown)} shows it), then run it again",
                id_="disk.read_only",
            )
        raise Refused(
            f"this user may not write in {shown}, among the media",
            hint=f"run as the user who owns it, or change its owner or mode (ls -ld {quote(shown)} shows both)",
            id_="file.permission",
        )


def require_no_mount(root: Path, mounts: Iterable[str], paths: Iterable[str]) -> None:
    """Raise Refused for the first of some paths below a root that is on a file system mounted below it.

    Files are staged in the root, and renamed into their places.
    """
    within = tuple(mounts)
    for path in paths:
        if mount := next((one for one in within if path.startswith(f"{one}/")), None):
            raise Refused(
                f"{printable(path)} is on a file system of its own, mounted in {printable(str(root / mount))}:"
                " files cannot be put there in one step",
                hint=f"unmount it (umount {quote(printable(str(root / mount)))}), run this again, and copy the files to"
                " it; or name other files",
                id_="media.mounted",
            )


def _nearest(directory: Path) -> Path:
    while not os.path.isdir(directory) and directory != directory.parent:  # noqa: PTH112 - is_dir() may be refused
        directory = directory.parent
    return directory
