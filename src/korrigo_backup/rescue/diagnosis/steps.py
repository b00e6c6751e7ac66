"""The steps between dumps in which many rows of a table changed or vanished, found by halves; without input or output.

The digests tell in which steps a table changed. Rows are compared between two dumps that are far apart; only where many
differ, both halves are looked at. So a table that changes a little every night costs one comparison, and one that was
overwritten costs a few.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.compare.differences import RowChange  # noqa: TC001 - msgspec reads it when it encodes
from korrigo_backup.rescue.diagnosis.moments import MomentKind, TableMoment
from korrigo_backup.rescue.history.row_changes import LIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Compare = Callable[[str, str, Mapping[str, int]], Mapping[str, RowChange]]
    """Compares the rows of tables of two dumps; a table that could not be compared is left out."""

MANY = 0.2
"""The share of a table's rows from which on rows that change or vanish in one step are many; two rows at least."""

OFTEN = 6
"""A table in which many rows change in so many steps changes by design; earlier steps of it are not read."""

_GROWN = 2
"""A table that grew so many times larger is looked at in halves: most of its rows are not in the older dump."""


class TableStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step in which rows of a table changed: from `moment.former` to `moment.source`, both are dumps.

    `live` has the rows that differ from `moment.former` now, None if that is not known.
    """

    moment: TableMoment
    change: RowChange
    live: RowChange | None = None

    @property
    def is_large(self) -> bool:
        """Whether many of the rows changed or vanished."""
        return is_many(self.change.changed + self.change.removed, self.moment.rows_before)

    @property
    def is_growth(self) -> bool:
        """Whether rows were added, and nothing else."""
        change = self.change
        return change.exact and not (change.changed or change.removed or change.lost_columns)

    @property
    def has_changed_rows(self) -> bool:
        """Whether rows that changed in the step still differ; of many rows only the counts tell."""
        change, live = self.change, self.live
        if live is None or not change.changed or not live.changed:
            return False
        then, now = change.changed_keys, live.changed_keys
        are_named = change.exact and live.exact and (change.changed, live.changed) == (len(then), len(now))
        return not are_named or not set(then).isdisjoint(now)

    @property
    def is_open(self) -> bool:
        """Whether rows of this kind still differ from the state before the step, or its columns are still gone."""
        change, live = self.change, self.live
        if live is None:
            return False
        rows = self.has_changed_rows or (change.removed and live.removed)
        return bool(rows or set(change.lost_columns) & set(live.lost_columns))


def is_many(rows: int, rows_before: int | None) -> bool:
    """Return whether so many rows are many of a table's: more than a fifth, and two at least."""
    return rows > max(1, (rows_before or 0) * MANY)


@dataclass
class Budget:
    """The most that is compared: pairs of dumps, rows of both sides, and packed bytes that are read for it.

    The first comparison is always made.
    """

    comparisons: int = 32
    rows: int = 1_000_000
    bytes: int = 512 * 1024 * 1024
    _begun: bool = field(default=False, init=False)

    def spend(self, rows: int, packed: int) -> bool:
        """Take a comparison from the budget; return False if that is more than is left."""
        if self._begun and (self.comparisons < 1 or rows > self.rows or packed > self.bytes):
            return False
        self._begun = True
        self.comparisons, self.rows, self.bytes = self.comparisons - 1, self.rows - rows, self.bytes - packed
        return True


@dataclass
class FoundSteps:
    """The steps with many rows, the rest by name.

    `often` are tables of which many rows change in many steps. `ordinary` changed by few rows at a time, or have new
    rows. `unread` has for a table the newest step whose rows were not compared.
    """

    steps: list[TableStep] = field(default_factory=list)
    often: set[str] = field(default_factory=set)
    ordinary: set[str] = field(default_factory=set)
    unread: dict[str, TableMoment] = field(default_factory=dict)


def comparable_steps(changes: Iterable[TableMoment]) -> dict[str, tuple[TableMoment, ...]]:
    """Return the changes of each table from dump to dump, oldest first, since the table is there."""
    found: dict[str, tuple[TableMoment, ...]] = {}
    for one in changes:
        if one.kind in {MomentKind.NEW, MomentKind.GONE}:
            found.pop(one.table, None)
        elif one.source != LIVE:
            found[one.table] = (*found.get(one.table, ()), one)
    return found


