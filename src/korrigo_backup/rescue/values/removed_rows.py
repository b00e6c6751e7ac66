"""Rows that the restore of a table has removed, and that were erased on request since: their undo leaves them out.

With them go the rows that depend on an erased row, by the rules of a restore. The erased row itself may be among the
removed rows, or may have been deleted by the site since: then the references of the removed rows name it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.erasure.copies import mark_copies
from korrigo_backup.erasure.erased import erased_keys
from korrigo_backup.erasure.references import read_references
from korrigo_backup.postgres.site_path import TO_SITE_PATH
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.postgres.tables import read_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.erasure.references import LoadedReference
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.tables import TableLayout

_PLACE = identifier("korrigo_backup_place")


@dataclass(frozen=True)
class RemovedRows:
    """The removed rows of a record, in `korrigo_backup_undo_rows` of the session: tables by number in its head."""

    session: Session
    tables: Mapping[int, TableLayout]
    columns: Mapping[int, tuple[str, ...]]

    def leave_out(self, entries: Sequence[Entry], keys: Mapping[str, Key]) -> dict[str, int]:
        """Drop the rows that entries erase, and empty references to such rows; return the numbers of rows by table."""
        erased = erased_keys(entries, keys)
        if not erased.tables or not self.tables:
            return {}
        live = read_tables(self.session)
        copies = {one.name: self._copy(number, live[one.name]) for number, one in self.tables.items()}
        removed = set(copies)
        here = {name: live[name] for name in erased.tables if name in live}
        references = read_references(self.session, {**here, **copies}, entries, live=live)
        for place, (name, loaded) in enumerate(here.items()):
            columns = next(iter(erased.tables[name]))
            if name not in copies:
                listed = ", ".join(map(identifier, columns))
                self.session.run(
                    f"CREATE TEMP TABLE named_{place} AS SELECT {listed} FROM {loaded.own_rows} WITH NO DATA"
                )
                copies[name] = loaded.temporary(f"named_{place}", columns)
            naming = [
                one
                for one in references
                if one.to.name == name and one.to_columns == columns and one.table.name in removed
            ]
            self._add_named(copies[name], columns, naming)
        found = mark_copies(self.session, copies, live, entries, keys)
        numbers = {}
        for number, table in self.tables.items():
            self._empty(number, found.emptied.get(table.name, ()))
            if (places := found.places.get(table.name)) and (count := self._drop(number, places)):
                numbers[table.name] = count
        return numbers

    def _copy(self, number: int, live: TableLayout) -> TableLayout:
        """Copy the removed rows of a table into a temporary table with its types."""
        table, columns = self.tables[number], self.columns[number]
        values = ", ".join(
            f"CAST(u.removed ->> {literal(name)} AS {table.types[name]}) AS {identifier(name)}" for name in columns
        )
        self.session.run(
            f"CREATE TEMP TABLE korrigo_backup_undone_{number} AS SELECT u.key AS {_PLACE}, {values}"
            " FROM pg_temp.korrigo_backup_undo_rows u"
            f" WHERE u.number = {number} AND u.removed IS NOT NULL AND {TO_SITE_PATH}"  # the checks of domains
        )
        return live.temporary(f"korrigo_backup_undone_{number}", columns)

    def _add_named(self, copy: TableLayout, columns: tuple[str, ...], references: Sequence[LoadedReference]) -> None:
        """Add to the copy of a table the keys that removed rows name in it: such a row may have been deleted since."""
        listed, name = ", ".join(map(identifier, columns)), f"pg_temp.{identifier(copy.table)}"
        for one in references:
            pairs = zip(columns, one.columns, strict=True)
            values = ", ".join(f"{literal(theirs)}, c.{identifier(own)}::text" for theirs, own in pairs)
            of_type = f" WHERE c.{identifier(one.type_column)} = {one.content_type}" if one.type_column else ""
            keys = ", ".join(f"r.{identifier(column)}" for column in columns)
            self.session.run(
                f"INSERT INTO {name} ({listed}) SELECT DISTINCT {keys} FROM {one.table.own_rows} c CROSS JOIN LATERAL"
                f" jsonb_populate_record(NULL::{name}, jsonb_build_object({values})) r{of_type}"
            )

    def _empty(self, number: int, columns: Sequence[str]) -> None:
        for column in columns:
            emptied = f"jsonb_build_object({literal(column)}, NULL)"
            self.session.run(
                f"UPDATE pg_temp.korrigo_backup_undo_rows u SET removed = u.removed || {emptied} FROM"
                f" pg_temp.korrigo_backup_undone_{number} c"
                f" WHERE u.number = {number} AND u.key = c.{_PLACE} AND c.{identifier(column)} IS NULL"
            )

    def _drop(self, number: int, places: str) -> int:
        return self.session.ask(
            "WITH x AS (DELETE FROM pg_temp.korrigo_backup_undo_rows u USING"
            f" pg_temp.korrigo_backup_undone_{number} c, {places} p"
            f" WHERE p.at = c.ctid AND u.number = {number} AND u.key = c.{_PLACE} RETURNING 1)"
            " SELECT to_json(count(*)) FROM x",
            int,
        )
