"""The look back over the dumps: the steps in which rows changed or vanished, read from both dumps of each step."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.compare.present import DumpRows
from korrigo_backup.compare.rows import dump_rows, narrow
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.rescue.diagnosis.live_site import SHOWN, rows_since
from korrigo_backup.rescue.diagnosis.steps import (
    Budget,
    FoundSteps,
    TableStep,
    comparable_steps,
    find_large_steps,
    read_steps,
)
from korrigo_backup.rescue.history.table_changes import PASSING
from korrigo_backup.verify.dump_source import open_unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.compare.differences import RowChange
    from korrigo_backup.rescue.diagnosis.live_site import LiveSite
    from korrigo_backup.rescue.diagnosis.moments import PointTables, TableMoment

_OF_ONE_TABLE = Budget(comparisons=48, rows=10_000_000, bytes=4 * 1024**3)
"""The most that is compared for a table that is named."""


class LookBack:
    """The dumps of a site, compared with each other; `problems` are dumps that could not be read, with the reason."""

    def __init__(self, dumps: Sequence[Artifact], names: Sequence[str], live: LiveSite) -> None:
        self._dumps = {one.name: one for one in dumps}
        self._names = names
        self._live = live
        self.problems: list[str] = []

    def large_steps(self, changes: Iterable[TableMoment], present: PointTables | None) -> FoundSteps:
        """Return the steps in which many rows changed or vanished, each with the rows that still differ."""
        by_table = {
            table: steps
            for table, steps in comparable_steps(changes).items()
            if table.rpartition(".")[2] not in PASSING
        }
        found = find_large_steps(by_table, self._names, self._compare, Budget(), self._packed())
        found.steps = list(self.with_live(found.steps, present))
        return found

    def steps_of(
        self, changes: Iterable[TableMoment], table: str, present: PointTables | None
    ) -> tuple[tuple[TableStep, ...], tuple[TableMoment, ...]]:
        """Return all steps of a table with their rows, and those that were not read."""
        steps = comparable_steps(changes).get(table, ())
        budget = Budget(_OF_ONE_TABLE.comparisons, _OF_ONE_TABLE.rows, _OF_ONE_TABLE.bytes)
        read, unread = read_steps(steps, self._compare, budget, self._packed())
        return self.with_live(read, present), unread

    def with_live(self, steps: Sequence[TableStep], present: PointTables | None) -> tuple[TableStep, ...]:
        """Return steps with the live rows that differ from the state before each, where the live side is known."""
        if present is None:
            return tuple(steps)
        wanted: dict[str, dict[str, TableMoment]] = defaultdict(dict)
        for one in steps:
            if not one.is_growth:
                wanted[one.moment.former][one.moment.table] = one.moment
        known = {name: rows_since(self._dumps[name], self._live, present, tables) for name, tables in wanted.items()}
        return tuple(
            msgspec.structs.replace(one, live=known.get(one.moment.former, {}).get(one.moment.table)) for one in steps
        )

    def _packed(self) -> dict[str, int]:
        return {name: self._dumps[name].size for name in self._names}

    def _compare(self, former: str, later: str, rows: Mapping[str, int]) -> Mapping[str, RowChange]:
        access = self._live.site.postgres.access
        try:
            with open_unread(self._dumps[former], access) as saved, open_unread(self._dumps[later], access) as now:
                return narrow(dump_rows(saved, former), DumpRows(now, later), rows, shown=SHOWN)
        except KorrigoBackupError as problem:
            self.problems.append(f"the rows of {former} and {later} were not compared: {problem}")
            return {}
