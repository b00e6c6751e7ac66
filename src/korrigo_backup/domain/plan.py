"""What a restore would do: shown by `plan`, asked about and carried out by `restore`."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads it when it encodes

import msgspec

from korrigo_backup.domain.finding import Finding, Level
from korrigo_backup.domain.naming import Kind  # noqa: TC001 - msgspec reads it when it encodes


class TableChange(msgspec.Struct, frozen=True):
    """Rows of a table now and after the restore; None where the table does not exist on that side.

    `added`, `changed` and `removed` count the rows since the backup, which a restore takes back; None when the rows
    were not compared one by one.
    """

    name: str
    now: int | None
    after: int | None
    identical: bool
    added: int | None = None
    changed: int | None = None
    removed: int | None = None


class MediaChange(msgspec.Struct, frozen=True):
    """Files of the media tree: those that would vanish, return or change, and those that are the same."""

    vanish: int
    come_back: int
    change: int
    same: int


class RestorePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A restore, decided but not done. `target` names the database or the media tree it replaces."""

    artifact: str
    kind: Kind
    created: datetime
    target: str
    kept_as: str | None
    tables: tuple[TableChange, ...] = ()
    media: MediaChange | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether a check before the work says no."""
        return any(finding.level is Level.ERROR for finding in self.findings)


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
