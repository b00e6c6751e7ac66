"""Live rows that the operator has named are overwritten with the saved rows of the same key.

`over_N` of the session has these live rows as they stood when the plan was made: a row that somebody changes meanwhile
is not overwritten.
"""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.errors import UsageError
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.closure import PICKED
from korrigo_backup.rescue.staged_rows import OVER
from korrigo_backup.rescue.steps.exchanging import Changing, freeing, or_freed, prepare
from korrigo_backup.rescue.steps.roots import key_condition
from korrigo_backup.rescue.undelete_plan import OverwrittenRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.rescue.site_tables import NamedRow
    from korrigo_backup.rescue.staged_rows import StagedRows, StagedTable


def conditions(named: Iterable[NamedRow], live: Mapping[str, TableLayout]) -> dict[str, str]:
    """Return the condition of SQL on the named rows of each table."""
    found: dict[str, list[str]] = {}
    for row in named:
        found.setdefault(row.table.table, []).append(f"({key_condition(row, live[row.table.table])})")
    return {table: " OR ".join(those) for table, those in found.items()}


def overwriting(table: StagedTable, condition: str) -> str:
    """Return the statement that overwrites live rows with the picked rows of a table; it ends with their condition."""
    sets = ", ".join(f"{identifier(name)} = g.{identifier(name)}" for name in _columns(table))
    return (
        f"UPDATE ONLY {table.live.sql} l SET {sets} FROM {table.gone} g, {table.over} o WHERE {table.same('l', 'g')}"
        f" AND {table.same('o', 'g')} AND {_as_planned(table)} AND g.{OVER} AND {condition}"
    )


def _as_planned(table: StagedTable) -> str:
    return or_freed(table.number, f"{table.content('l')} = {table.content('o')}")


def exchanges(rows: StagedRows, tables: Iterable[StagedTable], *, coming: bool = False) -> list[str]:
    """Return the statements by which live rows that are overwritten give up the unique values of others of them.

    `coming`: also those of the rows that are inserted.
    """
    changes = changed_tables(rows, tables, coming=coming)
    return [statement for one in changes for statement in freeing(rows.session, one)]


def changed_tables(rows: StagedRows, tables: Iterable[StagedTable], *, coming: bool = False) -> list[Changing]:
    """Return the tables with live rows that are overwritten; `coming` as for `exchanges`."""
    overwritten = [one for one in tables if one.overwrites]
    prepare(rows.session, [one.number for one in overwritten])
    return [_changing(one, coming=coming) for one in overwritten]


def _changing(table: StagedTable, *, coming: bool) -> Changing:
    def new(name: str) -> str:
        return f"CAST(g.{identifier(name)} AS text)" if name in table.columns else "NULL::text"

    return Changing(
        table.number,
        table.live,
        tuple(_columns(table)),
        f"FROM ONLY {table.live.sql} l JOIN {table.gone} g ON {table.same('l', 'g')} JOIN {table.over} o"
        f" ON {table.same('o', 'g')} WHERE g.{PICKED} AND g.{OVER} AND {_as_planned(table)}",
        new,
        ((f"FROM {table.gone} g WHERE g.{PICKED} AND NOT g.{OVER}", new),) if coming else (),
    )


def overwritten_lines(tables: Mapping[int, StagedTable]) -> list[str]:
    """Return the queries for the lines of the record: the values of before and after of each overwritten row."""
    return [
        f"SELECT json_build_object('table', {number}, 'key', {one.key_text('g')}, 'former', {_changed(one, 'now')},"
        f" 'put', {_changed(one, 'saved')}) {_overwritten(one)}"
        for number, one in tables.items()
        if one.overwrites
    ]


def overwritten_rows(rows: StagedRows) -> list[OverwrittenRow]:
    """Return the live rows that are overwritten, with the values of now and of the backup."""
    found = []
    for table in rows.tables.values():
        if table.overwrites:
            values = (
                "(SELECT coalesce(json_agg(json_build_object('column', name, 'now', now, 'then', saved)), '[]')"
                f" FROM (VALUES {_pairs(table)}) y(name, now, saved) WHERE now IS DISTINCT FROM saved)"
            )
            query = (
                f"SELECT coalesce(json_agg(json_build_object('table', {literal(table.live.name)}, 'key',"
                f" {table.key_text('g')}, 'values', {values}) ORDER BY {table.key_text('g')}), '[]')"
            )
            found += rows.session.ask(f"{query} {_overwritten(table)}", list[OverwrittenRow])
    return found


def require_overwritten(rows: StagedRows, named: Iterable[NamedRow]) -> None:
    """Raise UsageError for a named row that is in the way of no row that comes back."""
    for row in named:
        table = rows.tables.get(row.table.table)
        if table is None or not rows.count(f"{PICKED} AND {OVER} AND {key_condition(row, table.live)}", table):
            raise UsageError(
                f"{row.name} is no live row with other values that belongs to the rows that come back",
                hint=f"leave out --overwrite {quote(row.name)};"
                f" korrigo-backup history {quote(row.name)} shows how it changed",
                id_="undelete.unused",
            )


def _columns(table: StagedTable) -> list[str]:
    return [name for name in table.columns if name not in {*table.key, *table.live.fixed}]


def _pairs(table: StagedTable) -> str:
    columns = _columns(table) or list(table.key)
    return ", ".join(f"({literal(n)}, o.{identifier(n)}::text, g.{identifier(n)}::text)" for n in columns)


def _changed(table: StagedTable, which: str) -> str:
    return (
        f"(SELECT json_object_agg(name, {which}) FROM (VALUES {_pairs(table)}) y(name, now, saved)"
        " WHERE now IS DISTINCT FROM saved)"
    )


def _overwritten(table: StagedTable) -> str:
    return f"FROM {table.gone} g JOIN {table.over} o ON {table.same('o', 'g')} WHERE g.{PICKED} AND g.{OVER}"
