"""The tables that lost rows in one deletion: the tops, and the tables whose rows refer to them; decided here alone."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from korrigo_backup.rescue.diagnosis.states import TableState


def holding(references: Iterable[tuple[str, str, bool]]) -> tuple[tuple[str, str], ...]:
    """Return the references that say which table is above which: (table, table that its rows refer to).

    Given are also whether a deletion cascades along each. In a circle a reference that a deletion empties is left out:
    an exam with a copy of its own as its model is above its copies.
    """
    known = set(references)
    to: dict[str, set[str]] = defaultdict(set)
    for table, target, _ in known:
        to[table].add(target)
    return tuple(
        sorted({(table, target) for table, target, cascades in known if cascades or table not in _all(target, to)})
    )


def _all(start: str, ways: dict[str, set[str]]) -> set[str]:
    """Return the tables that are reached from a table, over others, too."""
    found, waiting = set[str](), [start]
    while waiting:
        new = ways.get(waiting.pop(), set[str]()) - found
        found |= new
        waiting += new
    return found


class Deletions:
    """The tables that lack rows of the same dump, by the foreign keys between them.

    `undelete` of the top brings the rows that refer to its rows, and a row below it that was deleted on its own is
    offered when the top is back.
    """

    def __init__(self, states: Iterable[TableState], references: Iterable[tuple[str, str]]) -> None:
        self._lost: dict[str, set[str]] = defaultdict(set)
        for one in states:
            if one.change and one.change.removed:
                self._lost[one.reference].add(one.table)
        self._to: dict[str, set[str]] = defaultdict(set)
        self._from: dict[str, set[str]] = defaultdict(set)
        for table, to in references:
            self._to[table].add(to)
            self._from[to].add(table)

    def above(self, state: TableState) -> frozenset[str]:
        """Return the tables with lost rows to which those of a table refer; tables of a circle are not above it."""
        return self._reached(state, self._to) - self._reached(state, self._from)

    def below(self, state: TableState) -> tuple[str, ...]:
        """Return the tables with lost rows that refer to those of a table, over others, too."""
        return tuple(sorted(self._reached(state, self._from) - self._reached(state, self._to)))

    def _reached(self, state: TableState, ways: dict[str, set[str]]) -> frozenset[str]:
        lost = self._lost.get(state.reference, set[str]())
        if state.table not in lost:
            return frozenset()
        found, waiting = set[str](), [state.table]
        while waiting:
            new = (ways.get(waiting.pop(), set[str]()) & lost) - found - {state.table}
            found |= new
            waiting += new
        return frozenset(found)


def only_replaced(replaced: Iterable[TableState], newer: Sequence[TableState]) -> tuple[TableState, ...]:
    """Return those tables of a safety backup that have rows which no newer dump has; `newer` are states of such."""
    return tuple(one for one in replaced if not any(_has_rows_of(other, one) for other in newer))


def _has_rows_of(state: TableState, replaced: TableState) -> bool:
    """Return whether a newer dump has the same missing rows as a safety backup, as far as keys and counts tell."""
    here, there = state.change, replaced.change
    if here is None or there is None or state.table != replaced.table or state.moment.after <= replaced.moment.after:
        return False
    if there.removed == len(there.removed_keys):
        return set(there.removed_keys) <= set(here.removed_keys)
    return (here.removed, here.removed_keys) == (there.removed, there.removed_keys)
