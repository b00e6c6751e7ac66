"""Unique values that change places between live rows: one of them gets another value for a moment.

The server looks at a unique index row by row. Of two rows that exchange a value, or of a chain of rows that pass one
on, the first that is changed would find its new value taken. So before the change, a row whose value another row is
to get gives it up: NULL, or a value that no row has. `freed_N` of the session has the places of such rows.

A column that rows elsewhere follow (ON UPDATE CASCADE, SET NULL, SET DEFAULT) gives nothing up: they would follow into
NULL, and not back. Then the value is a conflict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.postgres.site_path import TO_SITE_PATH
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.tables import TableLayout


class IndexedColumn(msgspec.Struct, frozen=True):
    """A column of a unique index: may it be NULL, does it refer to other rows, its type and the length of a text.

    `followed`: rows that refer to it change with it.
    """

    name: str
    nullable: bool
    refers: bool
    followed: bool
    type: str
    length: int


class UniqueIndex(msgspec.Struct, frozen=True):
    """A unique index over columns, which the server looks at row by row."""

    name: str
    columns: tuple[IndexedColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(one.name for one in self.columns)

    def free(self, live: TableLayout) -> dict[str, str]:
        """Return the columns that can have a value which no row has, each with its SQL; `c.n` numbers the rows."""
        able = [one for one in self.columns if one.name not in {*live.key, *live.fixed} and not one.followed]
        values = {one.name: "NULL" if one.nullable else "" if one.refers else _value(one, live.sql) for one in able}
        return {name: value for name, value in values.items() if value}


def _value(column: IndexedColumn, table: str) -> str:
    """Return the SQL of a value that no row has in a column; "" for a type of which we know none."""
    greatest = f"(SELECT max(x.{identifier(column.name)}) FROM ONLY {table} x)"
    match column.type:
        case "text" | "varchar" | "bpchar":
            text = "CAST(pg_catalog.gen_random_uuid() AS text)"
            return f"pg_catalog.left({text}, {column.length})" if column.length else text
        case "int2" | "int4" | "int8" | "numeric":
            return f"{greatest} + c.n"
        case "date" | "timestamp" | "timestamptz":
            return f"{greatest} + pg_catalog.make_interval(days => c.n::int)"
        case "uuid":
            return "pg_catalog.gen_random_uuid()"
        case _:
            return ""


@dataclass(frozen=True)
class Changing:
    """Rows of a live table that get other values.

    `rows` are FROM and WHERE of a query for them, with the live row as alias `l`; `new` returns the SQL of the text
    that one of their columns gets. `coming` are FROM and WHERE of the rows that are inserted besides, each with the
    function for the texts of their columns.
    """

    number: int
    live: TableLayout
    columns: tuple[str, ...]
    """The columns that change."""
    rows: str
    new: Callable[[str], str]
    coming: tuple[tuple[str, Callable[[str], str]], ...] = ()

    @property
    def freed(self) -> str:
        """The temporary table with the places of the rows that have given a value up."""
        return freed_rows(self.number)


def freed_rows(number: int) -> str:
    """Return the temporary table with the places of the rows that have given a unique value up."""
    return f"pg_temp.korrigo_backup_freed_{number}"


def or_freed(number: int, condition: str) -> str:
    """Return the condition that a live row `l` is as it was when the plan was made, or has given a value up since."""
    return f"({condition} OR l.ctid = ANY (ARRAY(SELECT f.place FROM {freed_rows(number)} f)))"


def prepare(session: Session, numbers: Iterable[int]) -> None:
    """Make the temporary tables of the rows that give a value up, where they are not there."""
    for number in numbers:
        session.run(f"CREATE TEMP TABLE IF NOT EXISTS korrigo_backup_freed_{number} (place tid)")


def freeing(session: Session, changing: Changing) -> list[str]:
    """Return the statements by which rows give up the unique values that other rows are to get.

    They are carried out in the transaction of the change, before it, and leave it with the site's path
    (`FROM_SITE_PATH`). A row gives none up if no column of it can have another value for a moment.
    """
    return [
        _freeing(changing, index, column, value)
        for index in _indexes(session, changing)
        for column, value in index.free(changing.live).items()
        if column in changing.columns
    ]


def exchanged_values(session: Session, changes: Iterable[Changing]) -> list[Finding]:
    """Return a finding for each table with triggers on UPDATE whose rows give a value up: the triggers see it."""
    found = []
    for one in changes:
        if not session.ask(_TRIGGERED.format(table=literal(one.live.sql)), bool):
            continue
        rows = [
            f"{_places(one, index)} SELECT c.place FROM c WHERE {_taken(index, column)}"
            for index in _indexes(session, one)
            for column in index.free(one.live)
            if column in one.columns
        ]
        places = " UNION ".join(f"SELECT * FROM ({each}) x" for each in rows)
        if rows and (count := session.ask(f"SELECT to_json(count(*)) FROM ({places}) y", int)):
            found.append(
                warning(
                    "rescue.exchanged",
                    f"unique values change places in {one.live.name}: triggers on UPDATE see {counted(count, 'row')}"
                    " twice, first with NULL or with a value that no row has",
                    "tables that triggers write, as an audit table, get a line for each; a rollback does so again",
                )
            )
    return found


def _indexes(session: Session, changing: Changing) -> list[UniqueIndex]:
    """Return the unique indexes with a column that changes, the key's apart."""
    indexes = session.ask(_INDEXES.format(table=literal(changing.live.sql)), list[UniqueIndex])
    return [one for one in indexes if set(one.names) & set(changing.columns) - set(changing.live.key)]


