"""Turn a row into a line of the fixture, and an object of a fixture into a row."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from django.core.exceptions import FieldDoesNotExist, ValidationError
from msgspec import Raw

from korrigo_backup.djangoapp.fields import Column, decode_loosely, is_beyond
from korrigo_backup.djangoapp.named import is_numbered_by_database, natural_key
from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from korrigo_backup.djangoapp.named import Named
    from korrigo_backup.djangoapp.tables import Row, Table

JSON_NULL = "json_null"
"""Key next to `fields` that names the columns whose null is JSON's, not SQL's; loaddata ignores it."""

TEXT = "text"
"""Key next to `fields` with PostgreSQL's text of columns whose value among the fields is for loaddata and people."""

_NULL = b"null"
_T = TypeVar("_T")


class RowEncoder:
    """Turns rows of a table, as the database gives them, into lines without their end."""

    def __init__(self, table: Table) -> None:
        self._label = table.label
        self._pk = table.columns.index(table.pk) if table.pk else None
        self._names = [column.name for column in table.columns]
        self._steps = [(place, column.out) for place, column in enumerate(table.columns) if column.out]
        self._json = [(place, column.name) for place, column in enumerate(table.columns) if column.is_json]
        self._encode = msgspec.json.Encoder().encode

    def encode(self, row: Iterable[Any]) -> bytes:
        """Return the line of a row."""
        values = list(row)
        for place, out in self._steps:
            if values[place] is not None:
                values[place] = out(values[place])
        fields = dict(zip(self._names, values, strict=True))
        line: dict[str, Any] = {"model": self._label}
        if self._pk is not None:
            line["pk"] = fields.pop(self._names[self._pk])
        line["fields"] = fields
        nulls = [name for place, name in self._json if values[place] is not None and bytes(values[place]) == _NULL]
        if nulls:
            line[JSON_NULL] = nulls
        return self._encode(line)


class LinkRows:
    """Rows of an automatic through table, as an old fixture has them: a list among the fields of either side."""

    def __init__(self, field: Any) -> None:
        self.label: str = field.remote_field.through._meta.label_lower  # noqa: SLF001 - Django's documented name
        self._names = field.m2m_field_name(), field.m2m_reverse_field_name()

    def row(self, table: Table, number: int, source: Any, target: Any) -> Row:
        """Return a row of `table`, numbered as asked, that links two objects."""
        values = dict(zip(self._names, (source, target), strict=True))
        return tuple(number if column is table.pk else values[column.name] for column in table.columns)


