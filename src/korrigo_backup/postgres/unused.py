"""The tables by which a database is in use: those with rows that Django's `migrate` did not make.

After the loss of a server the entry point of a site often migrates before anybody can restore: the new database has
all tables, the rows that name them, and those of the site's own data migrations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.server_error import NotPermitted, StatementFailed, TableLocked
from korrigo_backup.postgres.sql import literal

if TYPE_CHECKING:
    from korrigo_backup.postgres.client import Postgres

_MOST_TABLES = 200
_MOST_BYTES = 64 << 20
"""A larger database has been used; it is not examined further."""

OF_MIGRATE = ("django_migrations", "django_content_type", "django_site", "auth_permission")
"""Tables whose rows `migrate` makes."""

_WITH_PAGES = f"""
SELECT json_build_object('tables', coalesce(json_agg(format('%I.%I', n.nspname, c.relname)), '[]'::json),
  'bytes', coalesce(sum(pg_catalog.pg_relation_size(c.oid)), 0),
  'foreign', count(*) FILTER (WHERE c.relkind = 'f'),
  'large_objects', (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind = 'f' OR c.relkind = 'r' AND pg_catalog.pg_relation_size(c.oid) > 0)
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND c.relname NOT IN ({", ".join(map(literal, OF_MIGRATE))})
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""


class _WithPages(msgspec.Struct, frozen=True):
    tables: tuple[str, ...]
    bytes: int
    foreign: int
    large_objects: int


def tables_in_use(server: Postgres, database: str) -> tuple[str, ...] | None:
    """Return the tables of `database` with a row that `migrate` did not make, () when there is none or no database.

    None when the database is in use all the same: it is large, has foreign tables or large objects, or has a table
    that the role may not read. Raises Unreachable where the server does not answer.
    """
    if Databases(server).is_empty(database):
        return ()
    found = server.ask(_WITH_PAGES, _WithPages, database=database)
    if found.foreign or found.large_objects or found.bytes > _MOST_BYTES or len(found.tables) > _MOST_TABLES:
        return None
    if not found.tables:
        return ()
    asked = " UNION ALL ".join(
        f"SELECT {literal(table)} AS name WHERE EXISTS (SELECT FROM {table})" for table in found.tables
    )
    try:
        names = server.ask(
            f"SELECT coalesce(json_agg(name), '[]'::json) FROM ({asked}) t", list[str], database=database
        )
    except (NotPermitted, TableLocked, StatementFailed):
        return None
    return tuple(map(normal_name, names))
