"""Lines of the fixture made by PostgreSQL itself: several times as fast as rows that become objects of Python first.

SQL writes every column of a backup of this version. The tables of a former backup may have columns that only Python
writes (rows.RowEncoder). rows.RowDecoder reads the lines of both as the same values; their text may differ ("Z",
"+00:00").
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from django.conf import settings

from korrigo_backup.djangoapp.pgtypes import WHOLE, as_text, literal
from korrigo_backup.djangoapp.rows import JSON_NULL, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from korrigo_backup.djangoapp.fields import Column
    from korrigo_backup.djangoapp.tables import Table

_MOST_ARGUMENTS = 90
"""PostgreSQL takes 100 arguments of a function."""

_FIRST, _MOST_ROWS, _BATCH_BYTES = 100, 4000, 2 * 1024 * 1024
"""Rows fetched first, at most, and the bytes that a fetch should have: large values are not fetched by thousands."""


def statement(table: Table, connection: Any) -> str | None:
    """Return a SELECT of a single column, the line of each row; None when a column cannot be written by SQL.

    It reads under the settings of `snapshot`, and a TimeZone of UTC.
    """
    quote = connection.ops.quote_name
    if connection.vendor != "postgresql" or not all(map(_can_write, table.columns)):
        return None
    if any(column.type is datetime for column in table.columns) and not _reads_utc(table, connection):
        return None
    pieces: list[str] = []
    text = f'{{"model":{_text(table.label)}'
    if table.pk:
        pieces += _piece(text + ',"pk":', _value(table.pk, quote))
        text = ""
    text += ',"fields":{'
    for column in table.fields:
        pieces += _piece(f"{text}{_text(column.name)}:", _value(column, quote))
        text = ","
    pieces.append(literal("}" if table.fields else text + "}"))
    if nulls := [column for column in table.columns if column.is_json]:
        pieces.append(_json_nulls(nulls, quote))
    text = f',"{TEXT}":{{'
    for column in table.columns:
        if column.readable:
            pieces += _piece(f"{text}{_text(column.name)}:", as_text(quote(column.column)))
            text = ","
    pieces.append("'}}'" if text == "," else "'}'")
    return f"SELECT {_concat(pieces)} FROM {_source(table, quote)}{_order(table, quote)}"


def _can_write(column: Column) -> bool:
    return column.write is not None


def _reads_utc(table: Table, connection: Any) -> bool:
    return table.exact or (settings.USE_TZ and connection.timezone_name == "UTC")


def _source(table: Table, quote: Callable[[str], str]) -> str:
    """Return the table without those that inherit from it: they are tables of their own.

    A partitioned table is whole.
    """
    only = "ONLY " if table.relation and table.relation.kind == "r" else ""
    return f"{only}{quote(table.name)}{_where(table, quote)}"


def _where(table: Table, quote: Callable[[str], str]) -> str:
    """Return the condition that a row is referred to, where only such rows count."""
    found = [
        f"{quote(field.target_field.column)} IN (SELECT {quote(field.column)} FROM {quote(model._meta.db_table)})"  # noqa: SLF001
        for model, field in table.referred_by
    ]
    return f" WHERE {' OR '.join(found)}" if found else ""


def _order(table: Table, quote: Callable[[str], str]) -> str:
    """Sort where an index has that order nearly as the rows lie; by a UUID it would cost more than all else."""
    keys = [field.column for field in getattr(table.model._meta, "pk_fields", [table.model._meta.pk])]  # noqa: SLF001
    types = table.relation.columns if table.relation else {}
    numbered = all(key in types and types[key].type in WHOLE for key in keys)
    return f" ORDER BY {', '.join(map(quote, keys))}" if numbered else ""


def batches(select: str, connection: Any) -> Iterator[list[bytes]]:
    """Yield the lines of the statement `select`, some megabytes at a time. Runs in the caller's transaction."""
    rows = _FIRST
    with connection.chunked_cursor() as cursor:
        cursor.execute(select)
        while found := cursor.fetchmany(rows):
            batch = [line.encode() for (line,) in found]
            yield batch
            size = sum(map(len, batch)) // len(batch) + 1
            rows = max(1, min(_MOST_ROWS, 2 * rows, _BATCH_BYTES // size))


def _piece(text: str, expression: str) -> tuple[str, str]:
    return literal(text), f"coalesce(({expression})::text, 'null')"


def _value(column: Column, quote: Callable[[str], str]) -> str:
    write = column.readable or column.write
    return write(quote(column.column)) if write else "NULL"


def _json_nulls(columns: list[Column], quote: Callable[[str], str]) -> str:
    tests = [f"{quote(column.column)} = 'null'::jsonb" for column in columns]
    names = ", ".join(
        f"CASE WHEN {test} THEN {literal(_text(column.name))} END" for test, column in zip(tests, columns, strict=True)
    )
    head = literal(f',"{JSON_NULL}":[')
    return f"CASE WHEN {' OR '.join(tests)} THEN {head} || concat_ws(',', {names}) || ']' END"


def _concat(pieces: list[str]) -> str:
    groups = [pieces[n : n + _MOST_ARGUMENTS] for n in range(0, len(pieces), _MOST_ARGUMENTS)]
    return " || ".join(f"concat({', '.join(group)})" for group in groups)


def _text(name: str) -> str:
    return msgspec.json.encode(name).decode()
