"""Compare the columns of this database with those of the backup, before any change.

Extensions that saved columns need are named with the statement that makes them; so are columns of another type, and
saved values that a column does not take as far as a length or a whole number shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.djangoapp.fixture import pg_types as pgtypes
from korrigo_backup.djangoapp.fixture.fields import TYPES, known_type, source_of
from korrigo_backup.djangoapp.fixture.pg_catalog import relations
from korrigo_backup.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from korrigo_backup.artifact.manifest import DjangoProof
    from korrigo_backup.djangoapp.fixture.fields import FieldColumn
    from korrigo_backup.djangoapp.fixture.tables import ModelTable, Row

_NAMED = 5

_USUAL = {
    "geometry": "postgis",
    "geography": "postgis",
    "raster": "postgis_raster",
    **{name: name for name in ("citext", "hstore", "ltree", "cube", "seg", "vector", "isn", "lo")},
}
"""Types of extensions, for manifests of former versions, which do not name the extensions."""

_EXTENSIONS = """
SELECT w.name, EXISTS (SELECT FROM pg_extension e WHERE e.extname = w.name), a.name IS NOT NULL,
       coalesce((SELECT bool_or(v.trusted) FROM pg_available_extension_versions v
                 WHERE v.name = w.name AND v.version = a.default_version), false)
       AND has_database_privilege(current_database(), 'CREATE')
