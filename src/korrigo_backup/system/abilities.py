"""Find out by trying whether a file system supports hard links, symbolic links and private modes."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.system.files import FILE_MODE, private_directory, remove_tree, rename_new, write_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Abilities:
    """The features of a file system that a backup directory uses. A backup needs none of the three."""

    hard_links: bool
    symbolic_links: bool
    modes: bool


def try_out(directory: Path, name: str) -> Abilities:
    """Try the features in a private directory `name` inside `directory`, and remove it; OSError if it is not writable.

    A file is published there by the same function that publishes backups.
    """
    place = directory / name
    remove_tree(place)
    private_directory(place)
    try:
        write_private(place / "file", b"x")
        rename_new(place / "file", place / "named")
        mode = stat.S_IMODE((place / "named").stat().st_mode)
        return Abilities(
            hard_links=_made(lambda: os.link(place / "named", place / "second")),
            symbolic_links=_made(lambda: (place / "link").symlink_to("named")),
            modes=mode == FILE_MODE,
        )
    finally:
        with suppress(OSError):
            remove_tree(place)


def _made(make: Callable[[], None]) -> bool:
    try:
        make()
    except OSError:
        return False
    return True
