"""Transactions in which a dump is one moment and a load is not killed by the site's own limits."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction

from korrigo_backup.errors import Locked, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOCK_WAIT = "60s"
"""How long a dump or load waits for a table that another session has locked before it says so."""

RUNS = 0x6B6F7272
"""Key of the advisory lock in PostgreSQL that keeps dump and load of one database apart ("korr")."""

_LIMITS = """
SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN %s WHEN 'row_security' THEN 'off'
                                  WHEN 'synchronous_commit' THEN 'on' WHEN 'IntervalStyle' THEN 'postgres'
                                  WHEN 'extra_float_digits' THEN '1' ELSE '0' END, true)
FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout',
               'row_security', 'synchronous_commit', 'IntervalStyle', 'extra_float_digits')
"""


@contextmanager
def reading(alias: str, models: Iterable[Any]) -> Iterator[None]:
    """Hold one moment of the database while the block runs; nothing can be written.

    Inside a caller's transaction the moment cannot be chosen any more: there, on PostgreSQL, the tables of
    `models` are locked against writing until that transaction ends, which shows the same. Row-level security is
    off: a role that may not see all rows gets an error, never a part of them.
    """
    connection = connections[alias]
    nested = connection.in_atomic_block
    with _server_side(connection), transaction.atomic(using=alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            if not nested:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute(_LIMITS, [LOCK_WAIT])
            _keep_apart(cursor, "pg_try_advisory_xact_lock_shared")
            if nested:
                _lock(cursor, connection, models, "SHARE")
        yield


@contextmanager
def writing(alias: str) -> Iterator[None]:
    """Hold the one transaction of a load; it commits at the end of the block.

    Raises Refused inside a caller's transaction: what is said to be restored could still be undone there.
    """
    connection = connections[alias]
    if connection.connection is not None and not connection.in_atomic_block and not connection.is_usable():
        connection.close()  # it was idle while the backup was read: idle_session_timeout
    try:
        block = transaction.atomic(using=alias, durable=True)
        block.__enter__()
    except RuntimeError:
        raise Refused("a restore cannot run inside another transaction", hint="call it outside atomic()") from None
    with _server_side(connection), _leaving(block):
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(_LIMITS, [LOCK_WAIT])
                _keep_apart(cursor, "pg_try_advisory_xact_lock")
        yield


@contextmanager
def _leaving(block: Any) -> Iterator[None]:
    try:
        yield
    except BaseException as problem:
        block.__exit__(type(problem), problem, problem.__traceback__)
        raise
    block.__exit__(None, None, None)


@contextmanager
def _server_side(connection: Any) -> Iterator[None]:
    """Read through server-side cursors whatever the settings say: inside one transaction a pooler allows them."""
    name = "DISABLE_SERVER_SIDE_CURSORS"
    before = connection.settings_dict.get(name, False)
    connection.settings_dict[name] = False
    try:
        yield
    finally:
        connection.settings_dict[name] = before


def _keep_apart(cursor: Any, function: str) -> None:
    cursor.execute(f"SELECT {function}(%s)", [RUNS])
    if not cursor.fetchone()[0]:
        raise Locked(
            "another backup or restore of this database is at work", hint="wait for its end, then run this again"
        )


def _lock(cursor: Any, connection: Any, models: Iterable[Any], mode: str) -> None:
    names = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in models)  # noqa: SLF001
    if names:
        cursor.execute(f"LOCK TABLE {names} IN {mode} MODE")
