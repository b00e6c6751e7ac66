"""Tables found by the names that Django gives them, and whether their sequences are where they must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.site.sql import identifier, literal

if TYPE_CHECKING:
    from korrigo_backup.site.digests import Snapshot
    from korrigo_backup.site.postgres import Postgres

# Tables alone: a view that came with a dump would run functions of its own, perhaps with a superuser's rights.
_RELATION = """
SELECT coalesce(json_agg(json_build_object(
         'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
         'types', (SELECT json_object_agg(a.attname, format_type(a.atttypid, NULL)) FROM pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
       ORDER BY pg_table_is_visible(c.oid) DESC, n.nspname <> 'public', n.nspname), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = {table} AND c.relkind IN ('r', 'p')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND ({schema} IS NULL OR n.nspname = {schema})
"""

# Serial and identity columns: sequences that a column owns and that count upwards.
_OWNED = """
SELECT coalesce(json_agg(json_build_object(
         'sequence', s.oid::regclass::text, 'table', d.refobjid::regclass::text, 'column', a.attname,
         'increment', q.seqincrement) ORDER BY s.oid::regclass::text COLLATE "C"), '[]')
FROM pg_class s JOIN pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0 AND NOT q.seqcycle
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
  AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
"""


class Relation(msgspec.Struct, frozen=True):
    """A table: its qualified, quoted name, and the type of each column."""

    name: str
    types: dict[str, str]


class _Owned(msgspec.Struct, frozen=True):
    sequence: str
    table: str
    column: str
    increment: int


def relation(server: Postgres | Snapshot, table: str, schema: str | None = None) -> Relation | None:
    """Return a table by its plain name, None when there is none.

    Without a schema, first the one that our role sees, then that of the schema `public`.
    """
    return next(iter(relations(server, table, schema)), None)


def relations(server: Postgres | Snapshot, table: str, schema: str | None = None) -> list[Relation]:
    """Return all tables of a plain name, in this order: seen by our role, in the schema `public`, in others."""
    wanted = _RELATION.format(table=literal(table), schema=literal(schema) if schema else "NULL::text")
    return server.ask(wanted, list[Relation])


def taken_next(taken: Snapshot) -> tuple[int, list[str]]:
    """Return how many sequences of columns there are, and those whose next number a row already has."""
    owned = taken.ask(_OWNED, list[_Owned])
    return len(owned), [f"{one.sequence} ({one.table}.{one.column})" for one in owned if _is_taken(taken, one)]


def _is_taken(taken: Snapshot, one: _Owned) -> bool:
    following = f"SELECT CASE WHEN is_called THEN last_value + {one.increment} ELSE last_value END FROM {one.sequence}"
    column = identifier(one.column)
    return taken.ask(f"SELECT to_json(EXISTS (SELECT FROM {one.table} WHERE {column} = ({following})))", bool)
