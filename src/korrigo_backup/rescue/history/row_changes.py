"""How a row changed from state to state: decided here, without input or output."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads it when it encodes
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

LIVE = "live"
"""The source of the present state."""


class RowEventKind(StrEnum):
    """What became of a row between two states."""

    FIRST = "first seen"
    CHANGED = "changed"
    GONE = "gone"
    BACK = "back"


class FieldChange(msgspec.Struct, frozen=True):
    """A value before and after: None for NULL, unset where there was no row or no such column."""

    field: str
    old: str | UnsetType | None = UNSET
    new: str | UnsetType | None = UNSET


class RowEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a row: seen at `at` in `source` (an artifact, or `live`), and not yet at `after`."""

    kind: RowEventKind
    at: datetime
    source: str
    point: str = ""
    after: datetime | None = None
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True)
class RowState:
    """A row in a saved or the live state; `values` is None if there is no such row. `point` binds the source."""

    at: datetime
    source: str
    values: Mapping[str, str | None] | None
    point: str = ""


def row_events(states: Sequence[RowState], field: str | None = None) -> tuple[RowEvent, ...]:
    """Return the changes from state to state, oldest first; with `field` only those of this column.

    A row that is back is compared with its last values before.
    """
    found: list[RowEvent] = []
    former: RowState | None = None
    values: Mapping[str, str | None] | None = None
    for state in states:
        if event := _event(former, values, state, field):
            found.append(event)
        former, values = state, state.values if state.values is not None else values
    return tuple(found)


def _event(
    former: RowState | None, last: Mapping[str, str | None] | None, state: RowState, field: str | None
) -> RowEvent | None:
    was = former is not None and former.values is not None
    if state.values is None:
        return _made(RowEventKind.GONE, former, state) if was else None
    fields = changed_fields(last or {}, state.values, field)
    if was:
        return _made(RowEventKind.CHANGED, former, state, fields) if fields else None
    return _made(RowEventKind.FIRST if last is None else RowEventKind.BACK, former, state, fields)


def _made(
    kind: RowEventKind, former: RowState | None, state: RowState, fields: tuple[FieldChange, ...] = ()
) -> RowEvent:
    after = former.at if former else None
    return RowEvent(kind=kind, at=state.at, source=state.source, point=state.point, after=after, fields=fields)


def changed_fields(
    old: Mapping[str, str | None], new: Mapping[str, str | None], field: str | None = None
) -> tuple[FieldChange, ...]:
    """Return the values that differ, in the order of the columns; with `field` of this column alone."""
    names = [name for name in {**new, **old} if field in {None, name}]
    changes = (FieldChange(name, old.get(name, UNSET), new.get(name, UNSET)) for name in names)
    return tuple(one for one in changes if one.old != one.new)


def is_column(field: str, columns: Collection[str]) -> bool:
    """Return whether `column_of` finds the column of a field."""
    return field in columns or f"{field}_id" in columns


def column_of(field: str, columns: Sequence[str]) -> str:
    """Return the column of a field: itself, or `field_id` of a foreign key; UsageError, with near names, for none."""
    for name in (field, f"{field}_id"):
        if name in columns:
            return name
    near = difflib.get_close_matches(field, columns, 3, 0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"columns: {', '.join(columns)}"
    raise UsageError(f"there is no column {field}", hint=hint)
