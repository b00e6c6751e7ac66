"""Whether a database is unused: missing, without a table, or with no row but those of Django's `migrate`.

After the loss of a server the entry point of a site often migrates before anybody can restore: the new database has
all tables, and the rows that name them. A restore into it loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.site.databases import Databases
from korrigo_backup.site.servererror import NotPermitted, StatementFailed, TableLocked

if TYPE_CHECKING:
    from korrigo_backup.site.postgres import Postgres

_MOST = 200
"""Tables that are asked for a row. A database in which more have pages has been used."""

_WITH_PAGES = """
SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname)), '[]'::json)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind = 'f' OR c.relkind = 'r' AND pg_catalog.pg_relation_size(c.oid) > 0)
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND c.relname NOT IN ('django_migrations', 'django_content_type', 'django_site', 'auth_permission')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""

_HAS_LARGE_OBJECT = "EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)"


def is_unused(server: Postgres, database: str) -> bool:
    """Return whether nothing is lost with `database`. False where the role may not read a table: nobody can know then.

    Raises Unreachable where the server does not answer.
    """
    databases = Databases(server)
    if databases.is_empty(database):
        return True
    tables = server.ask(_WITH_PAGES, list[str], database=database)
    if len(tables) > _MOST:
        return False
    rows = " OR ".join([_HAS_LARGE_OBJECT, *(f"EXISTS (SELECT FROM {table})" for table in tables)])
    try:
        return not server.ask(f"SELECT to_json({rows})", bool, database=database)
    except (NotPermitted, TableLocked, StatementFailed):
        return False
