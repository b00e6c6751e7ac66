"""The plan of a restore: shown by `plan`, confirmed and carried out by `restore`."""

from __future__ import annotations

from collections.abc import Iterable  # noqa: TC003 - msgspec reads the annotations of this module
from datetime import datetime  # noqa: TC003 - msgspec reads it when it encodes

import msgspec
from msgspec import UNSET, UnsetType

from korrigo_backup.artifact.kinds import Kind  # noqa: TC001 - msgspec reads it when it encodes
from korrigo_backup.compare.differences import FileChange  # noqa: TC001 - msgspec reads it when it encodes
from korrigo_backup.core.finding import Finding, Level, first_error
from korrigo_backup.errors import Refused

ROLLBACK = "korrigo-backup rollback"
FROM_SAFETY = "korrigo-backup rollback --to safety --in-place"
"""Commands that undo a restore: by what is kept beside the live data, or by the safety backup."""


class TableChange(msgspec.Struct, frozen=True):
    """Rows of a table now and after the restore; None where the table does not exist on that side.

    `added`, `changed` and `removed` count the rows since the backup, which a restore undoes; None if single rows were
    not compared.
    """

    name: str
    now: int | None
    after: int | None
    identical: bool
    added: int | None = None
    changed: int | None = None
    removed: int | None = None


class Migrations(msgspec.Struct, frozen=True):
    """Applied migrations (`app.name`) that only one side has: those that would be lost, those that would come."""

    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the site that is replaced: `database` or `media`.

    `kept_as` names the previous copy, None if none is kept. `needs` is in bytes, in addition to the present data;
    `free` is the free space of the disk, None if it cannot be seen from here. `in_place`: the content is replaced
    inside the live database, after a safety backup; `undone_by` is then the command that brings the former content
    back.
    """

    part: str
    target: str
    kept_as: str | None
    needs: int
    free: int | None
    in_place: bool = False
    undone_by: str | UnsetType = UNSET


def replaced_in_place(database: str) -> str:
    """Return the cost of a restore in place, as a sentence."""
    return (
        f"the content of database {database} is replaced inside it: no previous copy is kept, the site is down as"
        " long as a safety backup and the load take, and the server needs room for both contents until the end"
    )


def replaced_by_django(database: str, reason: str) -> str:
    """Return the cost of a restore in place by the site's Django, with the reason, as a sentence."""
    return (
        f"the rows in database {database} are replaced inside it by the site's manage.py, in a transaction, and its"
        " tables stay as they are: the site is down as long as a safety backup, the load and the media take"
        f" (no copy of the database is loaded while it serves: {reason})"
    )


def loaded_by_django(database: str) -> str:
    """Return the effect of a restore by the site's Django into a copy of the live database, as a sentence."""
    return (
        f"the site's manage.py loads a copy of database {database} while the site serves; tables that the backup does"
        " not hold (sessions, tables without a model) keep the rows that they have at the stop"
    )


class RestorePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A restore that is decided but not done. Of `media`, files added since vanish and files removed since come back.

    `downtime` is predicted from earlier restores, in seconds.
    """

    artifact: str
    kind: Kind
    created: datetime
    replaces: tuple[Replacement, ...]
    tables: tuple[TableChange, ...] = ()
    media: FileChange | None = None
    migrations: Migrations = Migrations()
    downtime: float | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether a check before the work refuses the restore."""
        return first_error(self.findings) is not None

    def kept(self, part: str) -> str | None:
        """Return the name of the previous copy of a part, None if none is kept, or the part is not replaced."""
        return next((one.kept_as for one in self.replaces if one.part == part), None)


def compare_tables(
    now: dict[str, tuple[int, str | None]], after: dict[str, tuple[int, str | None]]
) -> tuple[TableChange, ...]:
    """Return one line a table from (rows, digest) by name; without digests, equal counts are not "identical"."""
    changes = []
    for name in sorted(now.keys() | after.keys()):
        left, right = now.get(name), after.get(name)
        identical = left is not None and left == right and left[1] is not None
        changes.append(TableChange(name, left[0] if left else None, right[0] if right else None, identical=identical))
    return tuple(changes)


def refusal(findings: Iterable[Finding]) -> Refused:
    """Return the error that names every obstacle, with the hint against each, once."""
    bad = [finding for finding in findings if finding.level is Level.ERROR]
    hints = dict.fromkeys(finding.hint for finding in bad if finding.hint)
    words = "; and ".join(finding.message for finding in bad)
    return Refused(words, hint="; then ".join(hints), id_=bad[0].id if bad else None)
