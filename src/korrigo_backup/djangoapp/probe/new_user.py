"""A throw-away user of any user model: every field that must have a value is filled."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

from django.db import models
from django.db.models.fields import NOT_PROVIDED

from korrigo_backup.errors import Refused

PREFIX = "korrigo-probe-"
DOMAIN = "example.invalid"
"""RFC 2606: no mail can ever reach it."""

_PLAIN: dict[type[Any], Any] = {
    models.BooleanField: False,
    models.IntegerField: 0,
    models.FloatField: 0.0,
    models.DecimalField: 0,
    models.DateTimeField: datetime(2000, 1, 1, tzinfo=UTC),
    models.DateField: datetime(2000, 1, 1, tzinfo=UTC).date(),
    models.JSONField: {},
    models.BinaryField: b"",
}


def new_user(model: Any, password: str, alias: str) -> Any:
    """Return an unsaved, active user without any rights; Refused when a field wants a value that we cannot make up."""
    token = secrets.token_hex(4)
    user = model(**{field.attname: _value(field, token, alias) for field in _required(model)})
    if any(field.name == "is_active" for field in model._meta.concrete_fields):  # noqa: SLF001
        user.is_active = True
    user.set_password(password)
    return user


def _required(model: Any) -> list[Any]:
    named = {model.USERNAME_FIELD, *model.REQUIRED_FIELDS}
    return [
        field
        for field in model._meta.concrete_fields  # noqa: SLF001 - Django's documented name
        if field.name in named or (_needs(field) and field.name != "password")
    ]


def _needs(field: Any) -> bool:
    if field.null or field.primary_key or getattr(field, "generated", False) or field.default is not NOT_PROVIDED:
        return False
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return False
    return field.unique or not field.empty_strings_allowed or not field.blank


def _value(field: Any, token: str, alias: str) -> Any:
    if field.is_relation:
        return _first_target(field, alias)
    if field.choices and not field.unique:
        return field.flatchoices[0][0]
    own = _distinct(field, token)
    if own is not None:
        return own
    for kind, value in _PLAIN.items():
        if isinstance(field, kind):
            return value
    raise Refused(
        f"cannot make up a value for {field.model.__name__}.{field.name} ({type(field).__name__})",
        hint="give the field a default, or test the login by hand",
    )


def _distinct(field: Any, token: str) -> Any:
    """Return a value that no other row has, where the type of the field has room for it."""
    if isinstance(field, models.EmailField):
        return f"{PREFIX}{token}@{DOMAIN}"
    if isinstance(field, models.CharField | models.TextField):
        return (PREFIX + token)[-(field.max_length or 100) :]
    if isinstance(field, models.UUIDField):
        return uuid.uuid4()
    if isinstance(field, models.IntegerField) and field.unique:
        return int(token, 16) & 0x3FFFFFFF
    return None


def _first_target(field: Any, alias: str) -> Any:
    target = field.related_model._base_manager.using(alias).first()  # noqa: SLF001 - this manager hides no row
    if target is None or field.unique:
        raise Refused(
            f"{field.model.__name__}.{field.name} needs a row of {field.related_model.__name__} that is not there",
            hint="test the login by hand",
        )
    return getattr(target, field.target_field.attname)
