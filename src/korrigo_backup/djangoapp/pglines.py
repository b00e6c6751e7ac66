"""Lines of the fixture made by PostgreSQL itself: several times as fast as rows that become objects of Python first.

For tables whose columns are all of types that SQL writes without loss; every other table goes through
rows.RowEncoder. Both write what rows.RowDecoder reads as the same values; their text may differ ("Z", "+00:00").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from django.conf import settings
from django.db import models

from korrigo_backup.djangoapp.fields import known_type, source_of
from korrigo_backup.djangoapp.rows import JSON_NULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from korrigo_backup.djangoapp.fields import Column
    from korrigo_backup.djangoapp.tables import Table

_MOST_ARGUMENTS = 90
"""PostgreSQL takes 100 arguments of a function."""

_FIRST, _MOST_ROWS, _BATCH_BYTES = 100, 4000, 2 * 1024 * 1024
"""Rows fetched first, at most, and the bytes that a fetch should have: large values are not fetched by thousands."""


def _bare(name: str) -> str:
    return name


def _json(name: str) -> str:
    return f"to_json({name})"


def _float(name: str) -> str:
    """JSON's -0 is a whole number to many readers, and loses its sign; -0.0 does not."""
    return f"CASE WHEN {name} = 0 THEN replace({name}::text, '-0', '-0.0') ELSE to_json({name})::text END"


def _quoted(name: str) -> str:
    return f"'\"' || {name} || '\"'"


_WAYS: dict[Any, dict[str, Callable[[str], str]]] = {
    int: {"integer": _bare, "bigint": _bare, "smallint": _bare},
    bool: {"boolean": _json},
    models.CharField: {"character varying": _json, "text": _json},
    models.TextField: {"character varying": _json, "text": _json},
    models.FileField: {"character varying": _json, "text": _json},
    models.FilePathField: {"character varying": _json, "text": _json},
    models.GenericIPAddressField: {"inet": lambda name: f"to_json(abbrev({name}))"},
    models.FloatField: {"double precision": _float},
    models.DecimalField: {"numeric": _quoted},
    models.DateTimeField: {"timestamp with time zone": _json},
    models.DateField: {"date": _json},
    models.TimeField: {"time without time zone": _json},
    models.DurationField: {"interval": _quoted},
    models.UUIDField: {"uuid": _quoted},
    models.BinaryField: {"bytea": lambda name: _quoted(f"translate(encode({name}, 'base64'), E'\\n', '')")},
    models.JSONField: {"jsonb": _bare},
}
"""By Django's type (or int and bool) and PostgreSQL's: how a value that is not NULL becomes JSON."""


def statement(table: Table, connection: Any) -> str | None:
    """Return a SELECT of one column, the line of each row; None when a column cannot be written by SQL.

    It reads under the settings of `snapshot`, and a TimeZone of UTC, which Django sets.
    """
    if connection.vendor != "postgresql":
        return None
    types = _types(table, connection)
    values = {column.name: _value(column, types.get(column.column), connection) for column in table.columns}
    if None in values.values():
        return None
    quote = connection.ops.quote_name
    pieces: list[str] = []
    text = f'{{"model":{_text(table.label)}'
    if table.pk:
        pieces += _piece(text + ',"pk":', str(values[table.pk.name]))
        text = ""
    text += ',"fields":{'
    for column in table.fields:
        pieces += _piece(f"{text}{_text(column.name)}:", str(values[column.name]))
        text = ","
    pieces.append(_literal("}" if table.fields else text + "}"))
    if nulls := [column for column in table.columns if column.is_json]:
        pieces.append(_json_nulls(nulls, quote))
    pieces.append("'}'")
    return f"SELECT {_concat(pieces)} FROM {quote(table.name)}{_order(table, types, quote)}"


def _order(table: Table, types: dict[str, str], quote: Callable[[str], str]) -> str:
    """Sort where an index has that order nearly as the rows lie; by a UUID it would cost more than all else."""
    keys = [field.column for field in getattr(table.model._meta, "pk_fields", [table.model._meta.pk])]  # noqa: SLF001
    numbered = all(types.get(key) in _WAYS[int] for key in keys)
    return f" ORDER BY {', '.join(map(quote, keys))}" if numbered else ""


def batches(select: str, connection: Any) -> Iterator[list[bytes]]:
    """Yield what `statement` selects, some megabytes at a time. Runs in the caller's transaction."""
    rows = _FIRST
    with connection.chunked_cursor() as cursor:
        cursor.execute(select)
        while found := cursor.fetchmany(rows):
            batch = [line.encode() for (line,) in found]
            yield batch
            size = sum(map(len, batch)) // len(batch) + 1
            rows = max(1, min(_MOST_ROWS, 2 * rows, _BATCH_BYTES // size))


def _piece(text: str, expression: str) -> tuple[str, str]:
    return _literal(text), f"coalesce(({expression})::text, 'null')"


def _types(table: Table, connection: Any) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, atttypid::regtype::text FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            [connection.ops.quote_name(table.name)],
        )
        return dict(cursor.fetchall())


def _value(column: Column, type_: str | None, connection: Any) -> str | None:
    name = connection.ops.quote_name(column.column)
    if column.natural:
        return _named(column, name) if type_ in _WAYS[int] else None
    known = known_type(source_of(column.field))
    ways = _WAYS.get(known) or _WAYS.get(column.type, {}) if known else {}
    if known is models.DateTimeField and not (settings.USE_TZ and connection.timezone_name == "UTC"):
        return None
    way = ways.get(type_ or "")
    return way(name) if way else None


def _named(column: Column, name: str) -> str:
    texts = {str(id_): msgspec.json.encode(key).decode() for id_, key in column.keys.items()}
    known = _literal(msgspec.json.encode(texts).decode())
    return f"coalesce({known}::jsonb ->> {name}::text, {name}::text)"


def _json_nulls(columns: list[Column], quote: Callable[[str], str]) -> str:
    tests = [f"{quote(column.column)} = 'null'::jsonb" for column in columns]
    names = ", ".join(
        f"CASE WHEN {test} THEN {_literal(_text(column.name))} END" for test, column in zip(tests, columns, strict=True)
    )
    head = _literal(f',"{JSON_NULL}":[')
    return f"CASE WHEN {' OR '.join(tests)} THEN {head} || concat_ws(',', {names}) || ']' END"


def _concat(pieces: list[str]) -> str:
    groups = [pieces[n : n + _MOST_ARGUMENTS] for n in range(0, len(pieces), _MOST_ARGUMENTS)]
    return " || ".join(f"concat({', '.join(group)})" for group in groups)


def _text(name: str) -> str:
    return msgspec.json.encode(name).decode()


def _literal(text: str) -> str:
    """Return a string constant; no percent sign may stay alone where a driver looks for parameters."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
