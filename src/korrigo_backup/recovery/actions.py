"""The actions of a recovery: each thing that a run did about the leftovers of a run that died."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.errors import Refused

if TYPE_CHECKING:
    from korrigo_backup.core.finding import Finding


class ActionKind(StrEnum):
    """A kind of action. Code decides on this; `Action.sentence` is for the operator."""

    RESTORE_ROLLED_BACK = "restore rolled back"
    ROLLBACK_ROLLED_BACK = "rollback rolled back"
    DJANGO_RESTORE_ROLLED_BACK = "Django restore rolled back"
    DJANGO_RESTORE_FINISHED = "Django restore finished"
    ERASURE_FINISHED = "erasure finished"
    STAGED_DROPPED = "staged database dropped"
    LOADED_DROPPED = "loaded copy dropped"
    ROLE_DROPPED = "role dropped"
    DATABASE_COMPLETED = "database completed"
    CONNECTIONS_ALLOWED = "connections allowed"
    SERVICES_STARTED = "services started"
    DRILL_PLACE_REMOVED = "drill place removed"
    PRIVATE_PROJECT_REMOVED = "private project removed"
    UNDELETE_FINISHED = "undelete finished"
    UNDELETE_ROLLED_BACK = "undelete rolled back"
    UNDELETE_UNDONE = "undelete undone"
    UNDELETE_STAYS = "undelete stays"
    FILES_ROLLED_BACK = "restore of files rolled back"
    FILES_UNDONE = "restore of files undone"


_SENTENCES = {
    ActionKind.RESTORE_ROLLED_BACK: "undid the unfinished restore of {of}",
    ActionKind.ROLLBACK_ROLLED_BACK: "undid the unfinished rollback of {of}",
    ActionKind.DJANGO_RESTORE_ROLLED_BACK: "undid the unfinished Django restore of {of}",
    ActionKind.DJANGO_RESTORE_FINISHED: "finished the interrupted Django restore of {of}",
    ActionKind.ERASURE_FINISHED: "erased again what was erased on request: the interrupted restore of {of} had brought"
    " it back",
    ActionKind.STAGED_DROPPED: "dropped the unfinished database {of}",
    ActionKind.LOADED_DROPPED: "dropped the unfinished database {of}",
    ActionKind.ROLE_DROPPED: "dropped the role {of}",
    ActionKind.DATABASE_COMPLETED: "database {of} is complete",
    ActionKind.CONNECTIONS_ALLOWED: "database {of} takes connections again",
    ActionKind.SERVICES_STARTED: "started the services again",
    ActionKind.DRILL_PLACE_REMOVED: "removed the leftover of a killed drill: {of}",
    ActionKind.PRIVATE_PROJECT_REMOVED: "removed the private Compose project {of} of a killed run",
    ActionKind.UNDELETE_FINISHED: "finished the interrupted {verb} of {of}",
    ActionKind.UNDELETE_ROLLED_BACK: "undid the unfinished {verb} of {of}",
    ActionKind.UNDELETE_UNDONE: "finished the interrupted rollback of the {verb} of {of}",
    ActionKind.UNDELETE_STAYS: "undid the unfinished rollback of the {verb} of {of}",
    ActionKind.FILES_ROLLED_BACK: "undid the unfinished restore of files of {of}",
    ActionKind.FILES_UNDONE: "finished the interrupted rollback of the restore of files of {of}",
}

_INTENTIONS = {
    ActionKind.RESTORE_ROLLED_BACK: "undo the unfinished restore of {of}",
    ActionKind.ROLLBACK_ROLLED_BACK: "undo the unfinished rollback of {of}",
    ActionKind.DJANGO_RESTORE_ROLLED_BACK: "finish or undo the interrupted Django restore of {of}",
    ActionKind.ERASURE_FINISHED: "erase again what was erased on request, if the interrupted restore of {of}"
    " has brought it back",
    ActionKind.STAGED_DROPPED: "drop the unfinished database {of}",
    ActionKind.LOADED_DROPPED: "drop the unfinished database {of}",
    ActionKind.ROLE_DROPPED: "drop the role {of}",
    ActionKind.DATABASE_COMPLETED: "complete database {of}",
    ActionKind.CONNECTIONS_ALLOWED: "let database {of} take connections again",
    ActionKind.SERVICES_STARTED: "start the services again",
    ActionKind.UNDELETE_ROLLED_BACK: "finish or undo the interrupted {verb} of {of}",
    ActionKind.UNDELETE_STAYS: "finish or undo the interrupted rollback of the {verb} of {of}",
    ActionKind.FILES_ROLLED_BACK: "undo the unfinished restore of files of {of}",
    ActionKind.FILES_UNDONE: "finish the interrupted rollback of the restore of files of {of}",
}
"""The actions that a dry run can name beforehand."""

_UNDOES_A_RESTORE = frozenset(
    {ActionKind.RESTORE_ROLLED_BACK, ActionKind.DJANGO_RESTORE_ROLLED_BACK, ActionKind.STAGED_DROPPED}
)


class Undoable(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that can be taken back: its verb, time, source, the asked names, the number of files that it put."""

    verb: str
    stamp: str
    created: datetime
    artifact: str
    asked: tuple[str, ...]
    files: int = 0


@dataclass(frozen=True)
class RecoveryAction:
    """One action; `of` is a stamp, or the name of a database, a role or a directory; `verb` made a rescue's record."""

    kind: ActionKind
    of: str = ""
    verb: str = "undelete"

    @property
    def sentence(self) -> str:
        """The action in words."""
        return _SENTENCES[self.kind].format(of=self.of, verb=self.verb)

    @property
    def intention(self) -> str:
        """The action that is to come, in words."""
        return _INTENTIONS[self.kind].format(of=self.of, verb=self.verb)

    @property
    def undoes_a_restore(self) -> bool:
        """Whether an interrupted restore was rolled back by it."""
        return self.kind in _UNDOES_A_RESTORE


@dataclass(frozen=True)
class Recovered:
    """The actions of a recovery, and the stamps of the restores that it rolled back.

    `system` identifies the database cluster; `exists`: the live database exists. `left` has a finding for each leftover
    that could not be removed. A leftover keeps no run from its work. `stranger` is the owner of the live database if
    our role has not the owner's rights.
    """

    actions: tuple[RecoveryAction, ...] = ()
    stamps: frozenset[str] = frozenset()
    left: tuple[Finding, ...] = ()
    system: str | None = None
    exists: bool = True
    stranger: str | None = None
    names: frozenset[str] = frozenset()
    """All databases of the server."""
    undeletes: tuple[RecoveryAction, ...] = ()
    """The actions on interrupted undeletes and restores of files."""

    def require_no_undelete(self) -> None:
        """Raise Refused if an interrupted undelete, or restore of files, was finished or undone.

        A person decides which operation is undone now.
        """
        if self.undeletes:
            words = self.undeletes[-1].sentence
            raise Refused(
                f"this run {words} first, and did nothing else",
                hint="look at the site, then run the same command again if you still want it",
                state=f"{words}; no other change was made",
            )

    @property
    def restore(self) -> bool:
        """Whether an interrupted restore was rolled back."""
        return any(action.undoes_a_restore for action in self.actions)
