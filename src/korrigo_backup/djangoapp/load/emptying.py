"""Tables made empty, and triggers kept from firing, inside the transaction of a load."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db import connections

from korrigo_backup.djangoapp.load.constraints import Constraint
from korrigo_backup.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.djangoapp.fixture.tables import ModelTable

_OUTSIDE = """
SELECT 'TABLE ' || c.conrelid::regclass, quote_ident(c.conname), pg_get_constraintdef(c.oid),
       quote_literal(obj_description(c.oid, 'pg_constraint')), c.confrelid::regclass::text, c.confdeltype,
       NOT t.relispartition AND pg_has_role(t.relowner, 'USAGE')
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
WHERE c.contype = 'f' AND c.conparentid = 0
  AND c.confrelid = ANY(%s::regclass[]) AND NOT c.conrelid = ANY(%s::regclass[])
"""

# Rules rewrite INSERT and DELETE, which drivers without COPY use for rows.
_TRIGGERS = """
SELECT tgrelid::regclass::text, 'TRIGGER ' || quote_ident(tgname), tgenabled
FROM pg_trigger
WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgparentid = 0 AND tgrelid = ANY(%(names)s::regclass[])
UNION ALL
SELECT ev_class::regclass::text, 'RULE ' || quote_ident(rulename), ev_enabled
FROM pg_rewrite JOIN pg_class c ON c.oid = ev_class
WHERE ev_enabled IN ('O', 'A') AND c.relkind IN ('r', 'p') AND ev_class = ANY(%(names)s::regclass[])
"""


def empty(tables: Sequence[ModelTable], alias: str) -> list[Constraint] | None:
    """Delete all rows of `tables`; return the foreign keys from other tables that were dropped for that.

    None means that no foreign key can be dropped: checks of deleted rows are pending. TRUNCATE if no other table refers
    to them any more, else DELETE; the tables are locked against writing either way. Raises Refused if deleting would
    also delete or change rows of a table that is not to be restored.
    """
    connection = connections[alias]
    names = [connection.ops.quote_name(table.name) for table in tables]
    if not names:
        return None
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            for name in reversed(names):
                cursor.execute(f"DELETE FROM {name}")
            return None
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        only = ["ONLY " * (not table.relation or table.relation.kind == "r") for table in tables]
        whole = [one + name for one, name in zip(only, names, strict=True)]
        if (aside := _set_aside(cursor, names)) is not None:
            cursor.execute(f"TRUNCATE {', '.join(whole)}")
            return aside
        cursor.execute(f"LOCK TABLE {', '.join(whole)} IN EXCLUSIVE MODE")
        for name in reversed(whole):
            cursor.execute(f"DELETE FROM {name}")
    return None


def _set_aside(cursor: Any, names: Sequence[str]) -> list[Constraint] | None:
    """Take away the foreign keys of other tables that refer to these: their rows stay, and are checked at the end.

    None if any of those tables is another role's.
    """
    cursor.execute(_OUTSIDE, [names, names])
    found = cursor.fetchall()
    if all(ours for *_, ours in found):
        for of, name, *_ in found:
            cursor.execute(f"ALTER {of} DROP CONSTRAINT {name}")
        return [Constraint(*row[:4]) for row in found]
    for referring, *_, referred, action, _ in found:
        if action in {"c", "n", "d"}:
            other = referring.removeprefix("TABLE ")
            raise Refused(
                f"emptying {referred} would also change {other}, which the backup does not hold",
                hint="make a backup without --exclude, or restore the whole database with scripts/restore_db.sh",
            )
    return None


@contextmanager
def silent_triggers(tables: Sequence[ModelTable], alias: str) -> Iterator[None]:
    """Keep the database's own triggers and rules from firing, as pg_dump does, and put them back at the block's end.

    The caller's constraints must be checked by then: PostgreSQL alters no table with deferred checks open.
    """
    connection = connections[alias]
    names = [connection.ops.quote_name(table.name) for table in tables]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_TRIGGERS, {"names": names})
            found = cursor.fetchall()
            for table, silenced, _ in found:
                cursor.execute(f"ALTER TABLE {table} DISABLE {silenced}")
            yield
            for table, silenced, enabled in found:
                always = "ALWAYS " if enabled == "A" else ""
                cursor.execute(f"ALTER TABLE {table} ENABLE {always}{silenced}")
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
