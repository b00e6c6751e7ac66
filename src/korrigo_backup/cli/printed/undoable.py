"""The operations that `rollback` takes back before any restore, in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.paths import printable
from korrigo_backup.run.record import Verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.recovery.actions import Undoable

_NAMED = 3


def undo_line(found: Sequence[Undoable]) -> str:
    """Return a line about the newest operation, and how many before it can be taken back after it."""
    newest = found[0]
    what = first_of(list(map(printable, newest.asked)), _NAMED)
    at = f"{newest.created.astimezone():%Y-%m-%d %H:%M}"
    line = (
        f"restore of files {what} at {at}: korrigo-backup rollback takes it back"
        if newest.verb == Verb.RESTORE_FILES
        else f"{newest.verb} of {what} at {at}: korrigo-backup rollback takes it back"
    )
    earlier = len(found) - 1
    return f"{line}, then {earlier} earlier" if earlier else line
