"""The work under way, for a display beside it: counters that the working code has, read now and then.

The working code adds to an integer for each block or file, never for a row, or has the display look at an integer that
it counts anyway. Without a display nothing else happens.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Unit(StrEnum):
    """What is counted."""

    TABLES = "tables"
    FILES = "files"


@dataclass(eq=False, kw_only=True)
class Work:
    """A piece of work: its name for people, bytes done and items done, each with its total where that is known.

    `is_estimate`: the total of bytes is that of a former run. `unit` is what is counted. `look` brings the numbers up
    to date; the display calls it before it reads them, from its own thread.
    """

    name: str
    size: int = 0
    whole: int | None = None
    is_estimate: bool = False
    unit: Unit | None = None
    count: int = 0
    number: int | None = None
    item: str | bytes = ""
    look: Callable[[Work], None] | None = None

    def updated(self) -> Work:
        """Return this work with present numbers; where they cannot be read at this moment, the last ones stay."""
        if self.look:
            with suppress(Exception):  # the work may end, and close its files, while it is looked at
                self.look(self)
        return self


class _Works:
    works: ClassVar[list[Work]] = []
    listener: ClassVar[Callable[[], None] | None] = None


def watch(listener: Callable[[], None] | None) -> None:
    """Have `listener` called whenever a work begins: a display is made for the first, and not for a quick verb."""
    _Works.listener = listener


def works() -> list[Work]:
    """Return the works under way, the oldest first; those of all threads."""
    return list(_Works.works)


@contextmanager
def under_way(work: Work) -> Iterator[Work]:
    """Show the work while the block runs."""
    _Works.works.append(work)
    announce()
    try:
        yield work
    finally:
        _Works.works.remove(work)


def announce() -> None:
    """Tell the listener that something begins."""
    if _Works.listener:
        _Works.listener()


@contextmanager
def reading(name: str, file: IO[bytes], item: str = "") -> Iterator[Work]:
    """Show how far the block has read an unbuffered file: its position, of its size."""
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)

    def look(work: Work) -> None:
        work.size = file.tell()

    with under_way(Work(name=name, whole=size, item=item, look=look)) as work:
        yield work
