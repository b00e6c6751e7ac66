"""How PostgreSQL writes the value of a column into a line of the fixture: as JSON, or as its own text.

A value is plain if the field is of one of Django's own types and the column of the type that Django gives it: its JSON
is exact. PostgreSQL's output function writes every other value as text, and its input function reads that text back: no
class of a field is asked, so no value is rounded, normalised or decrypted (docs/decisions/0026).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    from collections.abc import Callable

    from korrigo_backup.djangoapp.pgcatalog import DatabaseColumn


def _bare(name: str) -> str:
    return name


def _json(name: str) -> str:
    return f"to_json({name})"


def _float(name: str) -> str:
    """JSON's -0 is a whole number to many readers, and loses its sign; -0.0 does not."""
    return f"CASE WHEN {name} = 0 THEN replace({name}::text, '-0', '-0.0') ELSE to_json({name})::text END"


def _quoted(name: str) -> str:
    return f"'\"' || {name} || '\"'"


WHOLE = ("integer", "bigint", "smallint")

_WAYS: dict[Any, dict[str, Callable[[str], str]]] = {
    int: dict.fromkeys(WHOLE, _bare),
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

_RANGES = {
    "IntegerRangeField": "int4range",
    "BigIntegerRangeField": "int8range",
    "DecimalRangeField": "numrange",
    "DateRangeField": "daterange",
    "DateTimeRangeField": "tstzrange",
}

_ELEMENTS = frozenset((
    "boolean", "smallint", "integer", "bigint", "numeric", "real", "double precision", "text", "character varying",
    "uuid", "date", "timestamp with time zone", "timestamp without time zone", "time without time zone", "interval",
    "inet", "jsonb", "json",
))  # fmt: skip


def plain_way(known: type[Any] | None, kind: Any, type_: str) -> Callable[[str], str] | None:
    """Return a function that makes the SQL for a type of field and column as JSON; None if only text is exact."""
    if known is None:
        return None
    ways = _WAYS.get(known) or _WAYS.get(kind, {})
    return ways.get(type_)


def as_text(name: str) -> str:
    """Return the JSON string of a value's text, as the type's own output function writes it; NULL for NULL.

    Not a cast: a type may have a cast to text that loses digits. Not IS NULL: that is true for a row of NULLs.
    """
    return f"CASE num_nulls({name}) WHEN 0 THEN to_json(concat({name})) END"


def readable(field: Any, column: DatabaseColumn) -> Callable[[str], str] | None:
    """Return a function that makes the SQL of a value for `loaddata`, for Django's own arrays, ranges and hstores.

    The value stands among the fields for people and other programs; a restore reads the text next to it.
    """
    cls = type(field)
    if cls.__module__.partition(".fields")[0] != "django.contrib.postgres":
        return None
    element, array, _ = column.type.partition("[]")
    if cls.__name__ == "ArrayField" and array and element in _ELEMENTS:
        return _numbers if element == "numeric" else _document
    if cls.__name__ == "HStoreField" and column.declared.rpartition(".")[2].strip('"') == "hstore":
        return _document
    return _range if column.type and _RANGES.get(cls.__name__) == column.type else None


def _document(name: str) -> str:
    return f"to_json(to_json({name})::text)"


def _numbers(name: str) -> str:
    """Return an array of strings: Python makes a float of a number in JSON, which loses its last zeros."""
    return _document(f"{name}::text[]")


def _range(name: str) -> str:
    bounds = f"CASE WHEN lower_inc({name}) THEN '[' ELSE '(' END || CASE WHEN upper_inc({name}) THEN ']' ELSE ')' END"
    ends = f"json_build_object('bounds', {bounds}, 'lower', lower({name})::text, 'upper', upper({name})::text)::text"
    return (
        f"to_json(CASE WHEN {name} IS NULL THEN NULL WHEN isempty({name}) THEN '{{\"empty\": true}}' ELSE {ends} END)"
    )


def literal(text: str) -> str:
    """Return a string constant; no percent sign may stay alone where a driver looks for parameters."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
