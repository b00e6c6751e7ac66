"""The foreign keys of a database as its catalogue has them, and the content types of a Django site.

Some types have an equality of their own, outside of pg_catalog: citext, and types of other extensions. Keys and
references of these types are compared by the operator that their index or foreign key names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.core.sqlname import normal_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.postgres.tables import TableLayout

_OPERATOR = """json_build_object('operator', quote_ident(s.nspname) || '.' || p.oprname,
    'left', CASE l.typtype WHEN 'p' THEN '' ELSE format_type(l.oid, NULL) END,
    'right', CASE r.typtype WHEN 'p' THEN '' ELSE format_type(r.oid, NULL) END)"""
"""The JSON of an `Equality`: operator `p` of schema `s`, with the types `l` and `r` of its sides."""

_OPERATOR_FROM = """pg_operator p JOIN pg_namespace s ON s.oid = p.oprnamespace
    JOIN pg_type l ON l.oid = p.oprleft JOIN pg_type r ON r.oid = p.oprright"""

# A key has the equality of its index, another column the default of its type, or of the type below a domain.
_EQUALITIES = f"""
WITH RECURSIVE kind AS (
  SELECT t.oid, t.oid AS base FROM pg_type t
  UNION ALL SELECT k.oid, t.typbasetype FROM kind k JOIN pg_type t ON t.oid = k.base WHERE t.typtype = 'd'
), equal AS (
  SELECT o.oid AS class, o.opcintype AS kind, o.opcdefault AS usual, m.amname, {_OPERATOR} AS found
  FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
  JOIN pg_amop f ON f.amopfamily = o.opcfamily AND f.amoplefttype = o.opcintype AND f.amoprighttype = o.opcintype
    AND f.amopstrategy = CASE m.amname WHEN 'btree' THEN 3 WHEN 'hash' THEN 1 END
  JOIN ({_OPERATOR_FROM}) ON p.oid = f.amopopr WHERE s.nspname <> 'pg_catalog'
), candidate AS (
  SELECT i.indrelid AS place, k.number, NOT i.indisprimary AS rank, 0 AS rank2, e.found
  FROM pg_index i, unnest(i.indkey, i.indclass) WITH ORDINALITY k (number, class, place), equal e
  WHERE i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND e.class = k.class AND k.number > 0
  UNION ALL SELECT a.attrelid, a.attnum, true, 1 + (e.amname = 'hash')::int, e.found
  FROM pg_attribute a JOIN kind k ON k.oid = a.atttypid JOIN equal e ON e.kind = k.base AND e.usual
  WHERE a.attnum > 0 AND NOT a.attisdropped
)
SELECT coalesce(json_agg(json_build_array(place, attname, found)), '[]') FROM (
  SELECT DISTINCT ON (x.place, x.number) quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS place, a.attname,
    x.found
  FROM candidate x JOIN pg_class c ON c.oid = x.place JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = x.place AND a.attnum = x.number
  WHERE c.relkind IN ('r', 'p') ORDER BY x.place, x.number, x.rank, x.rank2) y
"""


class Equality(msgspec.Struct, frozen=True):
    """An operator with its schema, and the types of its sides, "" for a type that stands for several."""

    operator: str
    left: str
    right: str

    def holds(self, left: str, right: str) -> str:
        """Return the condition that two expressions are equal.

        Both are cast: else an operator of the same name and schema for a domain would be taken before this one.
        """
        sides = (f"({side})::{kind}" if kind else side for side, kind in ((left, self.left), (right, self.right)))
        return f" OPERATOR({self.operator}) ".join(sides)


def equal(equality: Equality | None, left: str, right: str) -> str:
    """Return the condition that two expressions are equal; None is the equality of pg_catalog."""
    return equality.holds(left, right) if equality else f"{left} = {right}"


def equalities(session: Session | Snapshot) -> dict[str, dict[str, Equality]]:
    """Return by table and column the equalities that are not those of pg_catalog."""
    found: dict[str, dict[str, Equality]] = {}
    for table, column, one in session.ask(_EQUALITIES, list[tuple[str, str, Equality]]):
        found.setdefault(normal_name(table), {})[column] = one
    return found


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
  'equalities', (SELECT json_agg(CASE WHEN s.nspname <> 'pg_catalog' THEN {_OPERATOR} END ORDER BY k.place)
                 FROM unnest(o.conpfeqop) WITH ORDINALITY k (number, place)
                 JOIN ({_OPERATOR_FROM}) ON p.oid = k.number),
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


CONTENT_TYPES = "django_content_type"
"""Django's table of models."""


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


def live_content_types(session: Session, tables: Mapping[str, TableLayout]) -> dict[tuple[str, str], int]:
    """Return the numbers of the models by app and name; none where Django's table is not among `tables`."""
    table = next((one for one in tables.values() if one.table == CONTENT_TYPES), None)
    return content_types(session, table.own_rows) if table else {}
