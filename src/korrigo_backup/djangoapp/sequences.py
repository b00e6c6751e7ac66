"""Where sequences stand: after a load never below where they stood, so that no number is given twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connections, models

from korrigo_backup.domain.manifest import SequenceProof

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.djangoapp.fields import Column
    from korrigo_backup.djangoapp.tables import Table


def positions(tables: Iterable[Table], alias: str) -> tuple[SequenceProof, ...]:
    """Return the position of each sequence that was used, named by model and column."""
    connection = connections[alias]
    found = []
    with connection.cursor() as cursor:
        for table, column in _numbered(tables):
            if (position := _position(connection, cursor, table.name, column.column)) is not None:
                found.append(SequenceProof(f"{table.label}.{column.name}", position, is_called=True))
    return tuple(found)


def move_up(tables: Iterable[Table], alias: str, recorded: Iterable[SequenceProof]) -> None:
    """Set each sequence to the highest of where it stands, where the backup says it stood, and the largest number.

    On PostgreSQL this outlasts a rollback, which is harmless: a sequence only ever moves up.
    """
    connection = connections[alias]
    stood = {sequence.name: sequence.last_value for sequence in recorded}
    with connection.cursor() as cursor:
        for table, column in _numbered(tables):
            largest = models.QuerySet(table.model, using=alias).aggregate(n=models.Max(column.attname))["n"]
            wanted = max(largest or 0, stood.get(f"{table.label}.{column.name}", 0))
            now = _position(connection, cursor, table.name, column.column)
            if wanted > (now or 0):
                _set(connection, cursor, table.name, column.column, wanted)


def _numbered(tables: Iterable[Table]) -> Iterator[tuple[Table, Column]]:
    for table in tables:
        for column in table.columns:
            if isinstance(column.field, models.AutoField | models.BigAutoField | models.SmallAutoField):
                yield table, column


def _position(connection: Any, cursor: Any, table: str, column: str) -> int | None:
    """Return the last number given, None when none was or when there is no sequence that counts up."""
    if connection.vendor == "postgresql":
        cursor.execute(
            "SELECT pg_sequence_last_value(s.seqrelid) FROM pg_sequence s"
            " WHERE s.seqrelid = to_regclass(pg_get_serial_sequence(%s, %s)) AND s.seqincrement > 0",
            [connection.ops.quote_name(table), column],
        )
    elif connection.vendor == "sqlite":
        cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")
        if cursor.fetchone() is None:
            return None
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
    else:
        return None
    row = cursor.fetchone()
    return row[0] if row else None


def _set(connection: Any, cursor: Any, table: str, column: str, value: int) -> None:
    if connection.vendor == "postgresql":
        cursor.execute(
            "SELECT setval(s.seqrelid::regclass, LEAST(%s, s.seqmax)) FROM pg_sequence s"
            " WHERE s.seqrelid = to_regclass(pg_get_serial_sequence(%s, %s)) AND s.seqincrement > 0",
            [value, connection.ops.quote_name(table), column],
        )
    elif connection.vendor == "sqlite":
        cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")
        if cursor.fetchone() is None:
            return
        cursor.execute("UPDATE sqlite_sequence SET seq = %s WHERE name = %s", [value, table])
        if cursor.rowcount == 0:
            cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, value])
