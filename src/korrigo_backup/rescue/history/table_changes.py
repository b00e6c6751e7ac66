"""The rows of a table that changed between two states, with their values: in constant memory, nothing is loaded.

`compare/rows.py` finds which keys differ; the rows of the first of them are then read from both sides.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads it when it encodes
from enum import StrEnum
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.compare.differences import RowChange  # noqa: TC001 - msgspec reads it when it encodes
from korrigo_backup.compare.erased import erased_in_dump
from korrigo_backup.compare.present import DumpRows, LiveRows
from korrigo_backup.compare.rows import dump_rows, narrow_with_rows
from korrigo_backup.errors import NotFound
from korrigo_backup.rescue.history.row_changes import LIVE, FieldChange, changed_fields
from korrigo_backup.rescue.history.tables import saved_tables
from korrigo_backup.rescue.saved.rows import SavedRow
from korrigo_backup.verify.dump_source import open_unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.compare.present import PresentSide
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.site.site import Site


MIGRATIONS = "django_migrations"

PASSING = frozenset(
    {
        MIGRATIONS,
        "authtoken_token",
        "axes_accessattempt",
        "axes_accesslog",
        "django_celery_results_groupresult",
        "django_celery_results_taskresult",
        "django_session",
        "knox_authtoken",
        "oauth2_provider_accesstoken",
        "oauth2_provider_grant",
        "oauth2_provider_idtoken",
        "oauth2_provider_refreshtoken",
        "otp_static_statictoken",
        "token_blacklist_blacklistedtoken",
        "token_blacklist_outstandingtoken",
    }
)
"""Tables that lose rows by themselves: expired sessions and tokens, results, migrations that were taken back. Their
rows come back only if they are named."""


class ChangeKind(StrEnum):
    """What became of a row between two states."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


class ChangedRow(msgspec.Struct, frozen=True):
    """A row that differs: its key, and the fields that changed; of a row that is on one side all its fields."""

    kind: ChangeKind
    key: dict[str, str | None]
    fields: tuple[FieldChange, ...]


class TableChanges(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a table that changed between two states: all counted, the first of each kind with their values."""

    table: str
    first: str
    first_at: datetime
    later: str
    later_at: datetime
    change: RowChange
    rows: tuple[ChangedRow, ...]
    note: str = ""


@dataclass(frozen=True)
class Later:
    """The later state: a dump, or the live database in a snapshot."""

    dump: Artifact | None
    taken: Snapshot | None
    at: datetime

    @property
    def name(self) -> str:
        """The dump's name, or `live`."""
        return self.dump.name if self.dump else LIVE


def table_changes(first: Artifact, later: Later, table: str, site: Site, *, shown: int, note: str = "") -> TableChanges:
    """Return the rows of a table that changed from a dump to a later state; NotFound if either has no such table.

    Rows that were erased on request are not among them, nor rows that depend on them.
    """
    with open_unread(first, site.postgres.access) as file, _present(later, site) as now:
        saved = dump_rows(file, first.name)
        saved = erased_in_dump(site, first, saved).left_out_of(saved)
        found = narrow_with_rows(saved, now, table, _rows(first, later, table), shown=shown)
    if found is None:
        raise NotFound(
            f"the table {table} is not in both of {first.name} and {later.name}",
            hint=f"korrigo-backup history --table {quote(table)} shows since when it is there",
            id_="rescue.no_table",
        )
    return TableChanges(
        table=table,
        first=first.name,
        first_at=first.created,
        later=later.name,
        later_at=later.at,
        change=found.change,
        rows=tuple(_row(found.columns, found.encoding, found.change.key, *pair) for pair in found.rows),
        note=note,
    )


def _rows(first: Artifact, later: Later, table: str) -> int | None:
    """Return the greater number of rows that the manifests of two dumps give a table."""
    states = list(saved_tables([first, later.dump], {table})) if later.dump else []
    counts = [one.tables[table][0] for one in states if table in one.tables]
    return max(counts) if len(counts) == len((first, later)) else None


@contextmanager
def _present(later: Later, site: Site) -> Iterator[PresentSide]:
    with ExitStack() as stack:
        if later.dump is not None:
            file, name = stack.enter_context(open_unread(later.dump, site.postgres.access)), later.dump.name
            erased = erased_in_dump(site, later.dump, dump_rows(file, name))
            yield DumpRows(file, name, erased.numbers)
        elif later.taken is not None:
            yield LiveRows(later.taken)


def _row(
    columns: tuple[str, ...], encoding: str, key: tuple[str, ...], old: bytes | None, new: bytes | None
) -> ChangedRow:
    before, after = (_values(columns, encoding, line) for line in (old, new))
    kind = ChangeKind.ADDED if before is None else ChangeKind.REMOVED if after is None else ChangeKind.CHANGED
    known = after or before or {}
    return ChangedRow(kind, {name: known.get(name) for name in key}, changed_fields(before or {}, after or {}))


def _values(columns: tuple[str, ...], encoding: str, line: bytes | None) -> Mapping[str, str | None] | None:
    return None if line is None else SavedRow(columns, tuple(line.split(b"\t")), encoding).values()
