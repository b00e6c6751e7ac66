"""Which columns of the site name media files: every FileField, and those that the settings name."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage
from django.db import models, router

from korrigo_backup.domain.description import PathColumn, PathKind, TableName

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTING = "KORRIGO_BACKUP_PATH_COLUMNS"
"""A list of "table.column" or "table.column:path", where path is an SQL/JSON path into a JSON column."""

EVERY_STRING = 'strict $.** ? (@.type() == "string")'
"""The path for a JSON column without a path: all strings in it, however deep."""


def models_of(alias: str) -> Iterator[Any]:
    """Yield the models that have a table of their own in a database."""
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta  # noqa: SLF001 - Django's documented name
        if not (meta.proxy or meta.swapped) and router.allow_migrate_model(alias, model):
            yield model


def table_of(model: Any) -> TableName:
    """Return a model's table; a schema written into it (`"archive"."copy"`) is taken apart."""
    return _table_name(model._meta.db_table)  # noqa: SLF001


def file_columns(alias: str) -> tuple[tuple[PathColumn, ...], tuple[str, ...]]:
    """Return the columns of all file fields below MEDIA_ROOT, and the names of those that store elsewhere."""
    inside, outside = [], []
    for model in models_of(alias):
        for field in model._meta.local_concrete_fields:  # noqa: SLF001
            if not isinstance(field, models.FileField):
                continue
            table, prefix = table_of(model), _prefix(field.storage)
            if prefix is None:
                outside.append(f"{table.table}.{field.column}")
                continue
            inside.append(
                PathColumn(
                    table=table.table, schema=table.schema, column=field.column, kind=PathKind.FILE, prefix=prefix
                )
            )
    return tuple(inside), tuple(outside)


def configured_columns(alias: str) -> tuple[PathColumn, ...]:
    """Return the columns that the setting names; ImproperlyConfigured for an entry that cannot be meant."""
    entries = getattr(settings, SETTING, ())
    if isinstance(entries, str) or not all(isinstance(entry, str) for entry in entries):
        raise ImproperlyConfigured(f'{SETTING} is a list of strings: ["exams_booklet.pages"]')
    fields = {
        (table_of(model).table, field.column): field
        for model in models_of(alias)
        for field in model._meta.local_concrete_fields  # noqa: SLF001
    }
    return tuple(_configured(entry, fields) for entry in entries)


def _configured(entry: str, fields: dict[tuple[str, str], Any]) -> PathColumn:
    place, _, path = entry.partition(":")
    name, _, column = place.rpartition(".")
    if not name or not column:
        raise ImproperlyConfigured(f'{SETTING}: {entry!r} is not "table.column" or "table.column:path"')
    schema, _, rest = name.rpartition(".")
    known = {table for table, _ in fields}
    table = TableName(rest, schema) if schema and name not in known and '"' not in name else _table_name(name)
    field = fields.get((table.table, column))
    if field is None and table.table in known:
        raise ImproperlyConfigured(f"{SETTING}: {entry!r}: the table {table.table} has no column {column}")
    as_json = bool(path) or (field is not None and not isinstance(field, models.CharField | models.TextField))
    return PathColumn(
        table=table.table,
        schema=table.schema,
        column=column,
        kind=PathKind.JSON if as_json else PathKind.TEXT,
        path=path or EVERY_STRING if as_json else "",
    )


def _table_name(name: str) -> TableName:
    if match := re.fullmatch(r'"([^"]+)"\."([^"]+)"', name):
        return TableName(match[2], match[1])
    return TableName(name.strip('"') if name.startswith('"') and name.endswith('"') else name)


def stored_elsewhere(storage: Any) -> bool:
    """Return whether the files of a storage are not below MEDIA_ROOT."""
    return _prefix(storage) is None


def _prefix(storage: Any) -> str | None:
    """Return the storage's place below MEDIA_ROOT ("" for the root itself), None when it is not below it."""
    if not isinstance(storage, FileSystemStorage) or not settings.MEDIA_ROOT:
        return None
    root, place = (os.path.realpath(path) for path in (settings.MEDIA_ROOT, storage.location))
    if place == root:
        return ""
    return os.path.relpath(place, root) if place.startswith(root.rstrip("/") + "/") else None
