"""The objects that a user of the admin may ask for: of a model or table of the site, by the permission to add them."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connection

from korrigo_backup.errors import UsageError
from korrigo_backup.rescue.objects import parse_object

_TABLE = "SELECT 1 FROM information_schema.tables WHERE lower(table_schema) = %s AND lower(table_name) = %s"


def is_known(text: str) -> bool:
    """Return whether an object is of a model, or of a table of the database."""
    named = parse_object(text).model.lower().replace('"', "")
    if any(_is_named(model._meta, named) for model in apps.get_models(include_auto_created=True)):  # noqa: SLF001
        return True
    schema, _, table = named.rpartition(".")
    if schema in {"", "public"}:
        return table in map(str.lower, connection.introspection.table_names())
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute(_TABLE, [schema, table])
        return cursor.fetchone() is not None


def may_ask(user: Any, text: str) -> bool:
    """Return whether a user may ask for an object: by the permission to add such objects; a superuser for any table."""
    if user.is_superuser:
        return True
    try:
        named = parse_object(text).model.lower()
    except UsageError:
        return False
    models = [model._meta for model in apps.get_models() if _is_named(model._meta, named)]  # noqa: SLF001
    return bool(models) and all(user.has_perm(f"{one.app_label}.add_{one.model_name}") for one in models)


def _is_named(options: Any, named: str) -> bool:
    names = (options.label_lower, options.model_name, options.db_table.lower(), f"public.{options.db_table.lower()}")
    return named.replace('"', "") in names
