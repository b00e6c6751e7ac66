"""Saved values as the site's models present them: labels of fields, words of choices, links along foreign keys.

Only where the backup has the migrations of the site for the model's app; else columns and values stay as they are. No
method of a model or a form runs here: labels and choices are data of the fields. `computed` runs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import router

from korrigo_backup.djangoapp.fixture.migration_state import applied

if TYPE_CHECKING:
    from collections.abc import Collection

    from korrigo_backup.artifact.manifest import Manifest
    from korrigo_backup.djangoapp.look.tables import SavedTable


@dataclass(frozen=True)
class ReferredRow:
    """The row that a foreign key names: its table, and its key."""

    table: SavedTable
    key: str

    @property
    def object(self) -> str:
        """The row as a person writes it."""
        return self.table.object(self.key)


@dataclass(frozen=True)
class Presented:
    """How values of a table are presented; `is_alike` is whether the backup has the migrations of the site."""

    table: SavedTable
    is_alike: bool

    def label(self, column: str) -> str:
        """Return the name of a column for a person: that of its field."""
        field = self._field(column)
        return str(field.verbose_name) if field is not None else column

    def words(self, column: str, text: str | None) -> str:
        """Return the words of a choice, "" for any other value."""
        field = self._field(column)
        if field is None or text is None:
            return ""
        return next((str(words) for value, words in field.flatchoices if _as_saved(value) == text), "")

    def target(self, column: str, text: str | None, tables: Collection[SavedTable]) -> ReferredRow | None:
        """Return the row of one of some tables that a value names, None for a value that is no foreign key to them."""
        field = self._field(column)
        if field is None or not text or not field.is_relation or field.remote_field is None:
            return None
        model = field.remote_field.model
        found = next((one for one in tables if one.label and one.model is model), None)
        return ReferredRow(found, text) if found and found.key == field.target_field.column else None

    def _field(self, column: str) -> Any:
        if not self.is_alike or not self.table.label:
            return None
        fields = self.table.model._meta.local_concrete_fields  # noqa: SLF001 - Django's documented name
        return next((one for one in fields if one.column == column), None)


def _as_saved(value: Any) -> str | None:
    """Return a value of a choice as COPY writes it."""
    if isinstance(value, bool):
        return "t" if value else "f"
    return None if value is None else str(value)


def migrations_of(manifest: Manifest | None) -> tuple[str, ...]:
    """Return the migrations of a backup, () if it does not name them."""
    if manifest and manifest.django:
        return manifest.django.migrations
    return manifest.database.migrations if manifest and manifest.database else ()


def presented(table: SavedTable, migrations: Collection[str]) -> Presented:
    """Return how values of a table are presented whose backup has some migrations, all or those of the model's app."""
    if not table.label:
        return Presented(table, is_alike=False)
    app = f"{table.model._meta.app_label}."  # noqa: SLF001 - Django's documented name
    now = {one for one in applied(router.db_for_read(table.model)) if one.startswith(app)}
    return Presented(table, is_alike=now == {one for one in migrations if one.startswith(app)})
