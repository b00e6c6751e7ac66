"""Content types and permissions are written by name, because their numbers differ from database to database.

Both are made by `migrate` and excluded from a dump; rows that refer to them must find them again on load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import models

from korrigo_backup.domain.manifest import PermissionName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Key = tuple[str, ...]
"""(app_label, model) of a content type; (codename, app_label, model) of a permission."""

CONTENT_TYPE = "contenttypes.contenttype"
PERMISSION = "auth.permission"
KEY_TYPES: dict[str, Any] = {CONTENT_TYPE: tuple[str, str], PERMISSION: tuple[str, str, str]}


class Names:
    """Numbers and names of a model's rows in a database, and the names that are still to be made."""

    def __init__(self, keys: dict[int, Key]) -> None:
        self._keys = keys
        self._ids = {key: id_ for id_, key in keys.items()}
        self.missing: set[Key] = set()

    @property
    def keys(self) -> dict[int, Key]:
        """The names by their numbers, as they are now."""
        return self._keys

    def key(self, id_: Any) -> Any:
        """Return the name of a number; the number itself when its row is gone, which is then all there is."""
        return self._keys.get(id_, id_)

    def id(self, key: Any) -> Any:
        """Return the number of a name; a number is returned as it is. KeyError for a name that was not made."""
        return self._ids[tuple(key)] if isinstance(key, list | tuple) else key

    def require(self, key: Any) -> None:
        """Remember a name that does not exist yet."""
        if isinstance(key, list | tuple) and tuple(key) not in self._ids:
            self.missing.add(tuple(key))

    def add(self, id_: int, key: Key) -> None:
        """Take up a row that was made."""
        self._keys[id_] = key
        self._ids[key] = id_
        self.missing.discard(key)


class NaturalKeys:
    """The names of all content types and permissions of a database."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._names = {CONTENT_TYPE: Names({}), PERMISSION: Names({})}
        if apps.is_installed("django.contrib.contenttypes"):
            types = dict(self._read(CONTENT_TYPE, "pk", "app_label", "model"))
            self._names[CONTENT_TYPE] = Names(types)
            if apps.is_installed("django.contrib.auth"):
                rows = self._rows(PERMISSION, "pk", "codename", "content_type_id")
                self._names[PERMISSION] = Names({pk: (code, *types[ct]) for pk, code, ct in rows if ct in types})

    def of(self, label: str) -> Names:
        """Return the names of a model."""
        return self._names[label]

    @property
    def missing(self) -> int:
        """How many content types and permissions have to be made."""
        return sum(len(names.missing) for names in self._names.values())

    def own_permissions(self) -> tuple[PermissionName, ...]:
        """Return the permissions that `migrate` would not make as they are: made by the site, or renamed by it."""
        if not apps.is_installed("django.contrib.auth"):
            return ()
        usual = set(_usual_permissions())
        types = self._names[CONTENT_TYPE].keys
        rows = self._rows(PERMISSION, "codename", "name", "content_type_id")
        found = [(code, *types[ct], name) for code, name, ct in rows if ct in types]
        return tuple(PermissionName(*one) for one in sorted(found) if one not in usual)

    def call(self, own: Iterable[PermissionName]) -> None:
        """Make the permissions of a backup that the site had made itself, and give each its name."""
        if not apps.is_installed("django.contrib.auth"):
            return
        names = self._names[PERMISSION]
        wanted = {(one.codename, one.app, one.model): one.name for one in own}
        for key in wanted:
            names.require(key)
        self.make_missing()
        rows = models.QuerySet(apps.get_model(PERMISSION), using=self._alias).order_by()
        for key, name in wanted.items():
            rows.filter(pk=names.id(key)).exclude(name=name).update(name=name)

    def make_missing(self) -> None:
        """Make the objects that were required and are missing; no signal is sent.

        A permission is called by its codename.
        """
        types, permissions = self._names[CONTENT_TYPE], self._names[PERMISSION]
        for key in permissions.missing:
            types.require(key[1:])
        for key in sorted(types.missing):
            types.add(self._make(CONTENT_TYPE, app_label=key[0], model=key[1]), key)
        for key in sorted(permissions.missing):
            made = self._make(PERMISSION, codename=key[0], name=key[0], content_type_id=types.id(key[1:]))
            permissions.add(made, key)

    def _make(self, label: str, **values: Any) -> int:
        model = apps.get_model(label)
        (made,) = models.QuerySet(model, using=self._alias).bulk_create([model(**values)])
        return int(made.pk)

    def _read(self, label: str, *names: str) -> list[tuple[int, Key]]:
        return [(pk, tuple(key)) for pk, *key in self._rows(label, *names)]

    def _rows(self, label: str, *names: str) -> Any:
        return models.QuerySet(apps.get_model(label), using=self._alias).order_by().values_list(*names)


def _usual_permissions() -> Iterator[tuple[str, str, str, str]]:
    for model in apps.get_models():
        meta = model._meta  # noqa: SLF001 - Django's documented name
        usual = [(f"{action}_{meta.model_name}", f"Can {action} {meta.verbose_name_raw}")
                 for action in meta.default_permissions]  # fmt: skip
        for code, name in (*usual, *meta.permissions):
            yield code, meta.app_label, meta.model_name, str(name)


def natural_label(field: Any) -> str | None:
    """Return which named model a column's numbers belong to, following keys that are keys themselves."""
    while field.is_relation:
        target = field.remote_field.model._meta  # noqa: SLF001 - Django's documented name
        label = target.concrete_model._meta.label_lower  # noqa: SLF001
        field = field.target_field
        if label in KEY_TYPES and field.primary_key:
            return str(label)
    return None
