"""Tables found by the names that Django gives them, and whether their sequences are where they must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.sequences import Numbered, SequenceState
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from korrigo_backup.postgres.client import Postgres, Session
    from korrigo_backup.postgres.digest import Snapshot

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

# Every sequence of ours that does not begin anew at its end, with the unique columns of whole numbers that own it or
# whose default takes from it. Partitions have the default of their parent, which sees their rows.
_SEQUENCES = """
WITH used AS (
  SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS number FROM pg_depend d
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
  UNION
  SELECT d.refobjid, f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
  WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass)
SELECT coalesce(json_agg(json_build_object(
         'name', s.oid::regclass::text, 'increment', q.seqincrement, 'first', q.seqstart,
         'columns', (SELECT coalesce(json_agg(json_build_array(c.oid::regclass::text, a.attname)
                                              ORDER BY c.oid::regclass::text COLLATE "C"), '[]')
                     FROM used u JOIN pg_class c ON c.oid = u.relation AND NOT c.relispartition
                     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number
                     WHERE u.sequence = s.oid AND a.atttypid IN (20, 21, 23, 1700)
                       AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique
                                   AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum))
       ) ORDER BY s.oid::regclass::text COLLATE "C"), '[]')
FROM pg_class s JOIN pg_sequence q ON q.seqrelid = s.oid JOIN pg_namespace n ON n.oid = s.relnamespace
WHERE NOT q.seqcycle AND s.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


class Relation(msgspec.Struct, frozen=True):
    """A table: its qualified, quoted name, and the type of each column."""

    name: str
    types: dict[str, str]


class _SequenceRow(msgspec.Struct, frozen=True):
    name: str
    increment: int
    first: int
    columns: tuple[tuple[str, str], ...]


def relation(server: Postgres | Session | Snapshot, table: str, schema: str | None = None) -> Relation | None:
    """Return a table by its plain name, None when there is none.

    Without a schema, first the table that our role sees, then that of the schema `public`.
    """
    return next(iter(relations(server, table, schema)), None)


def relations(server: Postgres | Session | Snapshot, table: str, schema: str | None = None) -> list[Relation]:
    """Return all tables of a plain name, in this order: seen by our role, in the schema `public`, in others."""
    wanted = _RELATION.format(table=literal(table), schema=literal(schema) if schema else "NULL::text")
    return server.ask(wanted, list[Relation])


def standings(taken: Snapshot) -> list[SequenceState]:
    """Return where each sequence stands, and whether rows have the numbers that are to come."""
    return [_standing(taken, one) for one in taken.ask(_SEQUENCES, list[_SequenceRow])]


def _standing(taken: Snapshot, one: _SequenceRow) -> SequenceState:
    last, called = taken.ask(f"SELECT json_build_array(last_value, is_called) FROM {one.name}", tuple[int, bool])
    bare = SequenceState(normal_name(one.name), last, called, one.increment, one.first)
    columns = tuple(_numbered(taken, bare, table, column) for table, column in one.columns)
    return replace(bare, columns=columns)


def _numbered(taken: Snapshot, one: SequenceState, table: str, column: str) -> Numbered:
    quoted, beyond = identifier(column), ">=" if one.increment > 0 else "<="
    having = f"EXISTS (SELECT FROM {table} WHERE {quoted} {{}} ({one.following}))"
    asked = f"SELECT json_build_array({having.format('=')}, {having.format(beyond)})"
    is_taken, has_beyond = taken.ask(asked, tuple[bool, bool])
    rows = 0
    if is_taken:
        few = "LIMIT 2" if one.is_unused else ""
        rows = taken.ask(f"SELECT to_json(count(*)) FROM (SELECT FROM {table} {few}) AS r", int)
    return Numbered(normal_name(table), column, is_taken, has_beyond, rows)
