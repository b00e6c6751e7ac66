"""Rows of a backup, staged in temporary tables, that were erased on request, with those that depend on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.erasure.copies import mark_copies
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.postgres.tables import read_tables
from korrigo_backup.rescue.closure import PICKED
from korrigo_backup.rescue.relations import RowRelation, upward
from korrigo_backup.rescue.staged_rows import ROW
from korrigo_backup.site.erasures import entries_about, ledger_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.rescue.staged_rows import StagedRows, StagedTable
    from korrigo_backup.site.site import Site


def take_out(site: Site, artifact: Artifact, rows: StagedRows) -> dict[str, int]:
    """Remove the erased rows of a backup from its temporary tables; return their numbers by table.

    A reference that a restore would empty is emptied. Raises UnreadableLedger.
    """
    numbers: dict[str, int] = {}
    for name, places in _marked(site, artifact, rows).items():
        table = rows.tables[name]
        numbers[name] = rows.session.ask(f"SELECT to_json(count(*)) FROM {places}", int)
        rows.session.run(
            f"DELETE FROM {table.then} t USING {places} p WHERE t.ctid = p.at; DELETE FROM {table.gone} g"
            f" WHERE NOT EXISTS (SELECT FROM {table.then} t WHERE {table.same('g', 't')})"
        )
    return numbers


def erased_among_picked(site: Site, artifact: Artifact, rows: StagedRows) -> list[tuple[str, int]]:
    """Return table and number of each picked row that was erased on request, or depends on such a row.

    A reference that a restore would empty is emptied. Raises UnreadableLedger.
    """
    found = []
    for name, places in _marked(site, artifact, rows).items():
        table = rows.tables[name]
        numbers = rows.session.run(
            f"SELECT DISTINCT g.{ROW} FROM {table.gone} g JOIN {table.then} t ON {table.same('g', 't')}"
            f" JOIN {places} p ON p.at = t.ctid WHERE g.{PICKED}"
        ).split()
        found += [(name, int(number)) for number in numbers]
    return found


def tables_to_judge(
    site: Site, artifact: Artifact, names: Collection[str], relations: tuple[RowRelation, ...]
) -> set[str]:
    """Return the tables through which rows of some tables may depend on erased rows, these among them."""
    entries = entries_about(site, artifact)
    named = {one.table for one in entries if one.table}
    links = [link for one in entries for link in one.links]
    known = (*relations, *(RowRelation("", one.table, one.columns, one.to, one.to_columns) for one in links))
    return {one for one in upward(set(names), known) if named & upward({one}, known)} if named else set()


def _marked(site: Site, artifact: Artifact, rows: StagedRows) -> Mapping[str, str]:
    """Return for each table the temporary table with the places of its erased rows in `then`."""
    entries = entries_about(site, artifact)
    if not any(one.table in rows.tables for one in entries):
        return {}
    live = read_tables(rows.session)
    copies = {
        name: live[name].temporary(f"korrigo_backup_then_{table.number}", table.columns)
        for name, table in rows.tables.items()
        if name in live
    }
    found = mark_copies(rows.session, copies, live, entries, ledger_keys(site))
    for name, columns in found.emptied.items():
        _empty(rows, rows.tables[name], columns)
    return found.places


def _empty(rows: StagedRows, table: StagedTable, columns: tuple[str, ...]) -> None:
    """Empty in the deleted rows the references that were emptied in all rows."""
    sets = ", ".join(f"{identifier(name)} = t.{identifier(name)}" for name in columns)
    rows.session.run(
        f"UPDATE {table.gone} g SET {sets} FROM {table.then} t WHERE {table.same('g', 't')}; ANALYZE {table.gone}"
    )
