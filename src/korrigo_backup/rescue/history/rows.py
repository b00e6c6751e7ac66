"""How a row stood in each dump and stands now, and who changed it: read without loading anything.

A dump whose table is known to be equal to one that was read (the same digest, the same columns) is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.core.sqlname import bare_name
from korrigo_backup.errors import NotFound
from korrigo_backup.postgres.digest import known_rule
from korrigo_backup.postgres.rows import OURS
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.history.audit import read_audit
from korrigo_backup.rescue.history.row_changes import LIVE, RowState, column_of, is_column, row_events
from korrigo_backup.rescue.objects import NamedTable
from korrigo_backup.rescue.points import database_proof
from korrigo_backup.rescue.saved.rows import SavedRow, open_saved_rows
from korrigo_backup.rescue.saved.withheld import erased_row
from korrigo_backup.rescue.site_tables import NamedRow
from korrigo_backup.rescue.steps.inherited import ancestors
from korrigo_backup.site.erasures import erased_from

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.rescue.history.audit_tables import AuditEntry
    from korrigo_backup.rescue.history.row_changes import RowEvent
    from korrigo_backup.rescue.points import Points
    from korrigo_backup.rescue.site_tables import SiteTables
    from korrigo_backup.site.site import Site

    Content = tuple[object, ...]
    """Equal for two dumps in which a table has equal rows and columns."""


class RowHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The history of a row: its changes, and what the site's audit tables say about it.

    `dumps` counts the dumps, `read` those that had to be read; `since` and `until` are the times of the first and the
    last state. `is_live` is None if the database did not answer, or its table could not be read: `unseen` says why.
    `note` says how its table was found, if by its name alone, or by a field of a model from which its own inherits.
    """

    object: str
    table: str
    field: str = ""
    dumps: int
    read: int
    since: datetime
    until: datetime
    is_live: bool | None
    events: tuple[RowEvent, ...]
    entries: tuple[AuditEntry, ...] = ()
    note: str = ""
    unseen: str = ""


@dataclass(frozen=True)
class HistorySource:
    """The states in which a history is looked for: the points of a site, and its live database, None if it is away.

    `audit` names the site's own audit table, "" without one; `now` is the time of the live state.
    """

    site: Site
    points: Points
    taken: Snapshot | None
    now: datetime
    audit: str = ""


def row_history(source: HistorySource, tables: SiteTables, row: NamedRow, field: str | None = None) -> RowHistory:
    """Return the history of a row; NotFound if no state has it, UsageError for a field that no state has.

    Values of a row that was erased on request are left out; Refused if no other state has the row.
    """
    saved, read, erased = _saved_states(source, row)
    states = [*saved, *_live_states(source, tables, row)]
    columns = {name: None for state in reversed(states) for name in state.values or ()}
    if not columns and erased:
        raise erased_row(row.name)
    if not columns:
        away = "" if source.taken else ", and the database was not asked"
        raise NotFound(
            f"{row.name} is in none of {len(saved)} dumps{away}",
            hint="see its key; korrigo-backup list shows the backups, --since and --until choose among them",
            id_="rescue.no_row",
        )
    if field and not is_column(field, columns) and (above := _row_above(tables, row, field)):
        words = f"{field} is a column of {above.table.table}, from whose model that of {row.table.table} inherits"
        return replace(row_history(source, tables, above, field), note=words)
    column = column_of(field, list(columns)) if field else None
    live = states[-1] if states[-1].source == LIVE else None
    return RowHistory(
        object=row.name,
        table=row.table.table,
        field=column or "",
        dumps=len(saved),
        read=read,
        since=states[0].at,
        until=states[-1].at,
        is_live=None if live is None else live.values is not None,
        events=row_events(states, column),
        entries=read_audit(source.site, source.points.dumps, source.taken, tables, row, source.audit),
        note=row.table.note,
        unseen=tables.unreadable.get(row.table.table, ""),
    )


def _row_above(tables: SiteTables, row: NamedRow, field: str) -> NamedRow | None:
    """Return the row of the same object in a table from whose model its own inherits, if that has a field."""
    for one in ancestors(tables.description, row.table.table, tables.live.keys() | tables.saved):
        named = NamedTable(one.table)
        if is_column(field, tables.columns(named)):
            key = [name for name, _ in tables.key(named)]
            if len(key) == len(row.values):
                return NamedRow(named, dict(zip(key, row.key.values(), strict=True)), row.values)
    return None


def _saved_states(source: HistorySource, row: NamedRow) -> tuple[list[RowState], int, bool]:
    """Return the states in the dumps, how many were read, and whether a dump has the row and it was erased since."""
    known: dict[Content, Mapping[str, str | None] | None] = {}
    states, read, erased = [], 0, False
    for dump in source.points.require_dumps():
        content = table_content(dump, row.table.table)
        if content is None or content not in known:
            with open_saved_rows(dump, source.site.postgres.access) as rows:
                found = rows.find(row.table.table, row.key)
            read += 1
            values: Mapping[str, str | None] | None = found.values() if found else None
            if content is not None:
                known[content] = values
        else:
            values = known[content]
        if values and erased_from(source.site, dump).holds(row.table.table, row.key):
            values, erased = None, True
        point = source.points.point_of(dump)
        states.append(RowState(dump.created, dump.name, values, point.name if point else ""))
    return states, read, erased


def table_content(dump: Artifact, table: str) -> Content | None:
    """Return the content of a table in a dump as its manifest proves it, None if it proves none."""
    proof = database_proof(dump)
    rule = known_rule(proof.digest) if proof else None
    if proof is None or rule is None:
        return None
    bare = bare_name(table)
    mine = next((one for one in proof.tables if bare_name(one.name) == bare), None)
    if mine is None:
        return (rule, None)
    if mine.digest is None:
        return None
    columns = frozenset(
        (one.name, one.digest)
        for one in proof.schema
        if one.kind == "column" and bare_name(one.name).startswith(f"{bare}.")
    )
    return (rule, mine.rows, mine.digest, columns)


def _live_states(source: HistorySource, tables: SiteTables, row: NamedRow) -> list[RowState]:
    """Return the live state; none where it cannot be read, and no row where the table is gone."""
    if source.taken is None or row.table.table in tables.unreadable:
        return []
    live = tables.live.get(row.table.table)
    found = _live_row(source.taken, row, live) if live else None
    return [RowState(source.now, LIVE, found.values() if found else None)]


def _live_row(taken: Snapshot, row: NamedRow, live: TableLayout) -> SavedRow | None:
    condition = " AND ".join(
        live.equal(name, identifier(name), f"{literal(value)}::{live.types[name]}")
        for name, value in zip(row.key, row.values, strict=True)
    )
    wanted = ", ".join(map(identifier, live.columns))
    lines = list(
        taken.stream(
            f"SAVEPOINT rows; {OURS}; {taken.planned(live.sql)} COPY (SELECT {wanted} FROM ONLY {live.sql}"
            f" WHERE {condition}) TO STDOUT (ENCODING 'UTF8'); ROLLBACK TO rows; RELEASE rows"
        )
    )
    return SavedRow(live.columns, tuple(lines[0].split(b"\t")), "UTF8") if lines else None
