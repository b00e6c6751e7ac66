"""Transactions in which a dump shows a single moment and a load is not killed by the site's own limits."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction

from korrigo_backup.errors import Locked, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LOCK_WAIT = "60s"
"""How long a dump or load waits for a table that another session has locked before it fails."""

RUNS = 0x6B6F7272
"""Key of the advisory lock in PostgreSQL that keeps dump and load of a database apart ("korr")."""

_SETTINGS = {
    "statement_timeout": "0",
    "lock_timeout": LOCK_WAIT,
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
    "row_security": "off",
    "synchronous_commit": "on",
    "IntervalStyle": "postgres",
    "DateStyle": "ISO, MDY",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmlbinary": "base64",
    "xmloption": "content",
    "array_nulls": "on",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "default_transaction_read_only": "off",
}
"""Settings that the site may have changed and a dump or load depends on: limits, and the form of values as text."""

_UNLIMITED = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
"""Before all else: the site's limits may be shorter than the query that sets the others."""

_UTC = {"TimeZone": "UTC"}

# `transaction_timeout` is new in PostgreSQL 17; a setting that a server does not have is left out.
_APPLY = """
SELECT set_config(s.name, w.value, true)
FROM unnest(%s::text[], %s::text[]) AS w (name, value) JOIN pg_settings s ON lower(s.name) = lower(w.name)
"""


_STARTED_WITH = " -c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout=60s"
"""Options of a connection; the last of a name counts, and each wins over those of role, database and server."""


def lift_limits(alias: str) -> None:
    """Connect without the time limits that the settings give in OPTIONS, before the first connection is made.

    If the settings give no options, none is added: a connection pooler may refuse them. There each transaction lifts
    the limits for itself.
    """
    options = connections[alias].settings_dict.get("OPTIONS", {})
    given = options.get("options")
    if connections[alias].vendor == "postgresql" and isinstance(given, str) and not given.endswith(_STARTED_WITH):
        options["options"] = given + _STARTED_WITH


def lead_to(alias: str, name: str) -> None:
    """Let the connections of an alias lead to another database of the same server, for the rest of this process."""
    connection = connections[alias]
    connection.close()  # the site's own code may have opened it when it was loaded
    if close_pool := getattr(connection, "close_pool", None):
        close_pool()
    connection.settings_dict["NAME"] = name


@contextmanager
def reading(alias: str, models: Iterable[Any]) -> Iterator[None]:
    """Hold a moment of the database while the block runs; the session is read-only.

    Inside a caller's transaction the moment cannot be chosen any more: there, on PostgreSQL, the tables of `models` are
    locked against writing until that transaction ends, which shows the same. Row-level security is off: a role that may
    not see all rows gets an error, never a part of them.
    """
    connection = connections[alias]
    nested = connection.in_atomic_block
    with _server_side(connection), transaction.atomic(using=alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            if not nested:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute(_UNLIMITED)
            zone = _zone(cursor)
            _apply(cursor, _SETTINGS | _UTC)
            _keep_apart(cursor, "pg_try_advisory_xact_lock_shared")
            if nested:
                _lock(cursor, connection, models, "SHARE")
        yield
        if connection.vendor == "postgresql" and nested:
            _apply(cursor, {"TimeZone": zone})


@contextmanager
def writing(alias: str, *, utc: bool = False) -> Iterator[None]:
    """Hold the single transaction of a load; it commits at the end of the block.

    With `utc` the server reads and writes times in UTC, else in the zone of the site's settings. Raises Refused inside
    a caller's transaction: a reported restore could still be undone there.
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
                cursor.execute(_UNLIMITED)
                cursor.execute("SET TRANSACTION READ WRITE")
                _apply(cursor, _SETTINGS | (_UTC if utc else {}))
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
    """Read through server-side cursors with any settings: inside one transaction a pooler allows them."""
    name = "DISABLE_SERVER_SIDE_CURSORS"
    before = connection.settings_dict.get(name, False)
    connection.settings_dict[name] = False
    try:
        yield
    finally:
        connection.settings_dict[name] = before


def _zone(cursor: Any) -> str:
    cursor.execute("SELECT current_setting('TimeZone')")
    return str(cursor.fetchone()[0])


def _apply(cursor: Any, wanted: Mapping[str, str]) -> None:
    if cursor.db.Database.__name__ == "psycopg2":
        # It asks once, when it connects, whether a backslash in a literal must be doubled.
        wanted = {name: value for name, value in wanted.items() if name != "standard_conforming_strings"}
    cursor.execute(_APPLY, [list(wanted), list(wanted.values())])


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
