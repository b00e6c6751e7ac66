"""The actions of a recovery: each thing that a run did about the leftovers of a run that died."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ActionKind(StrEnum):
    """A kind of action. Code decides on this; `Action.sentence` is for the operator."""

    RESTORE_ROLLED_BACK = "restore rolled back"
    ROLLBACK_ROLLED_BACK = "rollback rolled back"
    DJANGO_RESTORE_ROLLED_BACK = "Django restore rolled back"
    DJANGO_RESTORE_FINISHED = "Django restore finished"
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


_SENTENCES = {
    ActionKind.RESTORE_ROLLED_BACK: "undid the unfinished restore of {of}",
    ActionKind.ROLLBACK_ROLLED_BACK: "undid the unfinished rollback of {of}",
    ActionKind.DJANGO_RESTORE_ROLLED_BACK: "undid the unfinished Django restore of {of}",
    ActionKind.DJANGO_RESTORE_FINISHED: "finished the interrupted Django restore of {of}",
    ActionKind.STAGED_DROPPED: "dropped the unfinished database {of}",
    ActionKind.LOADED_DROPPED: "dropped the unfinished database {of}",
    ActionKind.ROLE_DROPPED: "dropped the role {of}",
    ActionKind.DATABASE_COMPLETED: "database {of} is complete",
    ActionKind.CONNECTIONS_ALLOWED: "database {of} takes connections again",
    ActionKind.SERVICES_STARTED: "started the services again",
    ActionKind.DRILL_PLACE_REMOVED: "removed the leftover of a killed drill: {of}",
    ActionKind.PRIVATE_PROJECT_REMOVED: "removed the private Compose project {of} of a killed run",
    ActionKind.UNDELETE_FINISHED: "finished the interrupted undelete of {of}",
    ActionKind.UNDELETE_ROLLED_BACK: "undid the unfinished undelete of {of}",
    ActionKind.UNDELETE_UNDONE: "finished the interrupted rollback of the undelete of {of}",
    ActionKind.UNDELETE_STAYS: "undid the unfinished rollback of the undelete of {of}",
}

_UNDOES_A_RESTORE = frozenset(
    {ActionKind.RESTORE_ROLLED_BACK, ActionKind.DJANGO_RESTORE_ROLLED_BACK, ActionKind.STAGED_DROPPED}
)


@dataclass(frozen=True)
class RecoveryAction:
    """One action; `of` is a stamp, or the name of a database, a role or a directory."""

    kind: ActionKind
    of: str = ""

    @property
    def sentence(self) -> str:
        """The action in words."""
        return _SENTENCES[self.kind].format(of=self.of)

    @property
    def undoes_a_restore(self) -> bool:
        """Whether an interrupted restore was rolled back by it."""
        return self.kind in _UNDOES_A_RESTORE
