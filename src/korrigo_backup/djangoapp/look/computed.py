"""What the site's ModelAdmin computes from a row, computed from the row as it was.

The object is made of the saved values and is never saved. While the site's code computes, the site's databases, caches
and the storages of its files are closed to it: an answer would be of today. A value that needs one of them, or a value
that is hidden or cut, stays open.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from django.contrib.admin.utils import display_for_value, label_for_field, lookup_field
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.exceptions import FieldDoesNotExist
from django.db import connections, router
from django.db.models import BinaryField, FileField

from korrigo_backup.core.credentials import HIDDEN, is_secret

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from korrigo_backup.djangoapp.look.presented import Presented
    from korrigo_backup.djangoapp.look.tables import SavedTable

COLUMNS = 7
"""Columns of a list."""

OBJECT = "__str__"
"""The entry of `list_display` that is the object in words."""


class ListColumn(NamedTuple):
    """A column of a list: the heading, and the column of the table, or else the entry of `list_display` to compute."""

    head: str
    column: str = ""
    entry: Any = None


class _AsksSiteError(Exception):
    """The site's code has asked a database or the storage of a file while it computed a value of then."""


def list_columns(view: Presented, columns: Sequence[str], admin: Any) -> list[ListColumn]:
    """Return the columns of a list: those of the site's ModelAdmin if the backup has them, else the first columns."""
    table = view.table
    entries = list(admin.list_display) if admin and view.is_alike else []
    chosen = [_list_column(view, one, admin) for one in entries]
    if any(one.column and one.column not in columns for one in chosen):
        chosen = []
    if all(one.entry == OBJECT for one in chosen):  # Django's default does not show the fields
        chosen += [ListColumn(view.label(name), name) for name in columns]
    if table.key in columns:
        first = ListColumn(view.label(table.key), table.key)
        chosen = [first, *(one for one in chosen if one != first)]
    return chosen[:COLUMNS]


def computed_details(view: Presented, admin: Any) -> list[ListColumn]:
    """Return what the page of an object has besides its fields: the computed entries of `readonly_fields`."""
    entries = admin.readonly_fields if admin and view.is_alike else ()
    names = {field.name for field in view.table.model._meta.get_fields()}  # noqa: SLF001 - Django's documented name
    return [_list_column(view, one, admin) for one in entries if one not in names]


def needed_columns(table: SavedTable, admin: Any, most: int) -> list[str]:
    """Return the columns that a list needs, before it is known which the backup has: those of its fields come first."""
    fields = [field.column for field in table.model._meta.local_concrete_fields]  # noqa: SLF001 - Django's documented name
    listed = [_column(table.model, one) for one in admin.list_display] if admin else []
    first = [name for name in (table.key, *listed) if name]
    return list(dict.fromkeys([*first, *(name for name in fields if not is_secret(name))]))[:most]


def _list_column(view: Presented, entry: Any, admin: Any) -> ListColumn:
    if column := _column(view.table.model, entry):
        return ListColumn(view.label(column), column)
    if entry == OBJECT:
        return ListColumn(str(view.table.model._meta.verbose_name), "", entry)  # noqa: SLF001
    try:
        return ListColumn(str(label_for_field(entry, view.table.model, admin)), "", entry)
    except Exception:  # noqa: BLE001 - the site's own code
        return ListColumn(str(entry), "", entry)


def _column(model: Any, entry: Any) -> str:
    """Return the column of an entry of `list_display` that is a field of the table, "" for any other."""
    try:
        field: Any = model._meta.get_field(entry) if isinstance(entry, str) else None  # noqa: SLF001
    except FieldDoesNotExist:
        return ""
    return str(field.column) if field in model._meta.local_concrete_fields else ""  # noqa: SLF001


def computed(
    view: Presented, values: Mapping[str, str | None], entries: Sequence[Any], admin: Any, without: Collection[str] = ()
) -> list[Any]:
    """Return a text or safe HTML for each entry, None for one that cannot be told from the values of the row alone.

    `without` are columns whose values are not whole.
    """
    if not view.is_alike or admin is None:
        return [None] * len(entries)
    site = _ClosedSite()
    with site.closed():
        return [_computed(site, view, values, entry, admin, without) for entry in entries]


class _ClosedSite:
    """The databases, caches and files of the site, closed to the site's code of this thread; `is_asked` tells of a try.

    The code may catch the error of a try, and then compute a value that is untrue.
    """

    def __init__(self) -> None:
        self.is_asked = False

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Close them for the block; a transaction of the site that is open goes on as if nothing had been tried."""
        databases = [connections[alias] for alias in connections]
        states = [one.needs_rollback for one in databases]
        backends = {alias: caches[alias] for alias in caches}
        with ExitStack() as stack:
            for one in databases:
                stack.enter_context(one.execute_wrapper(self.ask))
            try:
                for alias in backends:
                    caches[alias] = DummyCache("", {})
                yield
            finally:
                for alias, backend in backends.items():
                    caches[alias] = backend
                for one, state in zip(databases, states, strict=True):
                    one.needs_rollback = state

    def ask(self, *_: Any) -> Any:
        """Note the try, and end it."""
        self.is_asked = True
        raise _AsksSiteError

    def __getattr__(self, _name: str) -> Any:
        """Stand for the storage of a file: each of its methods would tell of the file of today."""
        return self.ask


def _computed(
    site: _ClosedSite,
    view: Presented,
    values: Mapping[str, str | None],
    entry: Any,
    admin: Any,
    without: Collection[str],
) -> Any:
    site.is_asked = False
    try:
        _, attribute, value = lookup_field(entry, _object(site, view, values, without), admin)
        empty = getattr(attribute, "empty_value_display", None) or admin.get_empty_value_display()
        shown = display_for_value(value, empty, getattr(attribute, "boolean", False))
    except Exception:  # noqa: BLE001 - the site's own code, on a row of then
        return None
    return None if site.is_asked else shown


def _object(site: _ClosedSite, view: Presented, values: Mapping[str, str | None], without: Collection[str]) -> Any:
    """Return an object of the saved values; Django asks the database for those that are not known, which is closed."""
    model, known = view.table.model, {}
    files = []
    for field in model._meta.local_concrete_fields:  # noqa: SLF001 - Django's documented name
        text = values.get(field.column, HIDDEN)
        if text == HIDDEN or field.column in without or is_secret(field.column) or _is_written_otherwise(field):
            continue
        with suppress(Exception):  # a field's own code: its value is not known
            known[field.attname] = _value(field, text)
            files += [field] if isinstance(field, FileField) else []
    found = model.from_db(router.db_for_read(model), list(known), list(known.values()))
    for field in files:
        getattr(found, field.attname).storage = site
    return found


def _is_written_otherwise(field: Any) -> bool:
    """Whether neither Django nor the field reads the text of PostgreSQL: bytes, arrays, ranges."""
    return isinstance(field, BinaryField) or hasattr(field, "base_field")


def _value(field: Any, text: str | None) -> Any:
    if text is None:
        return None
    if hasattr(field, "from_db_value"):
        return field.from_db_value(text, None, connections[router.db_for_read(field.model)])
    return field.to_python(text)
