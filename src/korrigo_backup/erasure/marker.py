"""The marker of an erasure ledger among the backups: the site's process, which must not see the ledger, learns of it.

It holds nothing of the ledger. As long as it is there, the site reads no rows of backups itself: it asks the host.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from korrigo_backup.system.files import explained, replace_whole

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.erasure.ledger import ErasureLedger

NAME = ".erasures"
_WORDS = b"This site has an erasure ledger. Only the host knows which rows of these backups are not to be shown.\n"


def mark_ledger(directory: Path, ledger: ErasureLedger | None, *, about_to_begin: bool = False) -> None:
    """Set the marker in the directory of the backups if the ledger has content, or will have; else remove it."""
    if ledger is None or not directory.is_dir():
        return
    there = os.path.lexists(directory / NAME)
    wanted = about_to_begin or (os.path.lexists(ledger.path) and os.lstat(ledger.path).st_size > 0)
    if wanted == there:
        return
    with explained(f"write {directory / NAME}"):
        if wanted:
            replace_whole(directory / NAME, _WORDS)
        else:
            (directory / NAME).unlink(missing_ok=True)


def is_marked(directory: Path) -> bool:
    """Return whether the host has an erasure ledger for the backups of a directory."""
    return os.path.lexists(directory / NAME)