FROM unnest(%s::text[]) AS w (name) LEFT JOIN pg_available_extensions a ON a.name = w.name ORDER BY 1
"""

_TEXTS = ("text", "character varying")
_LIMITED = re.compile(r"character(?: varying)?\((\d+)\)", re.ASCII)
_WHOLE_NUMBER = re.compile(r"\s*[+-]?\d{1,19}\s*", re.ASCII)
_BITS = {"smallint": 15, "integer": 31, "bigint": 63}


def require_extensions(proof: DjangoProof, alias: str) -> None:
    """Raise Refused when saved columns need extensions without which this database has not these columns."""
    connection, needed = connections[alias], _needed_extensions(proof)
    if connection.vendor != "postgresql" or not needed:
        return
    with connection.cursor() as cursor:
        cursor.execute(_EXTENSIONS, [list(needed)])
        lacking = [row for row in cursor.fetchall() if not row[1]]
    absent = set(_absent({name for row in lacking for name in needed[row[0]]}, alias))
    lacking = [row for row in lacking if absent.intersection(needed[row[0]])]
    if not lacking:
        return
    found = "; ".join(f"{name} ({_some(sorted(absent.intersection(needed[name])))})" for name, *_ in lacking)
    raise Refused(
        f"saved columns need extensions that this database does not have: {found}",
        hint=" ".join(map(_make, lacking)) + " Then make the tables: python manage.py migrate",
    )


def _make(row: tuple[str, bool, bool, bool]) -> str:
    name, _, available, own = row
    quoted = name if re.fullmatch("[a-z_][a-z0-9_]*", name) else f'"{name}"'
    package = "" if available else f"install {name} on the database server, then "
    return f"{package}{'type' if own else 'as a superuser type'}: CREATE EXTENSION {quoted};"


def _needed_extensions(proof: DjangoProof) -> dict[str, list[tuple[str, str]]]:
    """Return extensions with the columns (label and field) that need them."""
    needed: dict[str, list[tuple[str, str]]] = {}
    for label, columns in (proof.text_columns or {}).items():
        for name, declared in columns.items():
            usual = _USUAL.get(re.split(r"[(\[]", declared.rpartition(".")[2])[0])
            if extension := proof.type_extensions.get(declared, usual):
                needed.setdefault(extension, []).append((label, name))
    return needed


def _absent(wanted: Collection[tuple[str, str]], alias: str) -> Iterator[tuple[str, str]]:
    """Yield the columns, of models that the code has, that this database has not."""
    places = {}
    for label, name in wanted:
        try:
            meta = apps.get_model(label)._meta  # noqa: SLF001 - Django's documented name
            places[label, name] = meta.db_table, meta.get_field(name).column
        except LookupError:
            continue  # the code has changed: reported elsewhere
    there = relations({table for table, _ in places.values()}, connections[alias])
    for one, (table, column) in places.items():
        if table not in there or column not in there[table].columns:
            yield one


def require_columns(tables: Iterable[ModelTable]) -> None:
    """Raise Refused when a table lacks columns of its model."""
    lacking = [
        f"{table.name}.{column.column}"
        for table in tables
        if table.relation
        for column in table.columns
        if column.column not in table.relation.columns
    ]
    if lacking:
        raise Refused(
            f"tables of this database lack columns that the models have: {_some(lacking)}",
            hint="bring the tables to the code: python manage.py migrate",
        )


@dataclass
class _Place:
    """A column whose type is not that of the saved values, and how many of them it does not take."""

    index: int
    words: str
    mend: str
    fits: Callable[[str], bool] | None
    misfits: int = 0
    first: str = ""


class Fit:
    """Checks the rows of a fixture while they are read, if a column has another type than the saved one."""

    def __init__(self, tables: Iterable[ModelTable], proof: DjangoProof | None, alias: str) -> None:
        saved = (proof.text_columns if proof else None) or {}
        self._places = {
            table.label: places
            for table in tables
            if table.exact and (places := list(_places(table, saved.get(table.label, {}), connections[alias])))
        }
        self.labels: Collection[str] = self._places.keys()

    def see(self, label: str, row: Row, where: str) -> None:
        """Count the values of a row that their columns do not take."""
        for place in self._places.get(label, ()):
            value = row[place.index]
            if place.fits and isinstance(value, str) and not place.fits(value):
                place.misfits += 1
                place.first = place.first or where

    def warnings(self) -> list[str]:
        """Return a warning that names columns of another type. Raises Refused for saved values that do not fit."""
        every = [place for places in self._places.values() for place in places]
        if misfits := [place for place in every if place.misfits]:
            raise Refused(
                "columns of this database do not take the saved values: "
                + _some([f"{one.words}: {one.misfits} values do not fit, first {one.first}" for one in misfits], "; "),
                hint=f"give the column its type again: {_some([one.mend for one in misfits], '; ')}",
            )
        doubtful = [place for place in every if place.fits is None]
        if not doubtful:
            return []
        words, mends = _some([one.words for one in doubtful], "; "), _some([one.mend for one in doubtful], "; ")
        return [f"columns of another type than was saved, which may refuse values: {words}\nhint: {mends}"]


def _places(table: ModelTable, saved: dict[str, str], connection: Any) -> Iterator[_Place]:
    there = table.relation.columns if table.relation else {}
    for index, column in enumerate(table.columns):
        live = there.get(column.column)
        if live is None or column.natural:
            continue
        declared = saved.get(column.name) or _declared(column, live.type, live.declared, connection)
        if declared is None or _bare(declared) == _bare(live.declared) or _takes_all(live.declared, declared):
            continue
        quote = connection.ops.quote_name
        yield _Place(
            index,
            f"{table.label}.{column.name} is {live.declared}, saved as {declared}",
            f"ALTER TABLE {table.relation.name if table.relation else ''} ALTER COLUMN {quote(column.column)}"
            f" TYPE {declared};",
            _test(live.type, live.declared),
        )


def _declared(column: FieldColumn, type_: str, declared: str, connection: Any) -> str | None:
    """Return the type that a column of plain values should have; None if the live column takes the saved values."""
    source = source_of(column.field)
    known = known_type(source)
    if known is None:
        return None
    limit, longest = _LIMITED.fullmatch(declared), getattr(source, "max_length", None)
    if pgtypes.plain_way(known, TYPES[known], type_) is None:
        return str(source.db_type(connection))
    if limit and (longest is None or longest > int(limit[1])):
        return str(source.db_type(connection))
    return None


def _takes_all(live: str, declared: str) -> bool:
    """Return whether the live type takes all texts of the other, unchanged."""
    if live in _TEXTS:
        return True
    mine, theirs = _LIMITED.fullmatch(live), _LIMITED.fullmatch(_long(declared))
    return bool(mine and theirs and live.startswith("character varying") and int(mine[1]) >= int(theirs[1]))


def _long(declared: str) -> str:
    return declared.replace("varchar", "character varying")


def _bare(declared: str) -> str:
    return _long(declared).rpartition(".")[2].replace('"', "")


def _test(type_: str, declared: str) -> Callable[[str], bool] | None:
    """Return a test whether a text fits; None for a type whose limits are not known here."""
    if limit := _LIMITED.fullmatch(declared):
        longest = int(limit[1])
        return lambda text: len(text) <= longest
    if type_ in _BITS:
        end = 1 << _BITS[type_]
        return lambda text: bool(_WHOLE_NUMBER.fullmatch(text)) and -end <= int(text) < end
    return None


def _some(names: Sequence[object], separator: str = ", ") -> str:
    shown = [".".join(name) if isinstance(name, tuple) else str(name) for name in names]
    return first_of(shown, _NAMED, separator)
