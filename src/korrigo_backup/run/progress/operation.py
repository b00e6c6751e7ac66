"""The run under way, with its steps and the former runs, for a display."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from korrigo_backup.system import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from korrigo_backup.run.record import Record, Timed


@dataclass(frozen=True, eq=False)
class Operation:
    """A run: the steps so far, a list that grows, and how to read the records of former runs from the journal.

    `began` is its begin by the monotonic clock.
    """

    verb: str
    subject: str
    began: float
    steps: Sequence[Timed]
    records: Callable[[], list[Record]]


class _Operations:
    operations: ClassVar[list[Operation]] = []


def operation() -> Operation | None:
    """Return the run under way, the outermost if it does others; None without one."""
    return next(iter(list(_Operations.operations)), None)


@contextmanager
def under_way(one: Operation) -> Iterator[None]:
    """Show the run while the block runs."""
    _Operations.operations.append(one)
    progress.announce()
    try:
        yield
    finally:
        _Operations.operations.remove(one)
