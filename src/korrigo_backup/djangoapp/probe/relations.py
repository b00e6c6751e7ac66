"""The relations between the models of the site, as its code declares them: the database may hold only some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps

from korrigo_backup.core.site_description import DeclaredRelation
from korrigo_backup.djangoapp.fixture.path_columns import models_of, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def relations_of(alias: str) -> tuple[DeclaredRelation, ...]:
    """Return every reference between tables of models: foreign keys, parent links, generic relations."""
    return tuple(one for model in models_of(alias) for one in (*_foreign_keys(model), *_generic(model)))


def _foreign_keys(model: Any) -> Iterator[DeclaredRelation]:
    for field in model._meta.local_concrete_fields:  # noqa: SLF001 - Django's documented name
        if not (field.is_relation and (field.many_to_one or field.one_to_one)):
            continue
        pairs = [(mine.column, theirs) for mine, theirs in field.related_fields]
        yield DeclaredRelation(
            table=table_of(model),
            columns=tuple(mine for mine, _ in pairs),
            to=table_of(pairs[0][1].model),
            to_columns=tuple(theirs.column for _, theirs in pairs),
            parent_link=bool(field.remote_field.parent_link),
            on_delete=_on_delete(field.remote_field.on_delete),
        )


def _on_delete(handler: Any) -> str:
    """Return the name of a handler: that of `SET(…)` is a function inside of it, and one of the database has none."""
    name = getattr(handler, "__name__", "")
    return "SET" if hasattr(handler, "deconstruct") else name if name in _HANDLERS else ""


_HANDLERS = frozenset({"CASCADE", "SET_NULL", "SET_DEFAULT", "PROTECT", "RESTRICT", "DO_NOTHING"})


def _generic(model: Any) -> Iterator[DeclaredRelation]:
    """Yield the relations that a model declares with GenericRelation: their rows are deleted with its own."""
    if not apps.is_installed("django.contrib.contenttypes"):
        return
    from django.contrib.contenttypes.fields import GenericRelation  # noqa: PLC0415 - its models must be installed

    for field in model._meta.private_fields:  # noqa: SLF001
        if not isinstance(field, GenericRelation) or field.model is not model:
            continue
        child, meta = field.related_model, model._meta.concrete_model._meta  # noqa: SLF001
        named = {name: child._meta.get_field(name).column for name in _columns_of(field)}  # noqa: SLF001
        yield DeclaredRelation(
            table=table_of(child),
            columns=(named[field.object_id_field_name],),
            to=table_of(model),
            to_columns=(model._meta.pk.column,),  # noqa: SLF001
            type_column=named[field.content_type_field_name],
            content_type=(meta.app_label, meta.model_name),
            on_delete="CASCADE",
        )


def _columns_of(field: Any) -> tuple[str, str]:
    return field.object_id_field_name, field.content_type_field_name
