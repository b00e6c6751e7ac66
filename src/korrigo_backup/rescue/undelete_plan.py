"""The plan of an undelete: which rows and files come back, and which the live site does not take."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads it when it encodes
from enum import StrEnum

import msgspec

from korrigo_backup.core.finding import Finding  # noqa: TC001 - msgspec reads it when it encodes
from korrigo_backup.rescue.values.plan import PutValue  # noqa: TC001 - msgspec reads it when it encodes

SHOWN_ROWS = 10_000
"""Rows of a table, and files, that are in the plan by name; the others are counted."""


class Why(StrEnum):
    """Why a row comes back: it was asked for, was deleted with such a row, or is needed by a row that comes back."""

    ASKED = "asked"
    WITH = "with"
    NEEDED = "needed"


class ConflictKind(StrEnum):
    """How the live database refuses a row, or the media a file; `NO_FILE`: a link or a directory has its name."""

    UNIQUE = "unique"
    KEY = "key"
    PARENT = "parent"
    NOT_NULL = "not_null"
    CHECK = "check"
    EXCLUSION = "exclusion"
    TRIGGER = "trigger"
    FILE = "file"
    NO_FILE = "no_file"
    ERASED = "erased"
    OTHER = "other"


class PlannedRow(msgspec.Struct, frozen=True):
    """A row that comes back: the values of its key as text, and a value by which people know it, if there is one."""

    key: tuple[str, ...]
    why: Why
    name: str | None = None


class PlannedTable(msgspec.Struct, frozen=True):
    """The rows of a table that come back: their numbers by reason, the columns of the key, the first rows."""

    table: str
    asked: int
    with_asked: int
    needed: int
    key: tuple[str, ...]
    rows: tuple[PlannedRow, ...]

    @property
    def count(self) -> int:
        """The number of all rows."""
        return self.asked + self.with_asked + self.needed


class Conflict(msgspec.Struct, frozen=True):
    """A row or a file that the live site does not take, with the server's words.

    `columns` are those of the constraint where the server names them. `left`: the plan goes on without it. `detail` may
    hold values of rows: it is printed with the plan, and is in no message of an error.
    """

    kind: ConflictKind
    table: str
    key: tuple[str, ...]
    constraint: str
    columns: tuple[str, ...]
    message: str
    left: bool = False
    detail: str = ""

    @property
    def words(self) -> str:
        """The message and the detail, for the plan."""
        return ": ".join(filter(None, (self.message, self.detail)))


class NewValue(msgspec.Struct, frozen=True):
    """A value that was typed for a row whose own value, `former`, is refused for the reason `kind`.

    With `in_all` the backup lacks the column, and all `rows` that come back get the value; `key` is empty.
    """

    table: str
    key: tuple[str, ...]
    column: str
    former: str | None
    value: str
    kind: ConflictKind = ConflictKind.UNIQUE
    in_all: bool = False
    rows: int = 1


class OverwrittenRow(msgspec.Struct, frozen=True):
    """A live row that is overwritten because it was named: its table and key, and the values that change."""

    table: str
    key: tuple[str, ...]
    values: tuple[PutValue, ...]


class EmptiedLink(msgspec.Struct, frozen=True):
    """Live rows of a table that referred to rows which come back, and whose columns are NULL now."""

    table: str
    columns: tuple[str, ...]
    to: str
    keys: tuple[tuple[str, ...], ...]


class UndeletePlan(msgspec.Struct, frozen=True):
    """The effect of an undelete. `relink`: the emptied references are set again. `files` are the first.

    `overwritten_files` are those of all files that replace a live file: it is kept for the rollback.
    """

    artifact: str
    created: datetime
    asked: tuple[str, ...]
    tables: tuple[PlannedTable, ...]
    links: tuple[EmptiedLink, ...] = ()
    relink: bool = False
    files: tuple[str, ...] = ()
    file_count: int = 0
    conflicts: tuple[Conflict, ...] = ()
    findings: tuple[Finding, ...] = ()
    new_values: tuple[NewValue, ...] = ()
    overwritten: tuple[OverwrittenRow, ...] = ()
    overwritten_files: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """The number of rows that come back, the overwritten rows among them."""
        return sum(one.count for one in self.tables)

    @property
    def refused(self) -> tuple[Conflict, ...]:
        """The conflicts at which the undelete stops."""
        return tuple(one for one in self.conflicts if not one.left)
