"""The hash of a row as an SQL expression: cheap for the types that fill a site's tables, exact for all.

Each value is hashed with its column's number as seed, NULL counts as that number, the hashes are joined by exclusive or
and hashed once more. Functions and operators are named with their schema: the search path may hold others. Types of
fixed size are hashed as they are, which costs a fraction of writing them as text; every other value by its text. The
hash functions are the same on PostgreSQL 11 and later, on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.postgres.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEXT = 'pg_catalog.hashtextextended({value}::text COLLATE "C", {seed})'
"""For types whose cast to text is the text that the server sends; the settings that it depends on are fixed."""

_FLOAT = (
    "CASE WHEN {value} OPERATOR(pg_catalog.<>) 0 AND {value} OPERATOR(pg_catalog.<>) 'NaN'"
    " THEN pg_catalog.hashfloat8extended({value}, {seed})"
    ' WHEN {value} IS NOT NULL THEN pg_catalog.hashtextextended({value}::text COLLATE "C", {seed}) END'
)
"""-0 and 0 are equal for the server and differ here; NaN is hashed otherwise before PostgreSQL 14."""

_BIGINT = (
    "pg_catalog.hashint4extended(({value} OPERATOR(pg_catalog.>>) 32)::int, {seed}) OPERATOR(pg_catalog.#)"
    " pg_catalog.hashint4extended((({value} OPERATOR(pg_catalog.<<) 32) OPERATOR(pg_catalog.>>) 32)::int, -{seed})"
)
"""Half by half: hashint8extended folds the halves together first, and takes 2^32 for 1."""

_SENT = "pg_catalog.hashtextextended(pg_catalog.encode(pg_catalog.{send}({{value}}), 'hex') COLLATE \"C\", {{seed}})"
"""The eight bytes that go over the wire: the same everywhere, and made faster than text."""

_HASHES = {
    "boolean": "pg_catalog.hashint4extended({value}::int, {seed})",
    "smallint": "pg_catalog.hashint2extended({value}, {seed})",
    "integer": "pg_catalog.hashint4extended({value}, {seed})",
    "bigint": _BIGINT,
    "real": _FLOAT,
    "double precision": _FLOAT,
    "uuid": "pg_catalog.uuid_hash_extended({value}, {seed})",
    "timestamp without time zone": _SENT.format(send="timestamp_send"),
    "timestamp with time zone": _SENT.format(send="timestamptz_send"),
    **dict.fromkeys(("text", "character varying", "numeric", "json", "jsonb", "bytea", "date", "interval"), _TEXT),
}

_ANY = 'pg_catalog.hashtextextended(ROW({value})::text COLLATE "C", {seed})'
"""For any type at all: a row of a single value is written with the type's own output function."""


def row_hash(columns: Iterable[tuple[str, str | None]], row: str = "t") -> str:
    """Return the bigint expression for `row`; columns in a fixed order, each with the name of its built-in type."""
    parts = []
    for seed, (name, kind) in enumerate(columns, start=1):
        hashed = _HASHES.get(kind or "", _ANY).format(value=f"{row}.{identifier(name)}", seed=seed)
        parts.append(f"coalesce({hashed}, {seed})")
    return f"pg_catalog.hashint8extended({' OPERATOR(pg_catalog.#) '.join(parts) or '0'}, 0)"
