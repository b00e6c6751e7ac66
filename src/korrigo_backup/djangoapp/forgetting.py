"""`korrigo_backup.forget`: ask the host to record what the site erases, so that no restore brings it back."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import FileField, Model, QuerySet

from korrigo_backup.djangoapp.fixture.path_columns import media_prefix, table_of
from korrigo_backup.djangoapp.location import ERASURE, erasure_directory
from korrigo_backup.erasure.requests import FILES, ErasureRequest, ErasureSpool

if TYPE_CHECKING:
    from collections.abc import Iterator


def ask_to_forget(erased: Any, *, by: str = "") -> list[str]:
    """Write a request for each object; return their ids. See `korrigo_backup.forget`."""
    directory = erasure_directory()
    if directory is None:
        raise ImproperlyConfigured(f"{ERASURE} names the directory of requests to forget, and is not set")
    spool = ErasureSpool(directory)
    found = list(erased.iterator()) if isinstance(erased, QuerySet) else [erased]
    wrong = next((one for one in found if not isinstance(one, Model)), None)
    if wrong is not None:
        raise TypeError(f"forget takes an object of a model or a queryset, not {type(wrong).__name__}")
    now = datetime.now(UTC)
    requests = [request for one in found for request in _requests(one, by, now)]
    return [spool.ask(request) for request in requests]


def _requests(erased: Model, by: str, now: datetime) -> Iterator[ErasureRequest]:
    meta = erased._meta.concrete_model._meta  # noqa: SLF001 - Django's documented name
    if erased.pk is None:
        raise ValueError(f"this {meta.label} has no key any more: call forget before delete()")
    table = table_of(erased._meta.concrete_model)  # noqa: SLF001
    files = sorted(set(_files(erased)))
    for begin in range(0, max(1, len(files)), FILES):
        yield ErasureRequest(
            asked=now,
            model=meta.label,
            table=".".join(_quoted(one) for one in (table.schema, table.table) if one),
            key=_key(erased),
            files=tuple(files[begin : begin + FILES]),
            by=by[:150],
        )


def _key(erased: Model) -> tuple[str, ...]:
    """Return the values of the primary key, as texts that the database reads as the type of the column."""
    names = getattr(erased._meta, "pk_fields", None) or [erased._meta.pk]  # noqa: SLF001 - composite since Django 5.2
    values = (field.value_from_object(erased) for field in names)
    return tuple(value.isoformat() if hasattr(value, "isoformat") else str(value) for value in values)


def _files(erased: Model) -> Iterator[str]:
    """Yield the paths below MEDIA_ROOT of the files that an object names."""
    parents = erased._meta.concrete_model._meta.get_fields()  # noqa: SLF001
    for field in parents:
        if not isinstance(field, FileField):
            continue
        prefix, name = media_prefix(field.storage), field.value_from_object(erased).name
        if prefix is not None and name:
            yield "/".join(itertools.chain(filter(None, (prefix,)), (name,)))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
