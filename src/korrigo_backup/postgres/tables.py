"""The tables of a database as its catalogue has them: the columns of each, and the key by which its rows are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.foreign_keys import Equality, equal, equalities
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.digest import Snapshot

_TABLES = """
SELECT coalesce(json_agg(json_build_object(
  'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'schema', n.nspname, 'table', c.relname,
  'parted', c.relkind = 'p', 'part', c.relispartition,
  'root', CASE WHEN c.relispartition THEN (SELECT quote_ident(s.nspname) || '.' || quote_ident(r.relname)
                                           FROM pg_class r JOIN pg_namespace s ON s.oid = r.relnamespace
                                           WHERE r.oid = pg_partition_root(c.oid)) ELSE '' END,
  'columns', coalesce(a.columns, '[]'), 'types', coalesce(a.types, '{}'), 'generated', coalesce(a.generated, '[]'),
  'nullable', coalesce(a.nullable, '[]'), 'fixed', coalesce(a.fixed, '[]'), 'texts', coalesce(a.texts, '[]'),
  'key', (SELECT coalesce(json_agg(a.attname ORDER BY k.place), '[]')
          FROM (SELECT i.indkey, i.indnkeyatts FROM pg_index i
                WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid
                  AND NOT EXISTS (SELECT FROM unnest(i.indkey) WITH ORDINALITY u (number, place), pg_attribute b
                                  WHERE u.place <= i.indnkeyatts AND b.attrelid = c.oid AND b.attnum = u.number
                                    AND NOT b.attnotnull)
                ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) i,
               unnest(i.indkey) WITH ORDINALITY k (number, place), pg_attribute a
          WHERE k.place <= i.indnkeyatts AND a.attrelid = c.oid AND a.attnum = k.number))), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (
  SELECT json_agg(a.attname ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '') AS columns,
         json_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)) AS types,
         json_agg(a.attname ORDER BY a.attnum) FILTER (WHERE a.attgenerated <> '') AS generated,
         json_agg(a.attname ORDER BY a.attnum) FILTER (WHERE NOT a.attnotnull AND a.attgenerated = '') AS nullable,
         json_agg(a.attname ORDER BY a.attnum) FILTER (WHERE a.attidentity = 'a') AS fixed,
         json_agg(a.attname ORDER BY a.attnum)
           FILTER (WHERE a.atttypid IN ('text'::regtype, 'varchar'::regtype)) AS texts
  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) a
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""

_PARTITIONS = """
SELECT coalesce(json_object_agg(name, parts), '{}') FROM (
  SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
         (SELECT coalesce(json_agg(quote_ident(s.nspname) || '.' || quote_ident(l.relname) ORDER BY l.relname), '[]')
          FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
          JOIN pg_namespace s ON s.oid = l.relnamespace WHERE t.isleaf AND l.relkind = 'r') AS parts
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'p' AND n.nspname !~ '^pg_') p
"""

_COUNTED = 40
"""Tables that one question counts: a function has at most a hundred arguments."""


class TableLayout(msgspec.Struct, frozen=True):
    """A table: its name as pg_dump writes it, the columns that an INSERT may name, and its key, () if it has none.

    The key is the primary key, else a unique index over columns without NULL. `generated` are the columns that the
    server computes, `types` are those of all columns, `nullable` the columns that may be NULL, `fixed` those that no
    UPDATE may name, `texts` those of text. `parted`: it has partitions; `part`: it is a partition, of the table `root`.
    `equalities` are those of the columns whose equality is none of pg_catalog's.
    """

    name: str
    schema: str
    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    types: dict[str, str]
    generated: tuple[str, ...] = ()
    nullable: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    parted: bool = False
    part: bool = False
    root: str = ""
    equalities: dict[str, Equality] = {}

    @property
    def sql(self) -> str:
        """Its name in a statement."""
        return f"{identifier(self.schema)}.{identifier(self.table)}"

    def equal(self, column: str, one: str, other: str) -> str:
        """Return the condition that two expressions are equal as values of a column."""
        return equal(self.equalities.get(column), one, other)

    @property
    def own_rows(self) -> str:
        """Its name in a statement about its rows: without its heirs, unless they are its partitions."""
        return self.sql if self.parted else f"ONLY {self.sql}"

    @property
    def all_columns(self) -> frozenset[str]:
        """The names of its columns, also of those that the server computes."""
        return frozenset((*self.columns, *self.generated))

    @property
    def whole(self) -> str:
        """The partitioned table that its rows belong to, else itself."""
        return self.root or self.name

    def temporary(self, table: str, columns: tuple[str, ...]) -> TableLayout:
        """Return the layout of a temporary table with copies of its rows, and these of its columns alone."""
        nullable = tuple(name for name in self.nullable if name in columns)
        return replace(
            self,
            schema="pg_temp",
            table=table,
            columns=columns,
            generated=(),
            nullable=nullable,
            parted=False,
            part=False,
        )


def read_tables(session: Session | Snapshot) -> dict[str, TableLayout]:
    """Return the tables by name, those that have partitions among them."""
    found, own = session.ask(_TABLES, tuple[TableLayout, ...]), equalities(session)
    return {
        name: replace(one, name=name, root=normal_name(one.root) if one.root else "", equalities=own.get(name, {}))
        for one in found
        for name in [normal_name(one.name)]
    }


def read_row_tables(session: Session | Snapshot) -> dict[str, TableLayout]:
    """Return by name the tables that hold rows themselves: none that has partitions."""
    return {name: one for name, one in read_tables(session).items() if not one.parted}


def read_partitions(session: Session | Snapshot) -> dict[str, tuple[str, ...]]:
    """Return by name the tables that have partitions, with those that hold their rows."""
    found = session.ask(_PARTITIONS, dict[str, tuple[str, ...]])
    return {normal_name(name): tuple(map(normal_name, parts)) for name, parts in found.items()}


def count_rows(session: Session) -> dict[str, int]:
    """Return the rows of each table, those of its partitions among them."""
    tables = [one for one in read_tables(session).values() if not one.part]
    counts: dict[str, int] = {}
    for begin in range(0, len(tables), _COUNTED):
        parts = ", ".join(
            f"{literal(one.name)}, (SELECT count(*) FROM {one.own_rows})" for one in tables[begin : begin + _COUNTED]
        )
        counts |= session.ask(f"SELECT json_build_object({parts})", dict[str, int])
    return counts


# COPY and a digest read all columns. A superuser, and a role with BYPASSRLS, is told no reason.
_UNREADABLE = """
SELECT coalesce(json_object_agg(name, reason), '{}') FROM (
  SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
         CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN 'schema'
              WHEN NOT has_table_privilege(c.oid, 'SELECT')
                   AND EXISTS (SELECT FROM pg_attribute a
                               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                 AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT')) THEN 'table'
              WHEN row_security_active(c.oid) THEN 'rows' END AS reason
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') x
WHERE reason IS NOT NULL
"""


def unreadable_tables(taken: Snapshot) -> dict[str, str]:
    """Return the tables and materialised views whose rows our role may not read or not see, each with the reason."""
    return {normal_name(name): _why(reason) for name, reason in taken.ask(_UNREADABLE, dict[str, str]).items()}


def _why(reason: str) -> str:
    if reason == "schema":
        return "the site's role has no USAGE on its schema"
    if reason == "table":
        return "the site's role may not read it"
    return "row-level security hides rows of it from the site's role"
