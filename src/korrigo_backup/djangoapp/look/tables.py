"""The tables of a backup as a member of staff may see them: with the models that they have, and their live rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.apps import apps
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connections, router, transaction
from django.db.models import BinaryField, QuerySet

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.manifest import ModelColumns
from korrigo_backup.core.credentials import holds_credentials
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.djangoapp.fixture.natural_keys import natural_label
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.rescue.objects import plain_parts, written_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from korrigo_backup.artifact.kinds import Kind
    from korrigo_backup.artifact.manifest import Manifest


class SavedTable(NamedTuple):
    """A table of a backup: its qualified name, its rows, and the model of the site that it belongs to."""

    name: str
    rows: int
    model: Any

    @property
    def label(self) -> str:
        """The model as a person writes it, "" for a table without a model."""
        return str(self.model._meta.label) if self.model and not self.model._meta.auto_created else ""  # noqa: SLF001

    @property
    def title(self) -> str:
        """The name of the model in the language of the reader, or the table's."""
        return str(self.model._meta.verbose_name_plural) if self.label else self.name  # noqa: SLF001

    @property
    def key(self) -> str:
        """The column of the primary key, "" for a table without a model or with a key of several columns."""
        return str(getattr(self.model._meta.pk, "column", None) or "") if self.label else ""  # noqa: SLF001

    def object(self, key: str) -> str:
        """Return a row as `undelete` takes it."""
        return written_object(self.label, [key])


def tables_of(manifest: Manifest, user: Any) -> list[SavedTable]:
    """Return the tables that a user may look into, by name: those whose live rows he may see; all to a superuser.

    Tables of sessions, tokens and keys are shown to nobody.
    """
    found = _of_objects(manifest) if manifest.django else _of_dump(manifest)
    return sorted((one for one in found if _may_see(user, one)), key=lambda one: (one.label == "", one.name))


def _of_dump(manifest: Manifest) -> list[SavedTable]:
    saved = manifest.database.tables if manifest.database else ()
    models = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}  # noqa: SLF001
    names = ((normal_name(one.name), one.rows) for one in saved)
    return [SavedTable(name, rows, models.get(plain_parts(name)[1])) for name, rows in names]


def _of_objects(manifest: Manifest) -> list[SavedTable]:
    layout = layout_of(manifest)
    proofs = (*manifest.django.models, *manifest.django.referred) if manifest.django else ()
    return [
        SavedTable(normal_name(layout[one.name].table), one.rows, _model(one.name))
        for one in proofs
        if one.name in layout
    ]


def layout_of(manifest: Manifest) -> Mapping[str, ModelColumns]:
    """Return tables and columns of a Django backup by model; of a former version's, those of the site's models now."""
    proof = manifest.django
    if proof is None or proof.tables:
        return proof.tables if proof else {}
    models = {one.name: _model(one.name) for one in (*proof.models, *proof.referred)}
    return {label: _layout(model) for label, model in models.items() if model}


def _model(label: str) -> Any:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        return None


def _layout(model: Any) -> ModelColumns:
    options = model._meta  # noqa: SLF001 - Django's documented name
    columns = {field.name: field.column for field in options.local_concrete_fields}
    return ModelColumns(normal_name(identifier(options.db_table)), getattr(options.pk, "name", ""), columns)


def uncompared(table: SavedTable, kind: Kind) -> set[str]:
    """Return the columns whose values in a backup of a kind are not as PostgreSQL writes them."""
    if not KINDS[kind].loaded_by_django or not table.model:
        return set()
    fields = table.model._meta.local_concrete_fields  # noqa: SLF001 - Django's documented name
    return {field.column for field in fields if natural_label(field) or isinstance(field, BinaryField)}


def models_of(user: Any) -> list[SavedTable]:
    """Return the tables of the models that a user may see, by their names."""
    found = [SavedTable(model._meta.db_table, 0, model) for model in apps.get_models()]  # noqa: SLF001
    return sorted((one for one in found if one.key and _may_see(user, one)), key=lambda one: one.label)


def _may_see(user: Any, table: SavedTable) -> bool:
    model = table.model
    if holds_credentials(plain_parts(table.name)[1]) or (model and issubclass(model, AbstractBaseSession)):
        return False
    if user.is_superuser:
        return True
    if model is None:
        return False
    options = (model._meta.auto_created or model)._meta  # noqa: SLF001 - Django's own way
    return any(user.has_perm(f"{options.app_label}.{verb}_{options.model_name}") for verb in ("view", "change"))


def live_keys(table: SavedTable, keys: Sequence[str]) -> set[str] | None:
    """Return those keys whose rows are live; None if the site cannot tell."""
    if not table.key:
        return None
    field = table.model._meta.pk  # noqa: SLF001
    try:
        by_value = {field.to_python(key): key for key in keys}
    except (ValidationError, ValueError, TypeError):
        return None
    there = QuerySet(table.model).filter(pk__in=list(by_value)).values_list("pk", flat=True)
    return {by_value[value] for value in there if value in by_value}


class LiveValue(NamedTuple):
    """A value of the live row, and whether it differs from the saved value."""

    text: str | None
    differs: bool


def live_row(table: SavedTable, values: Mapping[str, str | None]) -> dict[str, LiveValue] | None:
    """Return the live row with the key of a saved row, by column; None if there is none, or no PostgreSQL.

    The server compares: it reads the saved text as the type of the column.
    """
    alias = router.db_for_read(table.model)
    key = values.get(table.key)
    if connections[alias].vendor != "postgresql" or key is None:
        return None
    try:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            return _live_values(cursor, connections[alias].ops.quote_name, table, {**values, table.key: key})
    except DatabaseError:  # a column has another type now, which does not take the saved text
        return None


def _live_values(
    cursor: Any, quote: Callable[[str], str], table: SavedTable, values: Mapping[str, str | None]
) -> dict[str, LiveValue] | None:
    name = quote(table.model._meta.db_table)  # noqa: SLF001
    cursor.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass"
        " AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [name],
    )
    kinds = {column: kind for column, kind in cursor.fetchall() if column in values}
    quoted = {column: quote(column).replace("%", "%%") for column in kinds}
    parts = ", ".join(
        f"{quoted[column]}::text, to_jsonb({quoted[column]}) IS DISTINCT FROM to_jsonb(%s::{kind})"
        for column, kind in kinds.items()
    )
    cursor.execute(
        f"SELECT {parts} FROM {name} WHERE {quoted[table.key]} = %s::{kinds[table.key]}",
        [*(values[column] for column in kinds), values[table.key]],
    )
    found = cursor.fetchone()
    if found is None:
        return None
    pairs = zip(found[::2], found[1::2], strict=True)
    return {column: LiveValue(text, bool(differs)) for column, (text, differs) in zip(kinds, pairs, strict=True)}
