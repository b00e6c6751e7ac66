"""Where sequences stand: after a load never behind where they stood, so that no number is given twice.

Sequences that belong to no column of a model count, too (invoice numbers): they are named as PostgreSQL names them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connections, models

from korrigo_backup.domain.manifest import SequenceProof

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from korrigo_backup.djangoapp.fields import Column
    from korrigo_backup.djangoapp.tables import Table

_OF_COLUMNS = """
SELECT w.label, s.seqrelid::regclass::text, s.seqincrement, s.seqmin, s.seqmax
FROM unnest(%s::text[], %s::text[], %s::text[]) AS w (label, name, col)
JOIN pg_sequence s ON s.seqrelid = to_regclass(pg_get_serial_sequence(w.name, w.col))
WHERE has_sequence_privilege(s.seqrelid, 'SELECT')
"""

# Sequences that no column and no extension owns, in the schemas where the site's tables are found.
_ALONE = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), s.seqrelid::regclass::text,
       s.seqincrement, s.seqmin, s.seqmax
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(current_schemas(false)) AND c.relpersistence <> 't'
  AND has_sequence_privilege(s.seqrelid, 'SELECT')
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))
ORDER BY 1
"""


@dataclass(frozen=True)
class _Sequence:
    """A sequence of PostgreSQL: `label` in manifests, `name` in SQL. It counts down where `step` is negative."""

    label: str
    name: str
    step: int
    smallest: int
    largest: int

    @property
    def sign(self) -> int:
        """1 for a sequence that counts up, -1 for a sequence that counts down."""
        return 1 if self.step > 0 else -1


def positions(tables: Iterable[Table], alias: str) -> tuple[SequenceProof, ...]:
    """Return the position of each sequence of a model's column, named by model and column."""
    connection = connections[alias]
    found = []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            return _read(cursor, _of_columns(cursor, connection, tables))
        for table, column in _numbered(tables):
            if (position := _position(connection, cursor, table.name)) is not None:
                found.append(SequenceProof(f"{table.label}.{column.name}", position, is_called=True))
    return tuple(found)


