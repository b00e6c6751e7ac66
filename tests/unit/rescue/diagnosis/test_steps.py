"""The steps in which many rows of a table changed, found by halves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from korrigo_backup.compare.differences import RowChange
from korrigo_backup.rescue.diagnosis.moments import PointTables, moments
from korrigo_backup.rescue.diagnosis.steps import (
    OFTEN,
    Budget,
    comparable_steps,
    find_large_steps,
    is_many,
    read_steps,
)
from property_testing import given, st

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.rescue.diagnosis.steps import FoundSteps

BEGIN = datetime(2026, 5, 1, 3, tzinfo=UTC)
Rows = tuple[int, ...]
"""The values of a table's rows, by their keys."""


class Dumps:
    """Dumps of one table, and the comparisons that were made of them."""

    def __init__(self, *contents: Rows) -> None:
        self.contents = contents
        self.names = [f"dump{number}" for number in range(len(contents))]
        self.compared: list[tuple[str, str]] = []
        states = [
            PointTables(BEGIN + timedelta(days=number), name, "rule", {"t": (len(rows), str(rows))})
            for number, (name, rows) in enumerate(zip(self.names, contents, strict=True))
        ]
        self.steps = comparable_steps(moments(states))

    def compare(self, former: str, later: str, rows: Mapping[str, int]) -> dict[str, RowChange]:
        self.compared.append((former, later))
        old, new = (self.contents[self.names.index(name)] for name in (former, later))
        changed = sum(a != b for a, b in zip(old, new, strict=False))
        added, removed = max(0, len(new) - len(old)), max(0, len(old) - len(new))
        return {table: RowChange(changed=changed, added=added, removed=removed) for table in rows}

    def found(self, budget: Budget | None = None) -> FoundSteps:
        packed = dict.fromkeys(self.names, 1)
        return find_large_steps(self.steps, self.names, self.compare, budget or Budget(), packed)


def sources(found: FoundSteps) -> list[str]:
    return [one.moment.source for one in found.steps]


def test_many_are_more_than_a_fifth_and_two_at_least() -> None:
    assert [is_many(rows, 100) for rows in (20, 21)] == [False, True]
    assert [is_many(rows, 3) for rows in (1, 2)] == [False, True]


def test_one_mass_change_among_small_changes_is_found_with_few_comparisons() -> None:
    rows, contents = list(range(100)), list[Rows]()
    for number in range(96):
        rows[number % 10] += 1000
        if number == 30:
            rows = [7] * 100
        contents.append(tuple(rows))
    dumps = Dumps(*contents)
    assert sources(dumps.found()) == ["dump30"]
    assert len(dumps.compared) <= 15


def test_a_table_that_changes_a_little_every_night_costs_one_comparison() -> None:
    dumps = Dumps(*((*range(100), number) for number in range(96)))
    found = dumps.found()
    assert (found.steps, found.ordinary, len(dumps.compared)) == ([], {"t"}, 1)


def test_rows_that_are_new_since_the_oldest_dump_are_looked_at_too() -> None:
    dumps = Dumps((1,), (1, *range(50)), (1, *range(50)), (1, *[7] * 50))
    assert sources(dumps.found()) == ["dump3"]


def test_a_table_of_which_many_rows_change_in_each_step_is_not_listed_step_by_step() -> None:
    found = Dumps(*((number,) * 10 for number in range(OFTEN + 3))).found()
    assert (found.steps, found.often, found.unread) == ([], {"t"}, {})


def test_a_table_for_which_the_budget_is_too_small_is_named() -> None:
    found = Dumps((1, 1), (2, 2), (2, 2), (3, 3)).found(Budget(comparisons=2))
    assert sources(found) == ["dump3"]
    assert found.unread["t"].source == "dump1"


def test_each_step_of_a_table_is_read_the_newest_first() -> None:
    dumps = Dumps((1,), (1, 2), (1, 2), (3, 2))
    packed = dict.fromkeys(dumps.names, 1)
    read, unread = read_steps(dumps.steps["t"], dumps.compare, Budget(), packed)
    assert ([one.is_growth for one in read], unread) == ([True, False], ())
    read, unread = read_steps(dumps.steps["t"], dumps.compare, Budget(comparisons=1), packed)
    assert [one.moment.source for one in read] == ["dump3"]
    assert [one.source for one in unread] == ["dump1"]


@given(st.integers(1, 20), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), min_size=21, max_size=21))
def test_exactly_the_mass_change_among_changes_of_single_rows_is_found(mass: int, edits: list[tuple[int, int]]) -> None:
    rows, contents = list(range(10)), list[Rows]()
    for number, (row, by) in enumerate(edits):
        if number == mass:
            rows = [1000 + number] * 10
        else:
            rows[row] += by * 10_000
        contents.append(tuple(rows))
    assert sources(Dumps(*contents).found(Budget(comparisons=1000))) == [f"dump{mass}"]
