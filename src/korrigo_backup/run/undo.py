"""The undo stack of an operation: every changing step registers its undo first."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from operator import not_
from typing import TYPE_CHECKING

from korrigo_backup.errors import Interrupted, KorrigoBackupError, Unreachable, World
from korrigo_backup.system.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROLLED_BACK = "rolled back: the site is as it was before"

PATIENCE_SECONDS = 30.0
"""How long an undo waits for a server that is gone: a restart takes seconds, and to stop half-way costs more."""

_PAUSE = 0.5


@dataclass(frozen=True)
class Halt:
    """The undo step at which a stack halted, and the reason."""

    step: str
    problem: KorrigoBackupError | OSError


class UndoStack:
    """Undo steps, last in first out. Each tolerates that its step was not done, or done in part.

    `halt` is the undo step that failed, None when every step so far was undone.
    """

    def __init__(self) -> None:
        self.halt: Halt | None = None
        self._steps: list[tuple[str, Callable[[], object]]] = []

    def push(self, doing: str, undo: Callable[[], object]) -> None:
        """Register the undo of the next step; call it before the step."""
        self._steps.append((doing, undo))

    def forget(self) -> None:
        """Forget all steps: none is to be undone any more."""
        self._steps.clear()

    def unwind(self, cause: KorrigoBackupError) -> KorrigoBackupError:
        """Undo every step and return `cause` with the state the site is left in.

        Halts at the first undo that fails: to go on would start services on a half-swapped site.
        """
        while self._steps:
            doing, undo = self._steps.pop()
            try:
                _patiently(undo)
            except (KorrigoBackupError, OSError) as problem:
                self.halt = Halt(doing, problem)
                hint = problem.hint if isinstance(problem, KorrigoBackupError) else ""
                cause.leave(
                    World.STOPPED,
                    f"STOPPED while undoing ({doing}): {problem}. No data was deleted;"
                    f" {hint or 'remove the cause'}; then run korrigo-backup rollback: it finishes this first",
                )
                return cause
            cause.leave(World.ROLLED_BACK, ROLLED_BACK)
        return cause


@contextmanager
def all_or_nothing() -> Iterator[UndoStack]:
    """Yield an undo stack; any error, and Ctrl-C, undoes the steps so far before it goes on.

    Raises the error with the state that the site is left in.
    """
    undo = UndoStack()
    try:
        yield undo
    except KorrigoBackupError as problem:
        raise undo.unwind(problem) from None
    except Interrupted:
        stopped = undo.unwind(KorrigoBackupError("interrupted", hint=""))
        raise Interrupted(stopped.state, world=stopped.world) from None
    except KeyboardInterrupt:
        stopped = undo.unwind(KorrigoBackupError("interrupted", hint=""))
        raise KeyboardInterrupt(stopped.state) from None
    except Exception:
        undo.unwind(KorrigoBackupError("unexpected", hint=""))
        raise
    undo.forget()


def _patiently(undo: Callable[[], object]) -> None:
    """Undo a step; a server that cannot be reached is given `PATIENCE_SECONDS` to come back."""

    def attempt() -> Unreachable | None:
        try:
            undo()
        except Unreachable as problem:
            return problem
        return None

    if problem := wait_until(not_, attempt, seconds=PATIENCE_SECONDS, pause=_PAUSE):
        raise problem
