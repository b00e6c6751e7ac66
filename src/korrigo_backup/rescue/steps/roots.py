"""The rows that a person asks for: by key, by a table and a condition, or all that was deleted since a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.core.counted import rows_by_table
from korrigo_backup.errors import Refused, UsageError
from korrigo_backup.postgres.digest import snapshot
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.objects import NamedTable
from korrigo_backup.rescue.site_tables import NamedRow, SiteTables
from korrigo_backup.rescue.steps.inherited import ancestors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from korrigo_backup.core.site_description import Description
    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.rescue.points import Points
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class TypedValue:
    """A new value as it was typed: `TABLE.COLUMN=VALUE`, the table by its qualified name."""

    table: str
    column: str
    value: str


@dataclass(frozen=True)
class Roots:
    """The rows that are asked for: of each table their keys, or those for which an SQL condition holds."""

    rows: tuple[NamedRow, ...] = ()
    table: NamedTable | None = None
    where: str = ""
    since: datetime | None = None
    """All that was deleted since then is asked for, in `table` or, if it is None, in all tables."""
    described: Description | None = None
    typed: tuple[TypedValue, ...] = ()
    """New values for rows whose own value is taken."""
    overwrite: tuple[NamedRow, ...] = ()
    """Live rows that may be overwritten, as they were named."""
    parts: tuple[NamedRow, ...] = ()
    """Rows that are one object with those of `overwrite`, by inheritance of models."""
    not_asked: str = ""
    """Why the relations of the models are not known, "" if they are."""

    @property
    def tables(self) -> set[str]:
        """The tables that they are in."""
        return {row.table.table for row in self.rows} | ({self.table.table} if self.table else set())

    @property
    def names(self) -> tuple[str, ...]:
        """The rows as a person writes them."""
        where = f" where {self.where}" if self.where else ""
        since = (f"what was deleted since {self.since:%Y-%m-%d %H:%M}",) if self.everything and self.since else ()
        tables = (f"{self.table.table}{where}",) if self.table else since
        return (*(row.name for row in self.rows), *tables)

    @property
    def subject(self) -> str:
        """The rows for the journal: without keys and condition, which may be personal data."""
        tables = (self.table.table,) if self.table else ("everything",) if self.everything else ()
        return ", ".join((*rows_by_table(Counter(row.table.table for row in self.rows)), *tables))

    @property
    def everything(self) -> bool:
        """Whether the rows of all tables are asked for."""
        return self.since is not None and not self.rows and self.table is None


def find_roots(
    site: Site,
    points: Points,
    *,
    objects: Collection[str] = (),
    table: str = "",
    where: str = "",
    since: datetime | None = None,
    new_values: Collection[str] = (),
    overwrite: Collection[str] = (),
) -> Roots:
    """Return the rows that are asked for; Refused for a table that is not live.

    Raises as `SiteTables.row` and `SiteTables.find` for names that mean no row or table.
    """
    with snapshot(site.postgres) as taken:
        tables = SiteTables(site, points.dumps, taken)
        rows = tuple(tables.row(text) for text in objects)
        named = tables.find(table) if table else None
        typed = tuple(_typed(tables, text) for text in new_values)
        over = tuple(tables.row(text) for text in overwrite)
        parts = tuple(part for row in over for part in _parts(tables, row))
        live = tables.live
        described = tables.description
        declared = described.relations if described else ()
        not_asked = tables.not_asked or ("" if declared else "its korrigo_backup is of an earlier version")
    for name in {row.table.table for row in (*rows, *over)} | ({named.table} if named else set()):
        if name not in live:
            raise Refused(
                f"the table {name} is not live: rows cannot be put into it",
                hint="bring the table back first, with its migration or by a restore of the point",
            )
    return Roots(rows, named, where, since, described, typed, over, parts, not_asked)


def _parts(tables: SiteTables, row: NamedRow) -> Iterator[NamedRow]:
    """Yield the live rows of the models from which a row's model inherits: they have its key."""
    for one in ancestors(tables.description, row.table.table, tables.live):
        table = one.table
        key = tables.live[table].key
        if len(key) == len(row.values):
            yield NamedRow(NamedTable(table), dict(zip(key, row.key.values(), strict=True)), row.values)


def _typed(tables: SiteTables, text: str) -> TypedValue:
    """Return the new value of a text; UsageError if it is no `TABLE.COLUMN=VALUE` with a column of a live table."""
    name, equals, value = text.partition("=")
    model, dot, column = name.strip().rpartition(".")
    if not equals or not dot or not model or not column:
        raise UsageError(f"{text!r} is no TABLE.COLUMN=VALUE", hint="write it as exams_exam.name='exam 12 (old)'")
    table = tables.find(model).table
    if table in tables.live and column not in tables.live[table].columns:
        above = ancestors(tables.description, table, tables.live)
        table = next((one.table for one in above if column in tables.live[one.table].columns), table)
    if table not in tables.live or column not in tables.live[table].columns:
        raise UsageError(f"{table} has no column {column}", hint="write it as exams_exam.name='exam 12 (old)'")
    return TypedValue(table, column, value)


def key_condition(row: NamedRow, live: TableLayout) -> str:
    """Return the condition of SQL that holds for a row of a live table alone, or of its copy."""
    pairs = zip(row.key, row.values, strict=True)
    return " AND ".join(live.equal(name, identifier(name), literal(value)) for name, value in pairs)
