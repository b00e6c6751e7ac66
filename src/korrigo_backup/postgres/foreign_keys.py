"""The foreign keys of a database as its catalogue has them, and the content types of a Django site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.equality import OPERATOR, OPERATOR_FROM, Equality

if TYPE_CHECKING:
    from korrigo_backup.postgres.client import Session

_COLUMNS = """(SELECT json_agg(a.attname ORDER BY k.place) FROM unnest(o.{keys}) WITH ORDINALITY k (number, place),
                pg_attribute a WHERE a.attrelid = o.{table} AND a.attnum = k.number)"""

# The operators compare the row referred to with the row that refers, in this order.
_FOREIGN_KEYS = f"""
SELECT coalesce(json_agg(json_build_object(
  'name', o.conname, 'table', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
  'columns', {_COLUMNS.format(keys="conkey", table="conrelid")},
  'to', quote_ident(m.nspname) || '.' || quote_ident(d.relname),
  'to_columns', {_COLUMNS.format(keys="confkey", table="confrelid")},
  'operators', (SELECT json_agg(quote_ident(s.nspname) || '.' || p.oprname ORDER BY k.place)
                FROM unnest(o.conpfeqop) WITH ORDINALITY k (number, place)
                JOIN pg_operator p ON p.oid = k.number JOIN pg_namespace s ON s.oid = p.oprnamespace),
  'equalities', (SELECT json_agg(CASE WHEN s.nspname <> 'pg_catalog' THEN {OPERATOR} END ORDER BY k.place)
                 FROM unnest(o.conpfeqop) WITH ORDINALITY k (number, place) JOIN ({OPERATOR_FROM}) ON p.oid = k.number),
  'action', o.confdeltype, 'inherited', o.conparentid <> 0,
  'cascades', o.confdeltype = 'c' OR NOT EXISTS (SELECT FROM unnest(o.conkey) number, pg_attribute a
    WHERE a.attrelid = o.conrelid AND a.attnum = number AND NOT a.attnotnull),
  'parts', CASE WHEN d.relispartition THEN (SELECT json_agg(quote_ident(q.nspname) || '.' || quote_ident(p.relname))
    FROM pg_partition_tree(pg_partition_root(d.oid)) t JOIN pg_class p ON p.oid = t.relid
    JOIN pg_namespace q ON q.oid = p.relnamespace WHERE t.isleaf) ELSE '[]' END,
  'plain', c.relkind = 'r' AND d.relkind = 'r') ORDER BY o.oid), '[]')
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class d ON d.oid = o.confrelid JOIN pg_namespace m ON m.oid = d.relnamespace
WHERE o.contype = 'f' AND n.nspname !~ '^pg_' AND m.nspname !~ '^pg_'
"""


class ForeignKey(msgspec.Struct, frozen=True):
    """A foreign key; tables are written as pg_dump writes them.

    `action` is the letter of its ON DELETE. `inherited`: it belongs to that of a partitioned table. `plain`: neither
    table is partitioned. `cascades`: a deletion deletes the rows that refer, and empties no reference. `parts`: if `to`
    is a partition, all partitions of its table. `equalities` are the operators that are not in pg_catalog, else None.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...]
    operators: tuple[str, ...]
    action: str
    inherited: bool
    plain: bool
    cascades: bool
    parts: tuple[str, ...]
    equalities: tuple[Equality | None, ...]


def foreign_keys(session: Session) -> tuple[ForeignKey, ...]:
    """Return all foreign keys, oldest first."""
    found = session.ask(_FOREIGN_KEYS, tuple[ForeignKey, ...])
    return tuple(
        replace(one, table=normal_name(one.table), to=normal_name(one.to), parts=tuple(map(normal_name, one.parts)))
        for one in found
    )


def content_types(session: Session, table: str) -> dict[tuple[str, str], int]:
    """Return the numbers of the models by app and name; `table` is Django's, as SQL writes it."""
    query = f"SELECT coalesce(json_agg(json_build_array(app_label, model, id)), '[]') FROM {table}"
    return {(app, model): number for app, model, number in session.ask(query, list[tuple[str, str, int]])}
