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
    """Raise Refused for the first directory in which nothing can be written; one that is missing means its parent."""
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


def _nearest(directory: Path) -> Path:
    while not os.path.isdir(directory) and directory != directory.parent:  # noqa: PTH112 - is_dir() may be refused
        directory = directory.parent
    return directory
