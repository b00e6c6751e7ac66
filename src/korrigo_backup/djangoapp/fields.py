"""Columns: how a value of the database becomes JSON and becomes the same value again.

Django's own encoder cuts times to milliseconds and numbers in JSON to floats. A column of Django's own field types is
read and written here without loss. PostgreSQL itself writes and reads any other as text (pgtypes.py). On other engines,
and in backups of former versions, such a column goes through its own `value_to_string`, `to_python` and
`get_db_prep_save`, as in `dumpdata` and `loaddata`.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as field_
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import models
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.dateparse import parse_duration
from django.utils.duration import duration_string

from korrigo_backup.djangoapp import pgtypes
from korrigo_backup.djangoapp.naturalkeys import KEY_TYPES, natural_label

if TYPE_CHECKING:
    from korrigo_backup.djangoapp.naturalkeys import NaturalKeys
    from korrigo_backup.djangoapp.pgcatalog import DatabaseColumn

Step = Callable[[Any], Any]

TYPES: dict[type[Any], Any] = {
    models.AutoField: int,
    models.BigAutoField: int,
    models.SmallAutoField: int,
    models.IntegerField: int,
    models.BooleanField: bool,
    models.CharField: str,
    models.TextField: str,
    models.FileField: str,
    models.FilePathField: str,
    models.GenericIPAddressField: str,
    models.FloatField: float | str,
    models.DecimalField: Decimal,
    models.DateTimeField: datetime,
    models.DateField: date,
    models.TimeField: time,
    models.DurationField: str,
    models.UUIDField: UUID,
    models.BinaryField: bytes,
    models.JSONField: msgspec.Raw,
}
"""The JSON types for a column of each of Django's types."""

_HOOKS = (
    "from_db_value",
    "get_db_converters",
    "to_python",
    "get_prep_value",
    "get_db_prep_value",
    "get_db_prep_save",
    "get_placeholder",
    "value_from_object",
    "value_to_string",
    "select_format",
)
"""A field class that changes any of these is not Django's own any more."""

_AS_THEY_ARE = (models.IntegerField, models.BooleanField, models.CharField, models.TextField, models.JSONField)
"""Types whose parameter is the same on every engine; for the others it is Django's own."""

_POSTGRES_INTERVAL = re.compile(
    r"(?=.)(-?\d+ years? ?)?([+-]?\d+ mons? ?)?([+-]?\d+ days? ?)?([+-]?\d+:\d\d:\d\d(\.\d{1,6})?)?", re.ASCII
)
"""An interval as IntervalStyle `postgres` writes it; that of Django has a bare number of days."""

_BEYOND = re.compile(r"-?infinity|24:00:00|[0-9T:.+-]+ BC|[0-9]{5,6}-[0-9T:.+-]+", re.ASCII)
"""Infinity, midnight at the end of a day, years before 1 and after 9999, as PostgreSQL writes them."""

