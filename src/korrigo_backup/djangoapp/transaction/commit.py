"""Whether a transaction committed, asked by this process after its connection was lost, or by the next process.

PostgreSQL remembers the fate of each transaction. Elsewhere a row of a table of our own is written in the transaction:
it is there afterwards, or not. The table goes when it has answered.
"""

from __future__ import annotations

from functools import partial

from django.db import Error, connections

from korrigo_backup.system.wait import wait_until

TABLE = "korrigo_backup_restore"
WAIT_SECONDS = 20.0
"""How long a server may take to notice that its client is dead and to end the transaction."""

_PAUSE = 0.1
_IN_THE_FUTURE = "22023"
"""SQLSTATE of a transaction number that the server never gave: a transaction that was not on disk at a power cut."""


def prepare(alias: str) -> None:
    """Make ready for `marker`; call it outside the transaction."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} (stamp varchar(40) NOT NULL)")


def marker(alias: str, stamp: str) -> str:
    """Return the name of the running transaction."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_current_xact_id()::text")
            return str(cursor.fetchone()[0])
        cursor.execute(f"INSERT INTO {TABLE} (stamp) VALUES (%s)", [stamp])
    return stamp


def happened(alias: str, named: str) -> bool | None:
    """Return whether the named transaction committed; None if the server does not answer or does not know."""
    connection = connections[alias]
    try:
        connection.close_if_unusable_or_obsolete()
        if connection.vendor != "postgresql":
            return _has_row(connection, named)
        status = wait_until(_has_ended, partial(_status, connection, named), seconds=WAIT_SECONDS, pause=_PAUSE)
    except Error as problem:
        cause = problem.__cause__  # psycopg 3 calls it sqlstate, psycopg 2 pgcode
        code = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        return False if code == _IN_THE_FUTURE else None
    return {"committed": True, "aborted": False}.get(status)


def _has_ended(status: str) -> bool:
    return status != "in progress"


def forget(alias: str) -> None:
    """Remove the table of `prepare`."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")


def _status(connection: object, named: str) -> str:
    with connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute("SELECT pg_xact_status(%s::text::xid8)", [named])
        return str(cursor.fetchone()[0])


def _has_row(connection: object, named: str) -> bool:
    with connection.cursor() as cursor:  # type: ignore[attr-defined]
        if TABLE not in connection.introspection.table_names(cursor):  # type: ignore[attr-defined]
            return False
        cursor.execute(f"SELECT 1 FROM {TABLE} WHERE stamp = %s", [named])
        return cursor.fetchone() is not None
