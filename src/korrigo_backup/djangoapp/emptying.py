"""Tables made empty, and triggers kept from firing, inside the transaction of a load."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db import connections

from korrigo_backup.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.djangoapp.tables import Table

_OUTSIDE = """
SELECT conrelid::regclass::text, confrelid::regclass::text, confdeltype
FROM pg_constraint
WHERE contype = 'f' AND confrelid = ANY(%s::regclass[]) AND NOT conrelid = ANY(%s::regclass[])
"""

_TRIGGERS = """
SELECT tgrelid::regclass::text, quote_ident(tgname), tgenabled
FROM pg_trigger
WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgparentid = 0 AND tgrelid = ANY(%s::regclass[])
"""


def empty(tables: Sequence[Table], alias: str) -> bool:
    """Delete all rows of `tables`; return whether their foreign keys can be set aside now.

    They cannot while checks of deleted rows are pending. TRUNCATE where no other table refers to them, else DELETE;
    the tables are locked against writing either way.
    Raises Refused when deleting would also delete or change rows of a table that is not to be restored.
    """
    connection = connections[alias]
    names = [connection.ops.quote_name(table.name) for table in tables]
    if not names:
        return False
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
            if not _outside(cursor, names):
                cursor.execute(f"TRUNCATE {', '.join(names)}")
                return True
            cursor.execute(f"LOCK TABLE {', '.join(names)} IN EXCLUSIVE MODE")
        for name in reversed(names):
            cursor.execute(f"DELETE FROM {name}")
    return False


def _outside(cursor: Any, names: Sequence[str]) -> bool:
    cursor.execute(_OUTSIDE, [names, names])
    found = cursor.fetchall()
    for referring, referred, action in found:
        if action in {"c", "n", "d"}:
            raise Refused(
                f"emptying {referred} would also change {referring}, which the backup does not hold",
                hint="make a backup without --exclude, or restore the whole database with scripts/restore_db.sh",
            )
    return bool(found)


@contextmanager
def silent_triggers(tables: Sequence[Table], alias: str) -> Iterator[None]:
    """Keep the database's own triggers from firing, as pg_dump does, and put them back at the end of the block.

    The caller's constraints must be checked by then: PostgreSQL alters no table with deferred checks open.
    """
    connection = connections[alias]
    names = [connection.ops.quote_name(table.name) for table in tables]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_TRIGGERS, [names])
            found = cursor.fetchall()
            for table, trigger, _ in found:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
            yield
            for table, trigger, enabled in found:
                always = "ALWAYS " if enabled == "A" else ""
                cursor.execute(f"ALTER TABLE {table} ENABLE {always}TRIGGER {trigger}")
    elif connection.vendor == "sqlite":
        wanted = {table.name for table in tables}
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = [(name, sql) for name, table, sql in cursor.fetchall() if table in wanted]
            for name, _ in triggers:
                cursor.execute(f"DROP TRIGGER {connection.ops.quote_name(name)}")
            yield
            for _, sql in triggers:
                cursor.execute(sql)
    else:
        yield