@dataclass
class _Search:
    """The search: `waiting` has the stretches of dumps that are to be compared, and the changes of tables in each."""

    place: dict[str, int]
    waiting: dict[tuple[int, int], dict[str, tuple[TableMoment, ...]]] = field(default_factory=dict)
    found: FoundSteps = field(default_factory=FoundSteps)

    def judge(self, stretch: tuple[int, int], table: str, steps: tuple[TableMoment, ...], change: RowChange) -> None:
        """Note a step with many rows, or divide its stretch."""
        before = steps[0].rows_before or 0
        has_grown = max(one.rows_before or 0 for one in steps) > _GROWN * before
        are_many = is_many(change.changed + change.removed, before) or not change.exact
        if len(steps) == 1 and are_many:
            self.found.steps.append(TableStep(moment=steps[0], change=change))
        elif len(steps) > 1 and (are_many or has_grown):
            for half, within in self._halves(stretch, steps):
                self.waiting.setdefault(half, {})[table] = within

    def _halves(
        self, stretch: tuple[int, int], steps: tuple[TableMoment, ...]
    ) -> list[tuple[tuple[int, int], tuple[TableMoment, ...]]]:
        """Divide a stretch until there are changes in both parts; without a change a dump stands for the next."""
        first, last = stretch
        while True:
            middle = (first + last) // 2
            older = tuple(one for one in steps if self.place[one.source] <= middle)
            newer = tuple(one for one in steps if self.place[one.former] >= middle)
            if older and newer:
                return [((first, middle), older), ((middle, last), newer)]
            first, last = (first, middle) if older else (middle, last)


def find_large_steps(
    by_table: Mapping[str, tuple[TableMoment, ...]],
    dumps: Sequence[str],
    compare: Compare,
    budget: Budget,
    packed: Mapping[str, int],
) -> FoundSteps:
    """Return the steps in which many rows changed or vanished, the newest first.

    `dumps` are the names of all dumps in their order, `packed` their sizes. A mass change whose rows all had their
    former values again later is not found.
    """
    search = _Search({name: number for number, name in enumerate(dumps)})
    found = search.found
    if by_table:
        ends = [(search.place[steps[0].former], search.place[steps[-1].source]) for steps in by_table.values()]
        search.waiting[min(first for first, _ in ends), max(last for _, last in ends)] = dict(by_table)
    while search.waiting:
        stretch = max(search.waiting, key=lambda one: (one[1], one[1] - one[0]))
        inside = search.waiting.pop(stretch)
        inside = {table: steps for table, steps in inside.items() if table not in found.often}
        if not inside:
            continue
        former, later = (dumps[number] for number in stretch)
        rows = {table: max(_rows(one) for one in steps) for table, steps in inside.items()}
        changes: Mapping[str, RowChange] = {}
        if budget.spend(2 * sum(rows.values()), packed[former] + packed[later]):
            changes = compare(former, later, rows)
        for table, steps in inside.items():
            if table in changes:
                search.judge(stretch, table, steps, changes[table])
            else:
                found.unread.setdefault(table, steps[-1])
            if sum(one.moment.table == table for one in found.steps) >= OFTEN:
                found.often.add(table)
    found.steps = [one for one in found.steps if one.moment.table not in found.often]
    large = {one.moment.table for one in found.steps}
    found.ordinary = set(by_table) - large - found.often - found.unread.keys()
    found.unread = {table: one for table, one in found.unread.items() if table not in found.often}
    return found


def _rows(moment: TableMoment) -> int:
    return max(moment.rows_before or 0, moment.rows or 0)


def read_steps(
    steps: Sequence[TableMoment], compare: Compare, budget: Budget, packed: Mapping[str, int]
) -> tuple[tuple[TableStep, ...], tuple[TableMoment, ...]]:
    """Return all steps of a table with their rows, oldest first, and those that were not read: the oldest of too many.

    `packed` has the sizes of the dumps.
    """
    read, unread = list[TableStep](), list[TableMoment]()
    for one in reversed(steps):
        rows = _rows(one)
        change = None
        if budget.spend(2 * rows, packed[one.former] + packed[one.source]):
            change = compare(one.former, one.source, {one.table: rows}).get(one.table)
        if change is None:
            unread.append(one)
        else:
            read.append(TableStep(moment=one, change=change))
    return tuple(reversed(read)), tuple(reversed(unread))
