"""Columns of the backup that the live table does not have any more: their values cannot come back with the rows."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.errors import Refused
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.rescue.closure import PICKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.staged_rows import StagedTable


def lost_columns(session: Session, tables: Iterable[StagedTable], dump: str, *, picked: bool) -> list[Finding]:
    """Return a finding for each table with values in columns that the live table lacks.

    All rows of the backup count, with `picked` only the rows that come back.
    """
    found = []
    for table in tables:
        if not table.lost:
            continue
        among = f" WHERE EXISTS (SELECT FROM {table.gone} g WHERE g.{PICKED} AND {table.same('t', 'g')})"
        counts = ", ".join(f"count(t.{identifier(name)})" for name in table.lost)
        query = f"SELECT json_build_array({counts}) FROM {table.then} t{among if picked else ''}"
        values = dict(zip(table.lost, session.ask(query, list[int]), strict=True))
        if left := {name: count for name, count in values.items() if count}:
            words = ", ".join(f"{name}: {counted(count, 'value')}" for name, count in left.items())
            found.append(
                warning(
                    "rescue.column_lost",
                    f"the live table {table.live.name} has no such column any more, so its values stay in the backup:"
                    f" {words}",
                    f"take its migration back first, or restore the point: korrigo-backup plan {quote(dump)}",
                )
            )
    return found


def require_no_lost(findings: Sequence[Finding]) -> None:
    """Raise Refused with the first finding about lost columns: where no row differs, they are the difference."""
    if lost := next((one for one in findings if one.id == "rescue.column_lost"), None):
        raise Refused(lost.message, hint=lost.hint, id_=lost.id)
