"""When a table changed: found by the row counts and digests of the manifests alone, decided without input or output.

The points are read one after the other. A search by halves would need fewer manifests, and would be wrong wherever a
table went back to a former state; a hundred manifests take less than a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - msgspec reads it when it encodes
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence


class MomentKind(StrEnum):
    """What became of a table between two points, the worst that is known."""

    NEW = "new"
    GONE = "gone"
    EMPTIED = "emptied"
    FEWER = "fewer rows"
    CHANGED = "changed"
    MORE = "more rows"


LOSSES = frozenset({MomentKind.GONE, MomentKind.EMPTIED, MomentKind.FEWER})


class TableMoment(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a table: after the state `former`, and at the latest in the state `source`.

    Rows are None where there is no table.
    """

    table: str
    kind: MomentKind
    after: datetime
    former: str
    at: datetime
    source: str
    rows_before: int | None
    rows: int | None

    @property
    def is_loss(self) -> bool:
        """Whether there are fewer rows than before."""
        return self.kind in LOSSES


@dataclass(frozen=True)
class PointTables:
    """The tables of a saved or the live state: rows and digest by name; digests by different rules are not compared.

    `unseen` are tables that are there and could not be read, each with the reason.
    """

    at: datetime
    source: str
    rule: str | None
    tables: Mapping[str, tuple[int, str | None]] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)


def moments(states: Iterable[PointTables], wanted: Container[str] | None = None) -> tuple[TableMoment, ...]:
    """Return the changes of tables from state to state, oldest first; with `wanted` only those of these tables.

    Two neighbouring states are held at once.
    """
    found: list[TableMoment] = []
    for former, state in pairwise(states):
        names = sorted(former.tables.keys() | state.tables.keys())
        kinds = ((name, _kind(former, state, name)) for name in names if wanted is None or name in wanted)
        found += [_moment(kind, former, state, name) for name, kind in kinds if kind]
    return tuple(found)


def _moment(kind: MomentKind, former: PointTables, state: PointTables, table: str) -> TableMoment:
    before, now = former.tables.get(table), state.tables.get(table)
    return TableMoment(
        table=table,
        kind=kind,
        after=former.at,
        former=former.source,
        at=state.at,
        source=state.source,
        rows_before=before[0] if before else None,
        rows=now[0] if now else None,
    )


def _kind(former: PointTables, state: PointTables, table: str) -> MomentKind | None:
    before, now = former.tables.get(table), state.tables.get(table)
    if table in former.unseen or table in state.unseen:
        return None
    if before is None or now is None:
        return MomentKind.NEW if before is None else MomentKind.GONE
    if before[0] != now[0]:
        fewer = MomentKind.FEWER if now[0] else MomentKind.EMPTIED
        return MomentKind.MORE if now[0] > before[0] else fewer
    comparable = former.rule == state.rule and former.rule is not None and before[1] and now[1]
    return MomentKind.CHANGED if comparable and before[1] != now[1] else None


def unknown_between(states: Sequence[PointTables]) -> int:
    """Return between how many neighbouring states only the number of rows could be compared."""
    return sum(1 for former, state in pairwise(states) if former.rule is None or former.rule != state.rule)


def last_losses(found: Sequence[TableMoment]) -> dict[str, TableMoment]:
    """Return the newest loss of each table."""
    return {one.table: one for one in found if one.is_loss}