_PROTECTED = (int, Decimal, datetime, date, time)
"""Values that Django's serializers hand to the JSON encoder without asking the field."""


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table.

    `select` is the expression of a query, `type` the JSON type. `out` turns a value of the database into a value that
    msgspec writes; `check` raises ValueError for an impossible decoded value; `into` turns a decoded value into a
    parameter of INSERT. None as a step is "as it is"; no step sees None as a value. `keys` are the names that the
    numbers of a `natural` column have; with `beyond` the database holds times that Python has not. `write` makes the
    SQL that writes a value into a line, None if only Python can. The values of an `as_text` column are PostgreSQL's own
    text; `readable` then makes the SQL of the value among the fields, for `loaddata`. `default` returns the text of the
    model's default.
    """

    field: Any
    name: str
    attname: str
    column: str
    select: Any
    type: Any
    natural: str | None = None
    out: Step | None = None
    check: Step | None = None
    into: Step | None = None
    placeholder: Callable[[Any], str] | None = None
    keys: Mapping[int, Any] = field_(default_factory=dict)
    beyond: bool = False
    write: Callable[[str], str] | None = None
    as_text: bool = False
    readable: Callable[[str], str] | None = None
    default: Callable[[], str] | None = None

    @property
    def is_json(self) -> bool:
        """Whether the column holds JSON text, where `null` is a value and not the absence of one."""
        return self.type is msgspec.Raw


def column(
    field: Any,
    keys: NaturalKeys,
    connection: Any,
    there: DatabaseColumn | None = None,
    *,
    exact: bool = False,
    as_text: bool | None = None,
) -> Column:
    """Return how to read and write a concrete field, whose column in the database is `there` (None: not PostgreSQL).

    `exact` is for backups that hold PostgreSQL's text of all values that are not plain, and times in UTC. `as_text`:
    whether such a backup holds this column as text; None decides that for a new backup.
    """
    base = partial(Column, field=field, name=field.name, attname=field.attname, column=field.column)
    type_ = there.type if there else ""
    if label := natural_label(field):
        names = keys.of(label)
        return base(
            select=field.attname,
            type=int | KEY_TYPES[label],
            natural=label,
            out=names.key,
            check=names.require,
            into=names.id,
            keys=names.keys,
            write=partial(_named, names.keys) if type_ in pgtypes.WHOLE else None,
        )
    source = source_of(field)
    known = known_type(source)
    write = pgtypes.plain_way(known, TYPES[known] if known else None, type_) if there else None
    if there and exact and (as_text or (as_text is None and write is None)):
        return _text(base, field, source, there, connection)
    if as_text and connection.vendor != "postgresql":
        return base(select=Cast(field.attname, models.TextField()), type=str, as_text=True)
    if known is None:
        return _custom(base, field, source, connection)
    return _plain(base, field, known, connection, write=write, exact=exact and there is not None)


def _plain(
    base: Callable[..., Column],
    field: Any,
    known: type[Any],
    connection: Any,
    *,
    write: Callable[[str], str] | None,
    exact: bool,
) -> Column:
    kind, postgres = TYPES[known], connection.vendor == "postgresql"
    out, into = _steps(kind, known, connection)
    if exact and kind is datetime:
        out, into = _to_utc, _aware
    if not postgres and not issubclass(known, _AS_THEY_ARE):
        into = _after(into, partial(source_of(field).get_db_prep_save, connection=connection))
    return base(
        select=Cast(field.attname, models.TextField()) if kind is msgspec.Raw else field.attname,
        type=kind,
        out=out,
        check=into if known is models.DurationField or kind is msgspec.Raw else None,
        into=into,
        beyond=postgres and kind in {datetime, date, time},
        write=write,
    )


def _text(base: Callable[..., Column], field: Any, source: Any, there: DatabaseColumn, connection: Any) -> Column:
    def default() -> str | None:
        """Let the database write its text of the model's default, which may be an object of the site's own class."""
        value = source.get_db_prep_save(field.get_default(), connection)
        own, slot = getattr(source, "get_placeholder", None), "%s"
        if own:
            slot = own(value, models.sql.InsertQuery(field.model).get_compiler(connection=connection), connection)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT concat(CAST({slot} AS {there.declared}))", [value])
            return str(cursor.fetchone()[0])

    return base(
        select=field.attname,
        type=str,
        write=pgtypes.as_text,
        as_text=True,
        readable=pgtypes.readable(field, there),
        default=default,
    )


def _named(keys: Mapping[int, Any], name: str) -> str:
    texts = {str(id_): msgspec.json.encode(key).decode() for id_, key in keys.items()}
    known = pgtypes.literal(msgspec.json.encode(texts).decode())
    return f"coalesce({known}::jsonb ->> {name}::text, {name}::text)"


def decode_loosely(column: Column, value: Any) -> Any:
    """Return a value as `Column.type` has it from any that the field itself accepts, as `loaddata` does.

    Raises ValueError or Django's ValidationError.
    """
    if value is None or column.natural or column.type is Any or is_beyond(column, value):
        return value
    if column.type is bytes:
        return b64decode(value, validate=True)  # the field itself would skip characters that are not base64
    python = source_of(column.field).to_python(value)
    return column.out(python) if column.out and python is not None else python


def is_beyond(column: Column, value: Any) -> bool:
    """Return whether a value is a time that PostgreSQL has and Python has not: it then goes through as text."""
    return column.beyond and isinstance(value, str) and _BEYOND.fullmatch(value) is not None


def source_of(field: Any) -> Any:
    """Return the field that defines a column's values: the end of a chain of foreign keys."""
    while field.is_relation:
        field = field.target_field
    return field


