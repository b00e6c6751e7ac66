"""The tables of the live database and the relations between them, as its catalogue has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.postgres.client import Session

_TABLES = """
SELECT coalesce(json_agg(json_build_object(
  'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'schema', n.nspname, 'table', c.relname,
  'columns', (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
  'texts', (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)),
  'key', (SELECT coalesce(json_agg(a.attname ORDER BY k.place), '[]')
          FROM (SELECT i.indkey, i.indnkeyatts FROM pg_index i
                WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid
                  AND NOT EXISTS (SELECT FROM unnest(i.indkey) WITH ORDINALITY u (number, place), pg_attribute b
                                  WHERE u.place <= i.indnkeyatts AND b.attrelid = c.oid AND b.attnum = u.number
                                    AND NOT b.attnotnull)
                ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) i,
               unnest(i.indkey) WITH ORDINALITY k (number, place), pg_attribute a
          WHERE k.place <= i.indnkeyatts AND a.attrelid = c.oid AND a.attnum = k.number))), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""

_COLUMNS = """(SELECT json_agg(a.attname ORDER BY k.place) FROM unnest(o.{keys}) WITH ORDINALITY k (number, place),
                pg_attribute a WHERE a.attrelid = o.{table} AND a.attnum = k.number)"""

_FOREIGN_KEYS = f"""
SELECT coalesce(json_agg(json_build_object(
  'name', o.conname, 'table', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
  'columns', {_COLUMNS.format(keys="conkey", table="conrelid")},
  'to', quote_ident(m.nspname) || '.' || quote_ident(d.relname),
  'to_columns', {_COLUMNS.format(keys="confkey", table="confrelid")}) ORDER BY o.oid), '[]')
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class d ON d.oid = o.confrelid JOIN pg_namespace m ON m.oid = d.relnamespace
WHERE o.contype = 'f' AND c.relkind = 'r' AND d.relkind = 'r' AND n.nspname !~ '^pg_' AND m.nspname !~ '^pg_'
"""


class TableLayout(msgspec.Struct, frozen=True):
    """A table of the live database: the columns that an INSERT may name, and its key, () without one.

    `name` is written as pg_dump writes it. The key is the primary key, else a unique index over columns without NULL.
    `texts` are the columns of text.
    """

    name: str
    schema: str
    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    texts: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """Its name in a statement."""
        return f"{identifier(self.schema)}.{identifier(self.table)}"


class RowRelation(msgspec.Struct, frozen=True):
    """Rows of `table` refer with `columns` to rows of `to`.

    `constrained`: the database holds it. `parent_link`: both rows are one object of Django (multi-table inheritance).
    `label` and `type_column` belong to a generic relation: `columns` hold a key only in rows whose `type_column` is the
    number of the content type `label`. `cascades` is False for a reference that a deletion leaves as it is.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...]
    constrained: bool = True
    parent_link: bool = False
    type_column: str = ""
    content_type: int = 0
    cascades: bool = True

    @property
    def generic(self) -> bool:
        """Whether a content type says to which table a row refers."""
        return bool(self.type_column)


def read_tables(session: Session) -> dict[str, TableLayout]:
    """Return the tables by name."""
    found = session.ask(_TABLES, tuple[TableLayout, ...])
    return {one.name: one for one in (replace(one, name=normal_name(one.name)) for one in found)}


def read_foreign_keys(session: Session) -> tuple[RowRelation, ...]:
    """Return the foreign keys that the database itself holds."""
    found = session.ask(_FOREIGN_KEYS, tuple[RowRelation, ...])
    return tuple(replace(one, table=normal_name(one.table), to=normal_name(one.to)) for one in found)


def downward(roots: set[str], relations: tuple[RowRelation, ...]) -> set[str]:
    """Return the tables whose rows may have been deleted with rows of `roots`, these among them."""
    found = set(roots)
    while more := {
        name
        for one in relations
        for near, name in ((one.to, one.table), (one.table, one.to))
        if near in found and name not in found and (one.parent_link or (near == one.to and one.cascades))
    }:
        found |= more
    return found


def upward(tables: set[str], relations: tuple[RowRelation, ...]) -> set[str]:
    """Return `tables` and those that their rows may refer to, directly or not."""
    found = set(tables)
    while more := {one.to for one in relations if one.table in found} - found:
        found |= more
    links = {one.table for one in relations if one.parent_link and one.to in found} - found
    return upward(found | links, relations) if links else found


def by_model(tables: Mapping[str, TableLayout], table: str, schema: str | None) -> TableLayout | None:
    """Return the live table of a plain name; without a schema the one in `public`, else the only one."""
    found = [one for one in tables.values() if one.table == table and schema in {None, one.schema}]
    return next((one for one in found if one.schema == "public"), found[0] if len(found) == 1 else None)
