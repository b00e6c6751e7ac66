"""Wait for another run that has the lock, for so long and no longer."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from korrigo_backup.errors import Locked
from korrigo_backup.run.step import AwaitingLock
from korrigo_backup.system.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from korrigo_backup.run.step import Listener

PAUSE = 5.0
"""Seconds between two looks whether the other run has ended."""

T = TypeVar("T")


@contextmanager
def patiently(enter: Callable[[], AbstractContextManager[T]], seconds: float, listen: Listener) -> Iterator[T]:
    """Enter what takes the lock, and try again for `seconds` while another run has it; the wait is reported once.

    Raises Locked if the other run goes on for longer.
    """
    reported = False

    def attempt() -> T | Locked:
        nonlocal reported
        try:
            return stack.enter_context(enter())
        except Locked as problem:
            if seconds and not reported:
                listen(AwaitingLock(problem.message, seconds))
                reported = True
            return problem

    with ExitStack() as stack:
        pause = min(PAUSE, seconds)
        found = wait_until(lambda one: not isinstance(one, Locked), attempt, seconds=seconds, pause=pause)
        if isinstance(found, Locked):
            raise found
        yield found