def known_type(field: Any) -> type[Any] | None:
    """Return the type of Django's own that a field is of, None when its class changes how values are kept."""
    cls = type(field)
    known = next((base for base in cls.__mro__ if base in TYPES), None)
    same = known and all(getattr(cls, hook, None) is getattr(known, hook, None) for hook in _HOOKS)
    return known if same else None


def _steps(kind: Any, known: type[Any], connection: Any) -> tuple[Step | None, Step | None]:
    if kind is datetime:
        into = _aware if settings.USE_TZ else partial(_naive, connection.timezone)
        return (_to_utc if settings.USE_TZ else None), into
    if known is models.FloatField:
        return _finite, (_float_text if connection.vendor == "postgresql" else float)
    if known is models.DurationField:
        return duration_string, (_interval if connection.vendor == "postgresql" else duration)
    if kind is msgspec.Raw:
        return _json_out, _json_text
    return None, None


def _custom(base: Callable[..., Column], field: Any, source: Any, connection: Any) -> Column:
    def out(value: Any) -> Any:
        if isinstance(value, float):
            return _finite(value)
        if isinstance(value, _PROTECTED):
            return value
        return source.value_to_string(SimpleNamespace(**{source.attname: value}))

    def into(value: Any) -> Any:
        return source.get_db_prep_save(source.to_python(value), connection)

    placeholder = getattr(source, "get_placeholder", None)
    compiler = models.sql.InsertQuery(field.model).get_compiler(connection=connection)
    return base(
        select=field.attname,
        type=Any,
        out=out,
        check=source.to_python,
        into=into,
        placeholder=placeholder and (lambda value: placeholder(value, compiler, connection)),
    )


def _after(first: Step | None, second: Step) -> Step:
    return second if first is None else lambda value: second(first(value))


def _to_utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo is not None else value


def site_time(value: datetime, zone: Any) -> datetime:
    """Return a time with or without zone, as USE_TZ wants it; a file may come from a site that wanted the other."""
    fitting: datetime = _aware(value) if settings.USE_TZ else _naive(zone, value)
    return fitting


def _aware(value: Any) -> Any:
    if isinstance(value, str) or value.tzinfo is not None:
        return value
    return timezone.make_aware(value)


def _naive(zone: Any, value: Any) -> Any:
    if isinstance(value, str) or value.tzinfo is None:
        return value
    return timezone.make_naive(value, zone)


def _finite(value: float) -> float | str:
    """Return a number that JSON has; NaN and the infinities are written as words, which float() reads."""
    return value if math.isfinite(value) else str(value)


def _float_text(value: float | str) -> str:
    """Return a number as text: psycopg 2 would write -0.0 as a decimal, which has no sign at zero."""
    return repr(float(value))


def duration(value: str) -> timedelta:
    """Return the duration that a file means; ValueError for a text that is none."""
    parsed: timedelta | None = parse_duration(value)
    if parsed is None:
        raise ValueError(f"{value!r} is not a duration")
    return parsed


def _interval(value: str) -> timedelta | str:
    """Return a duration as PostgreSQL's own text gives it, months and all, else as Django reads it."""
    return value if _POSTGRES_INTERVAL.fullmatch(value) else duration(value)


def _json_out(text: str) -> msgspec.Raw:
    """Return the JSON text of a column as it stands there; a line break in it can only be space between values."""
    return msgspec.Raw(text.replace("\n", " ").replace("\r", " ").encode())


def _json_text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode()
