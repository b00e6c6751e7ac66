"""Compare the migrations that a database has with those that the code has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.core.site_description import AppMigrations

Key = tuple[str, str]
"""App label and name of a migration."""


class MigrationDifference(msgspec.Struct, frozen=True):
    """Migrations that only one side has, as `app.name`.

    `unapplied`: the code has them, the database does not. `ahead`: the database has them and their number is above
    every number of the code, so it was made by newer code. `gone`: the database has them and the code knows them no
    more: squashed and removed, or their app was removed.
    """

    unapplied: tuple[str, ...]
    ahead: tuple[str, ...]
    gone: tuple[str, ...]


def compare(applied: Iterable[Key], code: Iterable[AppMigrations]) -> MigrationDifference:
    """Return how the applied migrations and those on disk differ.

    A squashed migration counts as applied if all migrations that it replaces are (Django's rule); the replaced
    migrations of an applied migration need no entry of their own.
    """
    apps, have = tuple(code), set(applied)
    on_disk = {(app.app, name) for app in apps for name in app.names}
    replaces = {(app.app, name): set(old) for app in apps for name, old in app.replaces.items()}
    unapplied = {key for key in on_disk - have if not _covered(key, have, on_disk, replaces)}
    known = on_disk.union(*replaces.values())
    highest = {app.app: max((_number(name) for name in app.names), default=0) for app in apps}
    unknown = have - known
    ahead = {key for key in unknown if key[0] in highest and _number(key[1]) > highest[key[0]]}
    return MigrationDifference(_named(unapplied), _named(ahead), _named(unknown - ahead))


def _covered(key: Key, have: set[Key], on_disk: set[Key], replaces: dict[Key, set[Key]]) -> bool:
    """Return whether a migration without an entry needs none: another migration, applied or to come, stands for it."""
    if old := replaces.get(key):
        missing = old - have
        return not missing or (missing != old and missing <= on_disk)  # half of them: the missing are named themselves
    standing_for = [new for new, old in replaces.items() if key in old]
    return any(new in have or not replaces[new] & have for new in standing_for)


def _number(name: str) -> int:
    """Return the number that Django writes before a migration's name, 0 when there is none."""
    match = re.match(r"\d+", name, re.ASCII)
    return int(match[0]) if match else 0


def _named(keys: set[Key]) -> tuple[str, ...]:
    return tuple(f"{app}.{name}" for app, name in sorted(keys))
