"""The migrations of a backup compared with those of the code and of the database: same, ahead or behind, with hints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from korrigo_backup.domain.excerpt import first_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMED = 5


def applied(alias: str) -> tuple[str, ...]:
    """Return the applied migrations as `app.name`, sorted."""
    recorder = MigrationRecorder(connections[alias])
    found = recorder.migration_qs.values_list("app", "name") if recorder.has_table() else ()
    return tuple(sorted({f"{app}.{name}" for app, name in found}))


@dataclass(frozen=True)
class Code:
    """The migrations of the code, as `app.name`; the `squashed` ones and those they replace may stand apart."""

    names: frozenset[str]
    squashed: frozenset[str]


def in_code() -> Code:
    """Return the migrations of the code as it is now."""
    found = MigrationLoader(None).disk_migrations
    squashed = {key: one.replaces for key, one in found.items() if one.replaces}
    either = frozenset(f"{app}.{name}" for key, replaced in squashed.items() for app, name in (key, *replaced))
    return Code(frozenset(f"{app}.{name}" for app, name in found) | either, either)


def compare(theirs: Iterable[str], code: Code, database: Iterable[str]) -> list[str]:
    """Return the warnings before a load; none if backup, code and database agree.

    `theirs` were applied when the backup was made, `database` are applied now.
    """
    then, said = set(theirs), []
    if behind := sorted(then - code.names):
        said.append(
            f"the code is behind the backup, it has not {_some(behind)}: use the revision of the code that made the"
            " backup, run manage.py migrate, then restore again"
        )
    if ahead := sorted(code.names - then - code.squashed):
        said.append(
            f"the code is ahead of the backup by {_some(ahead)}: the rows are loaded into the newer tables, and what"
            " those migrations do to rows was not done to them: look at each of them, or restore with the revision"
            " that made the backup and then migrate"
        )
    if unapplied := sorted(code.names - set(database) - code.squashed):
        said.append(f"the database has not the migrations {_some(unapplied)} of the code: run manage.py migrate first")
    return said


def _some(names: list[str]) -> str:
    return first_of(names, _NAMED)
