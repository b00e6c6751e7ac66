"""The plan of a revert, or of the restore of a table: which values are put back, and which rows come and go."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads it when it encodes
from enum import StrEnum

import msgspec

from korrigo_backup.core.finding import Finding  # noqa: TC001 - msgspec reads it when it encodes

SHOWN_ROWS = 1000
"""Rows of a table that are in the plan with their values; the others are counted."""


class ValueConflictKind(StrEnum):
    """Why a value stays as it is."""

    CHANGED_AGAIN = "changed_again"
    REFUSED = "refused"


class PutValue(msgspec.Struct, frozen=True):
    """A value that is put back: the column, the value of now and that of then, None for NULL."""

    column: str
    now: str | None
    then: str | None


class PutRow(msgspec.Struct, frozen=True):
    """A row with values that are put back: the values of its key as text."""

    key: tuple[str, ...]
    values: tuple[PutValue, ...]


class ValueConflict(msgspec.Struct, frozen=True, kw_only=True):
    """A value that was changed again since the accident, or a row that the live database does not take.

    `left`: the plan goes on without it. `detail` may hold values of rows: it is printed with the plan, and is in no
    message of an error. `required` is the column that has no value, and takes no NULL.
    """

    kind: ValueConflictKind
    table: str
    key: tuple[str, ...]
    column: str = ""
    then: str | None = None
    after: str | None = None
    now: str | None = None
    message: str = ""
    left: bool = False
    detail: str = ""
    required: str = ""

    @property
    def words(self) -> str:
        """The message and the detail, for the plan."""
        return ": ".join(filter(None, (self.message, self.detail)))


class ValueTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the plan: `changed` rows get values back, `inserted` rows come back, `removed` rows go.

    `columns` counts the values of each column. Rows that stay away are `missing`, newer rows that stay are `newer`,
    `newer_values` are those that were changed only after the accident. The first rows of each kind are named.
    """

    table: str
    key: tuple[str, ...]
    changed: int
    columns: dict[str, int]
    rows: tuple[PutRow, ...]
    inserted: int = 0
    removed: int = 0
    missing: int = 0
    newer: int = 0
    newer_values: int = 0
    inserted_keys: tuple[tuple[str, ...], ...] = ()
    removed_keys: tuple[tuple[str, ...], ...] = ()


class ValuePlan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole plan. `accident` is the backup that shows the changes by the accident, "" if there is none.

    `new_values` are the values that rows which come back get in columns that the backup lacks, by `TABLE.COLUMN`.
    """

    verb: str
    artifact: str
    created: datetime
    asked: tuple[str, ...]
    accident: str = ""
    accident_created: datetime | None = None
    tables: tuple[ValueTable, ...] = ()
    conflicts: tuple[ValueConflict, ...] = ()
    conflict_count: int = 0
    findings: tuple[Finding, ...] = ()
    new_values: dict[str, str] = {}

    @property
    def count(self) -> int:
        """The number of live rows that change, come or go."""
        return sum(one.changed + one.inserted + one.removed for one in self.tables)

    @property
    def refused(self) -> tuple[ValueConflict, ...]:
        """The conflicts at which the run stops."""
        return tuple(one for one in self.conflicts if not one.left)
