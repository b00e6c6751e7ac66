"""Users of a site that has a schema for each tenant: their table stands in other schemas than the connection's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.djangoapp.fixture.path_columns import table_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST = 100
"""Schemas that are read: a site may have thousands, and each is a table that a query locks."""

_SCHEMAS = """
SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %s AND c.relkind IN ('r', 'p') AND NOT pg_table_is_visible(c.oid)
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
ORDER BY 1 LIMIT %s
"""

_ELSEWHERE = """
SELECT DISTINCT w.name FROM unnest(%s::text[], %s::text[]) AS w (name, quoted)
JOIN pg_class c ON c.relname = w.name JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE to_regclass(w.quoted) IS NULL AND c.relkind IN ('r', 'p')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1
"""
_NAMED = 5


def tables_elsewhere(alias: str) -> str:
    """Return the names of tables of the site's models that other schemas alone have, the first five; "" for none."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return ""
    every = (table_of(model) for model in apps.get_models(include_auto_created=True))
    names = sorted({name.table for name in every if not name.schema})
    with connection.cursor() as cursor:
        cursor.execute(_ELSEWHERE, [names, list(map(connection.ops.quote_name, names))])
        found = [name for (name,) in cursor.fetchall()]
    return first_of(found, _NAMED)


def schemas_of(model: Any, alias: str) -> list[str]:
    """Return other schemas than those of the search path that have a table of the model's name, at most a hundred.

    Empty for a model that names its schema, and for every engine but PostgreSQL. Runs in the caller's transaction.
    """
    name, connection = table_of(model), connections[alias]
    if name.schema or connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(_SCHEMAS, [name.table, _LARGEST])
        return [schema for (schema,) in cursor.fetchall()]


def is_elsewhere(model: Any, alias: str) -> bool:
    """Return whether other schemas alone have the model's table."""
    connection = connections[alias]
    if not schemas_of(model, alias):
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NULL", [connection.ops.quote_name(table_of(model).table)])
        return bool(cursor.fetchone()[0])


def count_elsewhere(model: Any, alias: str, conditions: Mapping[str, bool]) -> tuple[int, int]:
    """Return how many rows in those schemas fulfil conditions on Boolean fields, and how many schemas were read."""
    connection, schemas = connections[alias], schemas_of(model, alias)
    if not schemas:
        return 0, 0
    quote = connection.ops.quote_name
    table = quote(table_of(model).table)
    columns = (quote(model._meta.get_field(name).column) for name in conditions)  # noqa: SLF001
    where = " AND ".join(f"{column} = {wanted}" for column, wanted in zip(columns, conditions.values(), strict=True))
    each = " UNION ALL ".join(f"SELECT 1 FROM {quote(schema)}.{table} WHERE {where}" for schema in schemas)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({each}) AS users")
        return int(cursor.fetchone()[0]), len(schemas)
