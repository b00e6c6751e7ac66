"""The values that a person types for rows that come back: in the place of a refused value, or in a column that is new.

A column that the backup lacks gets its value in all rows that come back. A value that the live table refuses is
replaced where it is refused: a taken unique value in one row for each typed value, any other in all these rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace as replaced

from korrigo_backup.errors import UsageError
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.postgres.site_path import site_path
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.staged_rows import ROW
from korrigo_backup.rescue.steps.new_columns import fill_column, options, unfit_value
from korrigo_backup.rescue.undelete_plan import ConflictKind, NewValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedRows
    from korrigo_backup.rescue.steps.roots import TypedValue

_ONE_ROW = ConflictKind.UNIQUE
"""The kind of conflict in which each row needs a value of its own."""


@dataclass(frozen=True)
class RefusedRow:
    """A row that the live database refuses for the values of some columns."""

    kind: ConflictKind
    table: str
    row: int
    columns: tuple[str, ...]


@dataclass
class NewValues:
    """The typed values, and those that rows were given so far; `key_of` returns the key of a row of a table."""

    rows: StagedRows
    relations: Sequence[RowRelation]
    key_of: Callable[[str, int], tuple[str, ...]]
    typed: list[TypedValue] = field(default_factory=list)
    given: list[NewValue] = field(default_factory=list)
    _used: set[TypedValue] = field(default_factory=set)
    _tried: set[tuple[TypedValue, int]] = field(default_factory=set)

    def require_free(self) -> None:
        """Raise UsageError for a new value of a column by which other rows refer to the row."""
        for new in self.typed:
            live = self.rows.live[new.table]
            if new.column in live.key or any(
                one.to == new.table and new.column in one.to_columns for one in self.relations
            ):
                raise UsageError(
                    f"{new.table}.{new.column} says which row it is: it gets no other value",
                    hint="leave the row out with what needs it: --on-conflict skip",
                )

    def fill_columns(self) -> None:
        """Give the values of columns that the backup lacks to all rows of their tables."""
        for new in list(self.typed):
            if fill_column(self.rows, new):
                self.typed.remove(new)
                self.given.append(NewValue(new.table, (), new.column, None, new.value, in_all=True))

    def give(self, refused: Iterable[RefusedRow]) -> bool:
        """Give typed values to rows whose own value is refused; return whether there was such a row."""
        given = False
        for one in refused:
            fits = (new for new in self.typed if new.table == one.table and new.column in one.columns)
            new = next((new for new in fits if (new, one.row) not in self._tried), None)
            if new is None:
                continue
            self._tried.add((new, one.row))
            self._used.add(new)
            if one.kind is _ONE_ROW:
                self.typed.remove(new)
            self._give(new, one)
            given = True
        return given

    def _give(self, new: TypedValue, refused: RefusedRow) -> None:
        table, column, row = self.rows.tables[new.table], identifier(new.column), refused.row
        former = self.rows.session.ask(
            f"SELECT json_build_array({column}::text) FROM {table.gone} WHERE {ROW} = {row}", tuple[str | None]
        )
        try:
            with site_path(self.rows.session):  # the checks of domains
                self.rows.session.run(
                    f"UPDATE {table.gone} SET {column} = {literal(new.value)} WHERE {ROW} OPERATOR(pg_catalog.=) {row}"
                )
        except StatementFailed as problem:
            raise unfit_value(new, problem) from None
        self.rows.session.run(f"ANALYZE {table.gone}")
        key = self.key_of(new.table, row)
        self.given.append(NewValue(new.table, key, new.column, former[0], new.value, refused.kind))

    def require_used(self, counts: Mapping[str, int]) -> None:
        """Raise UsageError for a new value that no row has needed; `counts` are the rows that come back, by table."""
        for one in self.given:
            if one.in_all and not counts.get(one.table):
                raise UsageError(
                    f"no row of {one.table} comes back", hint=_leave_out(one.table, one.column), id_="undelete.unused"
                )
        self.given[:] = [replaced(one, rows=counts[one.table]) if one.in_all else one for one in self.given]
        for new in self.typed:
            if new in self._used:
                continue
            given = sum((one.table, one.column) == (new.table, new.column) for one in self.given)
            column = f"{new.table}.{new.column}"
            raise UsageError(
                f"no other row that comes back has a refused value in {column}"
                if given
                else f"no row that comes back has a refused value in {column}",
                hint=_leave_out(new.table, new.column),
                id_="undelete.unused",
            )


def _leave_out(table: str, column: str) -> str:
    return f"leave out {options([(table, column)])}"
