"""Warnings before the rows of a fixture become the site: new superusers, paths that lead out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage
from django.db import models

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.djangoapp.fixture.tables import ModelTable, Row

_NAMED = 20

_TRUE = (True, "t", "true")
"""The value of is_superuser in the row of a superuser, as a value and as PostgreSQL's text."""


class RowChecks:
    """Checks the rows of a fixture while they are read.

    With `trusted` the backup is known to be this site's own: a path that leads out of the media tree stood in its
    database and is only reported. Without, it is refused.
    """

    def __init__(self, tables: Iterable[ModelTable], *, trusted: bool) -> None:
        self._trusted = trusted
        self._paths = {table.label: places for table in tables if (places := _file_places(table))}
        self._user = next((table for table in tables if table.model is _user_model()), None)
        self._user_places = _superuser_places(self._user) if self._user else None
        self._superusers: set[str] = set()
        self._odd: list[str] = []
        self.labels = self._paths.keys() | ({self._user.label} if self._user and self._user_places else set())

    def see(self, label: str, row: Row, where: str) -> None:
        """Check a row of a table of `labels`. Raises ProofFailed for a path that leads out."""
        for place, name in self._paths.get(label, ()):
            if row[place] and leads_out(str(row[place])):
                self._found_odd(f"{label}.{name} = {str(row[place])[:100]!r}", where)
        if self._user and self._user_places and label == self._user.label and row[self._user_places[1]] in _TRUE:
            self._superusers.add(str(row[self._user_places[0]]))

    def warnings(self, alias: str) -> list[str]:
        """Return the warnings, compared with the users that the database has now."""
        messages = []
        if self._odd:
            messages.append(f"paths that lead out of the media tree: {first_of(self._odd, _NAMED, '; ')}")
        if self._superusers and (new := sorted(self._superusers - self._present(alias))):
            messages.append(f"superusers that this site does not have now: {first_of(new, _NAMED)}")
        return messages

    def _found_odd(self, what: str, where: str) -> None:
        if not self._trusted:
            raise ProofFailed(
                f"{where}: {what} leads out of the media tree",
                hint="if the site itself wrote such a path and you know where the backup comes from: --allow-unsigned",
            )
        self._odd.append(f"{what} ({where})")

    def _present(self, alias: str) -> set[str]:
        if self._user is None:
            return set()
        rows = models.QuerySet(self._user.model, using=alias).order_by().filter(is_superuser=True)
        return {str(name) for name in rows.values_list(self._user.model.USERNAME_FIELD, flat=True)}


def leads_out(path: str) -> bool:
    """Return whether a file's name, joined to MEDIA_ROOT, is a place outside of it."""
    return path.startswith("/") or "\0" in path or ".." in path.replace("\\", "/").split("/")


def _file_places(table: ModelTable) -> list[tuple[int, str]]:
    return [
        (place, column.name)
        for place, column in enumerate(table.columns)
        if isinstance(column.field, models.FileField) and isinstance(column.field.storage, FileSystemStorage)
    ]


def _superuser_places(table: ModelTable) -> tuple[int, int] | None:
    places = {column.name: place for place, column in enumerate(table.columns)}
    name = table.model.USERNAME_FIELD
    return (places[name], places["is_superuser"]) if name in places and "is_superuser" in places else None


def _user_model() -> Any:
    try:
        return get_user_model()
    except (ImproperlyConfigured, ImportError):
        return None
