"""The dump that rows are taken from: staged in the session, with the rows marked that are asked for."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING, Protocol

from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.errors import NotFound, Refused, UsageError
from korrigo_backup.postgres.foreign_keys import CONTENT_TYPES
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.rescue.closure import RowMark
from korrigo_backup.rescue.erased_rows import tables_to_judge
from korrigo_backup.rescue.history.table_changes import MIGRATIONS, PASSING
from korrigo_backup.rescue.points import database_proof, find_dump
from korrigo_backup.rescue.relations import downward, upward
from korrigo_backup.rescue.saved.rows import open_saved_rows
from korrigo_backup.rescue.source_dumps import fuller_finding, in_order
from korrigo_backup.rescue.staged_rows import LEVEL, MARK, StagedRows
from korrigo_backup.rescue.steps.conditions import run_condition
from korrigo_backup.rescue.steps.fitting import Misfit, stage_fitting
from korrigo_backup.rescue.steps.roots import key_condition
from korrigo_backup.rescue.steps.trusted import require_trusted
from korrigo_backup.run.step import UndeleteStaging

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.points import Points
    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedTable
    from korrigo_backup.rescue.steps.roots import Roots
    from korrigo_backup.run.step import Listener
    from korrigo_backup.site.site import Site

_LOOKED_BACK = 30
"""Older dumps whose row counts are compared with those of the chosen dump."""


class ChoiceOptions(Protocol):
    """The options of an undelete that say which dump gives the rows."""

    @property
    def source(self) -> str | None:
        """The name of a dump."""

    @property
    def at(self) -> datetime | None:
        """The time before which the dump was made."""

    @property
    def since(self) -> datetime | None:
        """The time after which the rows were deleted."""

    @property
    def until(self) -> datetime | None:
        """The time before which they were deleted."""

    @property
    def allow_unsigned(self) -> bool:
        """Whether a dump may be without a signature."""


class Choice:
    """The choice of a dump in its session; `findings` are those about the chosen dump."""

    def __init__(
        self,
        site: Site,
        rows: StagedRows,
        roots: Roots,
        options: ChoiceOptions,
        relations: tuple[RowRelation, ...],
        listen: Listener,
    ) -> None:
        self._site = site
        self._rows = rows
        self._session: Session = rows.session
        self._roots = roots
        self._options = options
        self._relations = relations
        self._listen = listen
        self.findings: list[Finding] = []

    def choose(self, catalog: Catalog, points: Points) -> Artifact:
        """Stage the dump that is named, or the first in order that has the rows; mark the rows that are asked for.

        Returns the dump. Raises NotFound if no dump has the rows among those that are not live.
        """
        self._require_gone()
        until = self._options.at or (None if self._options.source else self._options.since)
        named = find_dump(catalog, self._options.source, until)
        for dump in [named] if named else self._possible(points):
            if self._has_roots(dump):
                self.findings += require_trusted(self._site, dump, allow_unsigned=self._options.allow_unsigned)
                self._listen(UndeleteStaging(dump.name))
                self._stage(dump)
                count = self._mark()
                if count and self._options.until:
                    count -= self._unmark_later(points, self._options.until)
                if count:
                    if not named:
                        self.findings += self._fuller(dump, points)
                    return dump
                _drop(self._rows)
        where = named.name if named else "any backup"
        raise NotFound(
            f"{', '.join(self._roots.names)}: not found among the deleted rows of {where}",
            hint=self._where_to_look(),
            id_="undelete.absent",
        )

    def _possible(self, points: Points) -> list[Artifact]:
        """Return the dumps in the order in which they are tried: none of after `--until`, whose rows may be newer."""
        until = self._options.until
        return in_order(one for one in points.require_dumps() if until is None or one.created <= until)

    def _where_to_look(self) -> str:
        if self._roots.rows:
            return f"korrigo-backup history {quote(self._roots.rows[0].name)} shows in which backups it is"
        if self._roots.table:
            return f"korrigo-backup history --table {quote(self._roots.table.table)} shows when it lost rows"
        return "korrigo-backup rescue shows which tables have lost rows, and when"

    def _fuller(self, dump: Artifact, points: Points) -> list[Finding]:
        roots = set(self._rows.live) if self._roots.everything else self._roots.tables
        older = [one for one in in_order(points.dumps) if one.created < dump.created][:_LOOKED_BACK]
        return fuller_finding(
            (dump.name, _rows_of(dump)),
            ((one.name, _rows_of(one)) for one in older),
            downward(roots, self._relations) & set(self._rows.live),
        )

    def _require_gone(self) -> None:
        """Raise UsageError for a row that is live: undelete changes none."""
        over = {(row.table.table, row.values) for row in (*self._roots.overwrite, *self._roots.parts)}
        for row in self._roots.rows:
            if (row.table.table, row.values) in over:
                continue
            live = self._rows.live[row.table.table]
            condition = key_condition(row, live)
            if self._session.ask(f"SELECT to_json(EXISTS (SELECT FROM ONLY {live.sql} WHERE {condition}))", bool):
                raise UsageError(
                    f"{row.name} is not deleted: it is live, and undelete changes no live row",
                    hint=f"korrigo-backup history {quote(row.name)} shows how it changed;"
                    f" --overwrite {quote(row.name)} makes it that of the backup",
                    id_="undelete.live",
                )

    def _has_roots(self, dump: Artifact) -> bool:
        """Return whether a dump has all rows that are named by key; a condition is tried on the staged rows."""
        if not self._roots.rows:
            return True
        with open_saved_rows(dump, self._site.postgres.access) as saved:
            return all(saved.find(row.table.table, row.key) for row in self._roots.rows)

    def _stage(self, dump: Artifact) -> None:
        roots = set(self._rows.live) if self._roots.everything else self._roots.tables
        down = downward(roots, self._relations)
        judged = tables_to_judge(self._site, dump, down, self._relations)
        if any(one.generic and one.table in down for one in self._relations):
            judged |= {name for name, live in self._rows.live.items() if live.table == CONTENT_TYPES}
        wanted = [name for name in upward(down, self._relations) | judged if name in self._rows.live]
        with open_saved_rows(dump, self._site.postgres.access) as saved:
            saved.read({name: partial(stage_fitting, self._rows, self._rows.live[name]) for name in wanted})
        for name in sorted(self._roots.tables & set(self._rows.tables)):
            require_same_key(self._rows.tables[name], dump)

    def stage_also(self, dump: Artifact, names: Collection[str]) -> None:
        """Stage further tables, to look at them; one whose rows do not fit the live table ends the staging."""
        wanted = {name: partial(stage_fitting, self._rows, self._rows.live[name]) for name in names}
        with suppress(StatementFailed, Misfit), open_saved_rows(dump, self._site.postgres.access) as saved:
            saved.read(wanted)

    def _mark(self) -> int:
        """Mark the rows that are asked for; return their number. UsageError for a condition that is no SQL."""
        count = 0
        for row in self._roots.rows:
            table = self._rows.tables[row.table.table]
            count += self._marked(table, key_condition(row, table.live))
        if self._roots.table and (staged := self._rows.tables.get(self._roots.table.table)):
            count += self._fulfilling(staged, self._roots.where) if self._roots.where else self._marked(staged, "true")
        if self._roots.everything:
            for staged in self._rows.tables.values():
                if staged.has_key and staged.live.table not in PASSING:
                    count += self._marked(staged, "true")
            self.findings += self._left_alone()
        return count

    def _left_alone(self) -> list[Finding]:
        """Return the findings about tables with rows that only a person who names them wants back."""
        staged, found = self._rows.tables.values(), list[Finding]()
        if keyless := [one.live.name for one in staged if not one.has_key and self._differs(one)]:
            found.append(
                warning(
                    "undelete.no_key",
                    f"without a key in the backup a changed row looks like a deleted row: {', '.join(sorted(keyless))}",
                    f"these tables are left alone; to look: undelete --table {quote(min(keyless))} --dry-run",
                )
            )
        if any(one.live.table == MIGRATIONS and self._rows.count("true", one) for one in staged):
            found.append(
                warning(
                    "undelete.migrated",
                    f"{MIGRATIONS} has lost rows: a migration was taken back since, and its rows stay away",
                    "if that was the accident, restore the point: korrigo-backup plan latest-point",
                )
            )
        return found

    def _differs(self, table: StagedTable) -> bool:
        """Return whether a table has a row in the backup that is not live as it was."""
        saved, live = table.numbers(table.then), table.numbers(f"ONLY {table.live.sql}")
        fewer = f"({saved}) s LEFT JOIN ({live}) l USING (content) WHERE s.number > coalesce(l.number, 0)"
        return self._session.ask(f"SELECT to_json(EXISTS (SELECT FROM {fewer}))", bool)

    def _unmark_later(self, points: Points, until: datetime) -> int:
        """Unmark the rows that the first backup after `until` still has; return their number."""
        later = next((one for one in points.dumps if one.created >= until), None)
        if later is None:
            return 0
        rows = StagedRows(self._session, self._rows.live, first=len(self._rows.tables) + 1)
        marked = {name: one for name, one in self._rows.tables.items() if self._rows.count(f"g.{MARK} = 3", one)}
        with open_saved_rows(later, self._site.postgres.access) as saved:
            saved.read({name: partial(rows.stage, live=self._rows.live[name]) for name in marked})
        count = 0
        for name, table in marked.items():
            if there := rows.tables.get(name):
                condition = f"{MARK} = 3 AND {table.still_in(there)}"
                count += self._rows.count(condition, table)
                self._session.run(f"UPDATE {table.gone} g SET {MARK} = NULL, {LEVEL} = NULL WHERE {condition}")
        _drop(rows)
        return count

    def _marked(self, table: StagedTable, condition: str) -> int:
        """Mark deleted rows by a condition of ours; return the number of marked rows."""
        self._session.run(f"UPDATE {table.gone} SET {_AS_ROOT} WHERE {condition}")
        return self._rows.count(f"g.{MARK} = {RowMark.ROOT}", table)

    def _fulfilling(self, table: StagedTable, condition: str) -> int:
        """Mark deleted rows by the condition of the operator, which may only read; return the number of marked rows."""
        update = f"UPDATE {table.gone} AS {identifier(table.live.table)} SET {_AS_ROOT}"
        run_condition(self._session, update, condition, table.live.name)
        return self._rows.count(f"g.{MARK} = {RowMark.ROOT}", table)


_AS_ROOT = f"{MARK} = {RowMark.ROOT}, {LEVEL} = 0"


def _drop(rows: StagedRows) -> None:
    """Drop staged tables, so that those of another dump can have their names."""
    for table in rows.tables.values():
        over = f", {table.over}" if table.overwrites else ""
        rows.session.run(f"DROP TABLE {table.then}, {table.gone}{over}")
    rows.tables.clear()


def require_same_key(table: StagedTable, dump: Artifact) -> None:
    """Raise Refused if the live key of a table is not in the backup: a changed row would look like a deleted row."""
    if table.live.key and not table.has_key:
        raise Refused(
            f"the key of {table.live.name} is {', '.join(table.live.key)}, and {dump.name} has no such column:"
            " which rows were deleted cannot be told",
            hint=f"restore the point beside the live data to look: korrigo-backup drill {quote(dump.name)};"
            f" or all of it: korrigo-backup plan {quote(dump.name)}",
            id_="undelete.other_key",
        )


def _rows_of(dump: Artifact) -> dict[str, int]:
    proof = database_proof(dump)
    return {one.name: one.rows for one in proof.tables} if proof else {}
