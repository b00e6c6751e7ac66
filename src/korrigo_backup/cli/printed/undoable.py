"""The operations that `rollback` takes back before any restore, in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.cli.output import say
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.paths import printable
from korrigo_backup.run.record import Verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.recovery.actions import Undoable

_NAMED = 3


def say_undoable(found: Sequence[Undoable], replaced: Sequence[Undoable]) -> None:
    """Print the operations that can be taken back, newest first, and those of data that are not live."""
    if found:
        say(f"to undo: {undo_line(found)}")
    for one in found[1:]:
        say(f"  {_line(one)}: korrigo-backup rollback --undo {one.stamp}")
    if replaced:
        say("to undo in data that a restore, or its rollback, has replaced, when those are live again:")
    for one in replaced:
        say(f"  {one.stamp}: {_line(one)}")


def _line(one: Undoable) -> str:
    what = first_of(list(map(printable, one.asked)), _NAMED)
    at = f"{one.created.astimezone():%Y-%m-%d %H:%M}"
    match one.verb:
        case Verb.RESTORE_FILES:
            return f"restore of the files {what} at {at}"
        case Verb.RESTORE_TABLE:
            return f"restore of the tables {what} at {at}"
        case Verb.REVERT:
            return f"revert of {what} at {at}"
        case _:
            return f"undelete of {what} at {at}"


def undo_line(found: Sequence[Undoable]) -> str:
    """Return a line about the newest operation, and how many before it can be taken back after it."""
    line = f"{_line(found[0])}: korrigo-backup rollback takes it back"
    earlier = len(found) - 1
    return f"{line}, then {earlier} earlier" if earlier else line
