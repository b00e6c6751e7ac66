"""Columns of a live table that the backup lacks: a row that comes back gets the default, or a value that was typed."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.errors import UsageError
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.postgres.site_path import explicit_type, site_path
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.staged_rows import StagedRows, StagedTable
    from korrigo_backup.rescue.steps.roots import TypedValue


def fill_column(rows: StagedRows, new: TypedValue) -> bool:
    """Give a value to all rows of a table in a column that the backup lacks; return whether the column is new.

    Raises UsageError for a value that the column does not take.
    """
    table = rows.tables.get(new.table)
    if table is None or new.column not in table.new or new.column in table.given:
        return False
    column, kind = identifier(new.column), table.live.types[new.column]
    try:
        with site_path(rows.session):  # the checks of domains
            rows.session.run(
                f"ALTER TABLE {table.gone} ADD {column} {explicit_type(kind)} DEFAULT {literal(new.value)}"
            )
    except StatementFailed as problem:
        raise unfit_value(new, problem) from None
    rows.tables[new.table] = replace(table, given=(*table.given, new.column))
    return True


def unfit_value(new: TypedValue, problem: StatementFailed) -> UsageError:
    """Return the error for a typed value that a column does not take."""
    return UsageError(
        f"{new.table}.{new.column} does not take the new value",
        hint="write a value of the column's type: --new-value TABLE.COLUMN=VALUE",
        detail=f"{new.value!r}: {problem.message}",
    )


def without_value(session: Session, table: StagedTable) -> list[str]:
    """Return the columns that the backup lacks, that take no NULL and have no default, and that got no value."""
    found = session.ask(_REQUIRED.format(table=literal(table.live.sql)), list[str])
    return [name for name in found if name in table.new and name not in table.given]


def require_filled(typed: Iterable[TypedValue], rows: StagedRows, inserts: Collection[str]) -> None:
    """Raise UsageError for a typed value that no row gets; `inserts` are the tables of which rows come back."""
    for new in typed:
        table = rows.tables.get(new.table)
        if table is None or new.table not in inserts or new.column not in table.given:
            saved = table is not None and new.column in table.columns
            raise UsageError(
                f"{new.table}.{new.column} is in the backup: its values come back"
                if saved
                else f"no row that comes back needs a value in {new.table}.{new.column}",
                hint=f"leave out {options([(new.table, new.column)])}",
                id_="undelete.unused",
            )


def options(columns: Iterable[tuple[str, str]]) -> str:
    """Return the options that give values to columns, each by its table and name, for a shell."""
    return " ".join(f"--new-value {quote(f'{table}.{column}=VALUE')}" for table, column in columns)


_REQUIRED = """
WITH RECURSIVE domain AS (
  SELECT a.attnum, t.typtype, t.typbasetype, t.typnotnull, t.typdefault FROM pg_attribute a JOIN pg_type t
  ON t.oid = a.atttypid WHERE a.attrelid = {table}::regclass
  UNION ALL SELECT d.attnum, t.typtype, t.typbasetype, t.typnotnull, d.typdefault FROM domain d JOIN pg_type t
  ON d.typtype = 'd' AND t.oid = d.typbasetype)
SELECT coalesce(json_agg(attname ORDER BY attnum), '[]') FROM pg_attribute a WHERE attrelid = {table}::regclass
AND attnum > 0 AND NOT attisdropped AND NOT atthasdef AND attidentity = ''
AND (attnotnull OR EXISTS (SELECT FROM domain d WHERE d.attnum = a.attnum AND d.typtype = 'd' AND d.typnotnull))
AND NOT EXISTS (SELECT FROM domain d WHERE d.attnum = a.attnum AND d.typtype = 'd' AND d.typdefault IS NOT NULL)
"""
"""A domain, or one below it, may take no NULL; only the default of the outermost counts."""
