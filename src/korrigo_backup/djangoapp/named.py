"""Objects that an old fixture names instead of numbering them: `["admin"]` for a user, no `pk` for a group.

`dumpdata --natural-foreign --natural-primary` and Korrigo's former command write such files. Every object of a
model with a natural key is read once before all others, so that a name is found wherever it stands in the file.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import Error, models
from django.db.models.base import ModelState

if TYPE_CHECKING:
    from korrigo_backup.djangoapp.tables import Row, Table

Key = tuple[Any, ...]


class Named:
    """The names of a file's objects and their primary keys, given or made."""

    def __init__(self) -> None:
        self._keys: dict[str, dict[Key, Any]] = defaultdict(dict)
        self._unnumbered: dict[str, list[Key]] = defaultdict(list)

    def add(self, table: Table, row: Row, *, numbered: bool) -> None:
        """Note an object; an object that the file does not number gets a number at `settle`."""
        key = natural_key(table, row)
        if key is None:
            return
        if numbered:
            self._keys[table.label][key] = row[table.columns.index(table.pk)] if table.pk else row[0]
        else:
            self._unnumbered[table.label].append(key)

    def settle(self) -> None:
        """Give each object without a number a new number, above the largest of its model, in the order of the file."""
        for label, keys in self._unnumbered.items():
            known = self._keys[label]
            last = max((pk for pk in known.values() if isinstance(pk, int)), default=0)
            for number, key in enumerate(keys, start=last + 1):
                known.setdefault(key, number)
        self._unnumbered.clear()

    def find(self, label: str, key: Any) -> Any:
        """Return the primary key of a name; ValueError when no object of the file has it."""
        try:
            return self._keys[label][_plain(key)]
        except (KeyError, TypeError):
            raise ValueError(f"no {label} of the file is called {key!r}") from None


def has_names(model: Any) -> bool:
    """Return whether objects of a model have a natural key."""
    return hasattr(model, "natural_key")


def is_numbered_by_database(table: Table) -> bool:
    """Return whether an object without a primary key gets the next number."""
    numbered = models.AutoField | models.BigAutoField | models.SmallAutoField
    return table.pk is not None and isinstance(table.pk.field, numbered)


def natural_key(table: Table, row: Row) -> Key | None:
    """Return the name of a row, None if the model cannot derive it from its own columns.

    The instance is made without `__init__`: of the site's code only `natural_key` itself runs.
    """
    instance = table.model.__new__(table.model)
    instance._state = ModelState()  # noqa: SLF001 - as Model.__init__ does
    instance.__dict__.update({column.attname: value for column, value in zip(table.columns, row, strict=True)})
    try:
        return _plain(instance.natural_key())
    except (AttributeError, LookupError, TypeError, ValueError, ObjectDoesNotExist, Error):
        return None


def _plain(key: Any) -> Key:
    """Return a key as JSON has it: a part that is neither text nor number becomes text."""
    return tuple(part if isinstance(part, str | int | None) else str(part) for part in key)