def positions_alone(alias: str) -> tuple[SequenceProof, ...]:
    """Return the positions of the sequences that belong to no column, named as PostgreSQL names them."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return ()
    with connection.cursor() as cursor:
        return _read(cursor, _alone(cursor))


def move_up(
    tables: Iterable[Table], alias: str, recorded: Iterable[SequenceProof], alone: Sequence[SequenceProof] = ()
) -> list[str]:
    """Set each sequence to the furthest of its position, its position in the backup, and the rows' numbers.

    Returns warnings about sequences that could not be set. On PostgreSQL this outlasts a rollback, which is harmless: a
    sequence only ever moves in its own direction.
    """
    connection = connections[alias]
    stood = {sequence.name: sequence for sequence in recorded}
    numbered = list(_numbered(tables))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            places = {f"{table.label}.{column.name}": (table, column) for table, column in numbered}
            for sequence in _of_columns(cursor, connection, tables):
                used = _furthest(cursor, *places[sequence.label], sequence.sign)
                _move(cursor, sequence, stood.get(sequence.label), used)
            return _move_alone(cursor, alone)
        for table, column in numbered:
            saved = stood.get(f"{table.label}.{column.name}")
            wanted = max(_largest(table, column, alias), saved.last_value if saved else 0)
            if wanted > (_position(connection, cursor, table.name) or 0):
                _set(connection, cursor, table.name, wanted)
    return []


def _move_alone(cursor: Any, alone: Sequence[SequenceProof]) -> list[str]:
    there = {sequence.label: sequence for sequence in _alone(cursor)} if alone else {}
    missing = [saved.name for saved in alone if saved.name not in there]
    for saved in alone:
        if saved.name in there:
            _move(cursor, there[saved.name], saved, None)
    return [f"sequences of the backup that this database does not have: {', '.join(missing)}"] if missing else []


def _largest(table: Table, column: Column, alias: str) -> int:
    return models.QuerySet(table.model, using=alias).aggregate(n=models.Max(column.attname))["n"] or 0


def _furthest(cursor: Any, table: Table, column: Column, sign: int) -> int | None:
    """Return the largest number of the rows, the smallest for a sequence that counts down; None without rows.

    The database is asked, because a field of the site's own class may return another type.
    """
    quote = cursor.db.ops.quote_name
    end = "max" if sign > 0 else "min"
    cursor.execute(f"SELECT {end}({quote(column.column)}) FROM {quote(table.name)}")
    found = cursor.fetchone()[0]
    return None if found is None else int(found)


def _of_columns(cursor: Any, connection: Any, tables: Iterable[Table]) -> list[_Sequence]:
    pairs = list(_numbered(tables))
    labels = [f"{table.label}.{column.name}" for table, column in pairs]
    names = [connection.ops.quote_name(table.name) for table, _ in pairs]
    cursor.execute(_OF_COLUMNS, [labels, names, [column.column for _, column in pairs]])
    return [_Sequence(*row) for row in cursor.fetchall()]


def _alone(cursor: Any) -> list[_Sequence]:
    cursor.execute(_ALONE)
    return [_Sequence(*row) for row in cursor.fetchall()]


def _read(cursor: Any, found: Sequence[_Sequence]) -> tuple[SequenceProof, ...]:
    """Return where sequences stand; a sequence that was never used stands at its first number."""
    if not found:
        return ()
    each = [f"(SELECT {number}, last_value, is_called FROM {one.name})" for number, one in enumerate(found)]
    cursor.execute(" UNION ALL ".join(each))
    return tuple(
        SequenceProof(found[number].label, last, is_called=called) for number, last, called in cursor.fetchall()
    )


def _move(cursor: Any, sequence: _Sequence, saved: SequenceProof | None, used: int | None) -> None:
    """Set a sequence so that its next number is beyond all that were given; `used` is the furthest of the rows."""
    (now,) = _read(cursor, [sequence])
    sign, following = sequence.sign, _next(now, sequence.step)
    after = following if used is None else used + sign
    if saved and sign * _next(saved, sequence.step) > max(sign * following, sign * after):
        _setval(cursor, sequence, saved.last_value, is_called=saved.is_called)
    elif used is not None and sign * after > sign * following:
        _setval(cursor, sequence, used, is_called=True)


def _next(position: SequenceProof, step: int) -> int:
    return position.last_value + (step if position.is_called else 0)


def _setval(cursor: Any, sequence: _Sequence, value: int, *, is_called: bool) -> None:
    cursor.execute(
        "SELECT setval(%s::regclass, GREATEST(%s, LEAST(%s, %s)), %s)",
        [sequence.name, sequence.smallest, value, sequence.largest, is_called],
    )


def _numbered(tables: Iterable[Table]) -> Iterator[tuple[Table, Column]]:
    for table in tables:
        for column in table.columns:
            if isinstance(column.field, models.AutoField | models.BigAutoField | models.SmallAutoField):
                yield table, column


def _position(connection: Any, cursor: Any, table: str) -> int | None:
    """Return the last number that SQLite gave, None when none was or where there is no such thing."""
    if connection.vendor != "sqlite" or not _keeps_positions(cursor):
        return None
    cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
    row = cursor.fetchone()
    return row[0] if row else None


def _set(connection: Any, cursor: Any, table: str, value: int) -> None:
    if connection.vendor != "sqlite" or not _keeps_positions(cursor):
        return
    cursor.execute("UPDATE sqlite_sequence SET seq = %s WHERE name = %s", [value, table])
    if cursor.rowcount == 0:
        cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, value])


def _keeps_positions(cursor: Any) -> bool:
    cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")
    return cursor.fetchone() is not None