def _freeing(changing: Changing, index: UniqueIndex, column: str, value: str) -> str:
    """Return the statement for the rows that get another value in the column; values are compared as texts."""
    live = changing.live
    return (
        f"{_places(changing, index)},"
        f" u AS (UPDATE ONLY {live.sql} l SET {identifier(column)} = {value} FROM c WHERE l.ctid = c.place"
        f" AND {_taken(index, column)} RETURNING l.ctid)"
        f" INSERT INTO {changing.freed} SELECT NULL::tid WHERE NOT ({TO_SITE_PATH}) UNION ALL SELECT ctid FROM u"
    )


def _places(changing: Changing, index: UniqueIndex) -> str:
    """Return the start of a query: `c` are the rows that change, `d` the values that they and the coming rows get."""
    numbered = list(enumerate(index.names))
    olds = ", ".join(f"CAST(l.{identifier(name)} AS text) AS o{n}" for n, name in numbered)
    news = ", ".join(f"{changing.new(name)} AS n{n}" for n, name in numbered)
    others = "".join(
        f" UNION ALL SELECT NULL::tid, {', '.join(new(name) for name in index.names)} {rows}"
        for rows, new in changing.coming
    )
    return (
        f"WITH c AS MATERIALIZED (SELECT l.ctid AS place, row_number() OVER () AS n, {olds}, {news} {changing.rows}),"
        f" d AS MATERIALIZED (SELECT c.place, {', '.join(f'c.n{n}' for n, _ in numbered)} FROM c{others})"
    )


def _taken(index: UniqueIndex, column: str) -> str:
    """Return the condition on `c` that a row gets another value in the column, and that another row gets its own."""
    mine = index.names.index(column)
    same = " AND ".join(f"c.o{n} = d.n{n}" for n, _ in enumerate(index.names))
    return (
        f"c.o{mine} IS DISTINCT FROM c.n{mine}"
        f" AND EXISTS (SELECT FROM d WHERE {same} AND d.place IS DISTINCT FROM c.place)"
    )


_TRIGGERED = """
SELECT to_json(EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = {table}::regclass AND NOT tgisinternal
  AND tgenabled <> 'D' AND tgtype & 16 <> 0))
"""


_INDEXES = """
SELECT coalesce(json_agg(json_build_object('name', c.relname, 'columns', (
  SELECT json_agg(json_build_object('name', a.attname, 'nullable', NOT a.attnotnull AND t.typtype <> 'd',
      'refers', EXISTS (SELECT FROM pg_catalog.pg_constraint f
                        WHERE f.conrelid = i.indrelid AND f.contype = 'f' AND a.attnum = ANY (f.conkey)),
      'followed', EXISTS (SELECT FROM pg_catalog.pg_constraint f, pg_catalog.pg_attribute r
                          WHERE f.confrelid = i.indrelid AND f.contype = 'f' AND f.confupdtype IN ('c', 'n', 'd')
                            AND r.attrelid = f.confrelid AND r.attnum = ANY (f.confkey)
                            AND (r.attnum = a.attnum OR r.attgenerated <> '')),
      'type', t.typname, 'length', CASE WHEN t.typname IN ('varchar', 'bpchar') THEN greatest(a.atttypmod - 4, 0)
                                        ELSE 0 END) ORDER BY k.place)
  FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place), pg_catalog.pg_attribute a,
       pg_catalog.pg_type t
  WHERE k.place <= i.indnkeyatts AND a.attrelid = i.indrelid AND a.attnum = k.number AND t.oid = a.atttypid))
  ORDER BY c.relname), '[]')
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = {table}::regclass AND i.indisunique AND i.indimmediate AND i.indisvalid
  AND NOT 0 = ANY (i.indkey::int2[])
"""
"""A generated column that is referred to may be computed from any column.

Indexes over expressions are not among them; a deferrable constraint is looked at when the statement ends.
"""
