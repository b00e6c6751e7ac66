"""Samples of the values of text and JSON columns: some rows of each table, read for a bounded time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.postgres.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from korrigo_backup.postgres.digest import Snapshot

_SECONDS = 20.0
"""All samples together; a column that is not reached is not sampled."""

_ROWS, _VALUES = 5000, 200
"""Rows of a table that are read, and values of a column that are taken from them."""

_LARGEST = 20_000
"""Bytes of a value as it is stored: a larger value is skipped."""

_TOGETHER = 16
"""Columns read before their locks go back."""

# Ordinary and partitioned tables of the site whose rows our role may read.
_COLUMNS = """
SELECT coalesce(json_agg(json_build_object(
         'schema', n.nspname, 'table', c.relname, 'column', a.attname,
         'share', CASE WHEN c.relkind = 'r' AND c.reltuples > {rows} THEN least(100, 100.0 * {rows} / c.reltuples) END,
         'is_plain', n.nspname = 'public' OR pg_table_is_visible(c.oid))
       ORDER BY c.reltuples DESC, n.nspname, c.relname, a.attnum), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (coalesce(e.typcategory, t.typcategory) = 'S' OR coalesce(e.typname, t.typname) IN ('json', 'jsonb'))
  AND has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
  AND (NOT c.relrowsecurity OR (NOT c.relforcerowsecurity AND pg_has_role(c.relowner, 'USAGE')))
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""


class Sampled(msgspec.Struct, frozen=True):
    """A column that may hold paths; `share` is the percentage of the blocks of a large table that is read."""

    schema: str
    table: str
    column: str
    share: float | None
    is_plain: bool


def samples(
    taken: Snapshot, known: Collection[tuple[str, str]], *, seconds: float = _SECONDS
) -> Iterator[tuple[Sampled, list[object]]]:
    """Yield text and JSON columns with some of their values; `known` are (table, column) that are passed over."""
    columns = [
        one
        for one in taken.ask(_COLUMNS.format(rows=_ROWS), list[Sampled])
        if (one.table, one.column) not in known and not one.table.startswith("django_")
    ]
    end = time.monotonic() + seconds
    for start in range(0, len(columns), _TOGETHER):
        with taken.returning_locks():
            for one in columns[start : start + _TOGETHER]:
                if time.monotonic() > end:
                    return
                yield one, taken.ask(_query(one), list[object])


def _query(one: Sampled) -> str:
    column, table = identifier(one.column), f"{identifier(one.schema)}.{identifier(one.table)}"
    some = f" TABLESAMPLE SYSTEM ({one.share})" if one.share else ""
    return (
        f"SELECT coalesce(json_agg(value), '[]') FROM (SELECT to_json({column}) AS value"
        f" FROM (SELECT {column} FROM {table}{some} LIMIT {_ROWS}) AS rows"
        f" WHERE {column} IS NOT NULL AND pg_column_size({column}) <= {_LARGEST} LIMIT {_VALUES}) AS found"
    )
