"""Whether a transaction committed, asked after its connection was lost at the worst moment."""

from __future__ import annotations

from django.db import Error, connections


def marker(alias: str) -> str | None:
    """Return what names the running transaction; None where the engine answers COMMIT before anything can be lost."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text")
        return str(cursor.fetchone()[0])


def happened(alias: str, named: str) -> bool | None:
    """Tell whether the named transaction committed; None when the server does not answer."""
    connection = connections[alias]
    try:
        connection.close_if_unusable_or_obsolete()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_xact_status(%s::text::xid8)", [named])
            return bool(cursor.fetchone()[0] == "committed")
    except Error:
        return None
