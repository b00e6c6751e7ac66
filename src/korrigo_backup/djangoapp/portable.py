"""Proof across database engines, and for files without a proof: the values read back equal those of the file.

Two engines write the same value differently (`1.5` and `1.50`, `{"a":1}` and `{"a": 1}`), so here values are compared,
not their text. Used if the manifest has no digest, or a digest taken on another engine.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
from django.db import connections
from django.db.models import DurationField, FloatField

from korrigo_backup.djangoapp.fields import duration, site_time, source_of
from korrigo_backup.djangoapp.proof import batches
from korrigo_backup.djangoapp.rows import RowDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.djangoapp.tables import Row, Table

_MODULUS = 1 << 128


class Meanings:
    """Sums over the meaning of rows, per table."""

    def __init__(self, alias: str) -> None:
        self._connection = connections[alias]
        self._zone = connections[alias].timezone
        self._sums: dict[str, int] = defaultdict(int)

    def add_decoded(self, table: Table, row: Row) -> None:
        """Count a row as a file or a line has it."""
        values = [
            _as_read_back(column, value, self._connection) for column, value in zip(table.columns, row, strict=True)
        ]
        self._add(table, values)

    def read_all(self, tables: Iterable[Table], alias: str) -> None:
        """Count all rows that the database has now, from their lines: those hold times that Python has not, too."""
        for table in tables:
            decode = RowDecoder(table, frozenset()).decode
            for batch in batches(table, alias):
                for line in batch:
                    self.add_decoded(table, decode(line, table.label)[0])

    def differing(self, other: Meanings) -> list[str]:
        """Return the labels of the tables whose rows differ."""
        labels = self._sums.keys() | other._sums.keys()
        return sorted(label for label in labels if self._sums[label] != other._sums[label])

    def _add(self, table: Table, values: list[Any]) -> None:
        text = msgspec.json.encode([_plain(value, self._zone) for value in values])
        digest = int.from_bytes(blake2b(text, digest_size=16).digest())
        self._sums[table.label] = (self._sums[table.label] + digest) % _MODULUS


def _as_read_back(column: Any, value: Any, connection: Any) -> Any:
    if value is None or column.as_text:
        return value
    if column.natural:  # a file of the former command has the number
        return column.out(value) if isinstance(value, int) else value
    if column.type is Any:
        return column.out(_through(source_of(column.field), value, connection))
    if isinstance(source_of(column.field), FloatField):
        return repr(float(value))
    return _span(column, value) if isinstance(source_of(column.field), DurationField) else value


def _through(source: Any, value: Any, connection: Any) -> Any:
    """Return the value that the class of a field makes of a value that is saved and read again."""
    python = source.to_python(value)
    if not hasattr(source, "from_db_value"):
        return python
    saved = source.get_db_prep_save(python, connection)
    return source.from_db_value(saved, None, connection) if isinstance(saved, str | int) else python


def _span(column: Any, value: str) -> str:
    """Return a duration in a single form of two, if Django can read it at all."""
    try:
        return str(column.out(duration(value)))
    except ValueError:
        return value


def _plain(value: Any, zone: Any) -> Any:
    if isinstance(value, datetime):
        moment = site_time(value, zone)
        return moment.astimezone(UTC) if moment.tzinfo else moment
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, msgspec.Raw):
        return _json(json.loads(bytes(value), parse_float=Decimal, parse_int=Decimal))
    return value


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {"object": sorted((key, _json(inner)) for key, inner in value.items())}
    if isinstance(value, list):
        return [_json(inner) for inner in value]
    return {"number": _number(value)} if isinstance(value, Decimal) else value


def _number(value: Decimal) -> str:
    if not value.is_finite():
        return str(value)
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    place = int(exponent) + len(text) - len(kept)
    return f"{'-' if sign and kept else ''}{kept or '0'}e{place if kept else 0}"