class RowDecoder:
    """Turns objects of a model into rows, and reports the fault of an object that it cannot turn."""

    def __init__(self, table: Table, not_null: frozenset[str], named: Named | None = None) -> None:
        self.table = table
        self._named = named
        self.prefix = f'{{"model":"{table.label}",'.encode()
        line = _line_type(table)
        self._decoder = msgspec.json.Decoder(line)
        self._batch = msgspec.json.Decoder(list[line])  # type: ignore[valid-type]
        self._columns = {column.name: column for column in table.columns}
        self._order = (*((table.pk,) if table.pk else ()), *table.fields)
        self._places = [self._order.index(column) for column in table.columns]
        self._straight = self._places == list(range(len(self._places)))
        self._json = [(place, column.name) for place, column in enumerate(self._order) if column.is_json]
        self._texts = [(place, column.name) for place, column in enumerate(self._order) if column.readable]
        self._checks = [(place, column) for place, column in enumerate(table.columns) if column.check]
        self._required = [place for place, column in enumerate(table.columns) if column.column in not_null]

    def decode(self, raw: bytes, where: str) -> tuple[Row, dict[LinkRows, list[Any]]]:
        """Return the row of an object and the targets of its many-to-many lists. Raises ProofFailed."""
        try:
            line = self._decoder.decode(raw)
        except msgspec.ValidationError as problem:
            return self._decode_loosely(raw, where, str(problem))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise _wrong(f"{where}: {problem}") from None
        values = msgspec.structs.astuple(line.fields)
        if self.table.pk:
            values = (line.pk, *values)
        if self._json:
            values = self._json_nulls(values, line.json_null)
        if self._texts:
            values = self._take_texts(values, line.text, where)
        return self._in_order(values), {}

    def is_readable(self, lines: Sequence[bytes]) -> bool:
        """Return whether all lines are as we write them and no value needs a check of its own; False is "not known"."""
        if any(not column.is_json for _, column in self._checks):
            return False
        try:
            return len(self._batch.decode(b"[" + b",".join(lines) + b"]")) == len(lines)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False

    def check(self, row: Row, where: str) -> None:
        """Raise ProofFailed for a value that cannot be meant, and note the names that have to be made."""
        for place in self._required:
            if row[place] is None:
                raise _wrong(f"{self._at(where, row)}: {self.table.columns[place].name} may not be null")
        for place, column in self._checks:
            if column.check and row[place] is not None:
                try:
                    column.check(row[place])
                except (ValueError, TypeError, OverflowError, RecursionError, ValidationError) as problem:
                    raise _wrong(f"{self._at(where, row)}: {column.name}: {_words(problem)}") from None

    def own_key(self, row: Row) -> Any:
        """Return the primary key of a row."""
        return row[self.table.columns.index(self.table.pk)] if self.table.pk else row[0]

    def link_row(self, link: LinkRows, number: int, source: Any, target: Any, where: str) -> Row:
        """Return the row of this through table that links two objects, numbered as asked."""
        row = link.row(self.table, number, source, target)
        return tuple(
            self._loose(column, Raw(msgspec.json.encode(value)), where) if column is not self.table.pk else value
            for column, value in zip(self.table.columns, row, strict=True)
        )

    def _in_order(self, values: Row) -> Row:
        return values if self._straight else tuple(values[place] for place in self._places)

    def _json_nulls(self, values: Row, marked: tuple[str, ...]) -> Row:
        changed = list(values)
        for place, name in self._json:
            if changed[place] is not None and bytes(changed[place]) == _NULL and name not in marked:
                changed[place] = None
        return tuple(changed)

    def _take_texts(self, values: Row, texts: Mapping[str, str | None], where: str) -> Row:
        changed = list(values)
        for place, name in self._texts:
            if name in texts:
                changed[place] = texts[name]
            elif changed[place] is not None:
                raise _wrong(f"{where}: {name} has no text")
        return tuple(changed)

    def _default(self, column: Column, where: str) -> Any:
        """Return the value of a column that the file does not have: the model's default, as `loaddata` gives it."""
        field = column.field
        if not field.null and not field.has_default():
            raise _wrong(f"{where}: the required field {column.name} is missing")
        value = field.get_default()
        if column.default:
            return None if value is None else column.default()
        if column.is_json:
            return None if value is None else Raw(msgspec.json.encode(value))
        return column.out(value) if column.out and value is not None else value

    def _decode_loosely(self, raw: bytes, where: str, problem: str) -> tuple[Row, dict[LinkRows, list[Any]]]:
        """Read an object that is not as we write it but may be as Django does; `problem` is why it is not ours."""
        loose = _loosely(raw, where, _Loose)
        where = f"{where} ({self.table.label} pk={bytes(loose.pk).decode(errors='replace')[:80]})"
        if loose.model != self.table.label and loose.model.lower() != self.table.label:
            raise _wrong(f"{where}: {problem}")
        given = dict(loose.fields)
        if self.table.model._meta.pk.name in self._columns and bytes(loose.pk) != _NULL:  # noqa: SLF001
            given.setdefault(self.table.model._meta.pk.name, loose.pk)  # noqa: SLF001
        links = {
            self._link(name, where): _loosely(bytes(given.pop(name)), where, list[Any])
            for name in list(given)
            if name not in self._columns
        }
        pk = self.table.pk
        unnumbered = self._named is not None and pk is not None and pk.name not in given
        if pk and unnumbered and is_numbered_by_database(self.table):
            given[pk.name] = Raw(b"0")
        values = tuple(self._loose(column, given.get(column.name), where) for column in self._order)
        if self._json:
            values = self._json_nulls(values, loose.json_null)
        if self._texts:
            missing = {name: value for place, name in self._texts if name not in given and (value := values[place])}
            values = self._take_texts(values, {**missing, **loose.text}, where)
        row = self._in_order(values)
        return (self._numbered(row, where) if unnumbered else row), links

    def _numbered(self, row: Row, where: str) -> Row:
        """Return a row that the file names instead of numbering it, with its number."""
        place = self.table.columns.index(self.table.pk) if self.table.pk else 0
        if self._named is None or row[place] != 0:
            return row
        try:
            number = self._named.find(self.table.label, natural_key(self.table, row) or ())
        except ValueError:
            raise _wrong(f"{where}: it has neither a primary key nor a name") from None
        return (*row[:place], number, *row[place + 1 :])

    def use(self, named: Named) -> None:
        """Find objects by these names from now on."""
        self._named = named

    def scan(self, raw: bytes, named: Named) -> None:
        """Note the name of an object; an object that cannot be read yet is reported when its turn comes."""
        self._named = None
        try:
            numbered = bytes(msgspec.json.decode(raw, type=_Loose).pk) != _NULL
            if not numbered and is_numbered_by_database(self.table):
                raw = _with_pk(raw)
            row, _ = self.decode(raw, "")
            named.add(self.table, row, numbered=numbered)
        except (ProofFailed, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        finally:
            self._named = named

    def _loose(self, column: Column, raw: Raw | None, where: str) -> Any:
        if raw is None:
            return self._default(column, where)
        if column.is_json:
            return Raw(bytes(raw))
        try:
            given = msgspec.json.decode(raw)
            if column.as_text:
                return given if column.readable else msgspec.convert(given, str | None)
            if isinstance(given, list) and self._named and column.field.is_relation and not column.natural:
                given = self._named.find(column.field.remote_field.model._meta.label_lower, given)  # noqa: SLF001
            return _value(column, given)
        except (ValueError, TypeError, OverflowError, RecursionError, ValidationError) as problem:
            raise _wrong(f"{where}: {column.name}: {_words(problem)}") from None

    def _link(self, name: str, where: str) -> LinkRows:
        try:
            field = self.table.model._meta.get_field(name)  # noqa: SLF001
        except FieldDoesNotExist:
            field = None
        if field is None or not field.many_to_many or field.auto_created:
            raise _wrong(
                f"{where}: unknown field {name}",
                "use the revision of the code that made the backup (manage.py showmigrations)",
            )
        return LinkRows(field)

    def _at(self, where: str, row: Row) -> str:
        return f"{where} ({self.table.label} pk={str(self.own_key(row))[:80]})"


def _value(column: Column, given: Any) -> Any:
    """Return a value that is as we write it, or as the field itself takes it from others."""
    if column.type is Any or is_beyond(column, given):
        return decode_loosely(column, given)
    with suppress(msgspec.ValidationError):
        return msgspec.convert(given, column.type | None)
    return msgspec.convert(decode_loosely(column, given), column.type | None)


def _loosely(raw: bytes, where: str, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise _wrong(f"{where}: {problem}") from None


class _Loose(msgspec.Struct):
    model: str
    fields: dict[str, Raw]
    pk: Raw = Raw(_NULL)
    json_null: tuple[str, ...] = ()
    text: dict[str, str | None] = {}


def _line_type(table: Table) -> Any:
    """Return the exact type of a line of ours, so that msgspec checks and converts each value as it reads."""
    fields = [(f"f{place}", _optional(column)) for place, column in enumerate(table.fields)]
    names = {f"f{place}": column.name for place, column in enumerate(table.fields)}
    inner = msgspec.defstruct("Fields", fields, rename=names, forbid_unknown_fields=True)
    outer: list[Any] = [("model", str), ("fields", inner), (JSON_NULL, tuple[str, ...], ())]
    if any(column.readable for column in table.columns):
        outer.append((TEXT, dict[str, str | None], {}))
    if table.pk:
        outer.insert(1, ("pk", _optional(table.pk)))
    return msgspec.defstruct("Line", outer, forbid_unknown_fields=True)


def _with_pk(raw: bytes) -> bytes:
    """Return an object with a primary key of 0, for an object without a key."""
    outer = msgspec.json.decode(raw, type=dict[str, Raw])
    outer["pk"] = Raw(b"0")
    return msgspec.json.encode(outer)


def _optional(column: Column) -> Any:
    if column.readable:
        return Any  # the value is in the text
    return column.type if column.type is Any or column.is_json else column.type | None


def _words(problem: Exception) -> str:
    text = " ".join(problem.messages) if isinstance(problem, ValidationError) else str(problem)
    return re.sub(r"\s+", " ", text)[:200]


def _wrong(message: str, hint: str = "the backup does not fit this site's models, or was altered") -> ProofFailed:
    return ProofFailed(message, hint=hint)
