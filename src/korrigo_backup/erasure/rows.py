"""Erase from a loaded database the rows that the ledger names, with those that depend on them.

All reads come first: the rows are marked in temporary tables (`erased_N`) by their place, then references are emptied,
then all marked rows are deleted by one statement, since foreign keys are looked at when a statement ends. Triggers of
the site do not run: an audit table must not get the erased values. The caller begins and ends the transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import listed
from korrigo_backup.erasure.erased import erased_keys
from korrigo_backup.erasure.files import NO_PATHS, PathColumns, named_among, paths_of
from korrigo_backup.erasure.references import Fate, read_references
from korrigo_backup.erasure.triggers import TriggersOff, triggers_off
from korrigo_backup.errors import ProofFailed, Refused
from korrigo_backup.postgres.session_settings import PROVING
from korrigo_backup.postgres.site_path import FROM_SITE_PATH, TO_SITE_PATH, site_path
from korrigo_backup.postgres.sql import identifier, json_numbers, literal
from korrigo_backup.postgres.tables import read_tables
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.erasure.erased import ErasedKeys
    from korrigo_backup.erasure.references import LoadedReference
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.tables import TableLayout

_BATCH = 1000
"""Rows that one statement marks."""

# In a database that was loaded from a dump, the order of their numbers is that of their dependencies.
_FILLED_VIEWS = """
SELECT coalesce(json_agg(quote_ident(n.nspname) || '.' || quote_ident(c.relname) ORDER BY c.oid), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND c.relispopulated
"""


class CannotErase(Refused):
    """A row of the ledger cannot be erased: another row that stays refers to it."""

    id = "erasure.protected"


@dataclass(frozen=True)
class ErasedRows:
    """The result of an erasure, by table: erased rows, and rows whose reference was emptied.

    `files` are the paths that only erased rows named.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    emptied: Mapping[str, int] = field(default_factory=dict)
    files: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        """How many rows were erased."""
        return sum(self.rows.values())


@phase("erasure")
def erase_rows(
    session: Session, entries: Sequence[Entry], keys: Mapping[str, Key], columns: PathColumns = NO_PATHS
) -> ErasedRows:
    """Erase in the open transaction of a session the rows that entries name; return the numbers of rows, and files.

    `keys` are the signing keys by id, `columns` those that name files. Raises CannotErase for a row that a rule of the
    site protects, ProofFailed for a row that is still there afterwards.
    """
    erasing = _marked(session, entries, keys)
    if not erasing.marked:
        return ErasedRows()
    references = read_references(session, erasing.tables, entries)
    erasing.close(references)
    erasing.require_allowed(references)
    files = erasing.files(columns)
    with erasing.without_triggers(references):
        emptied = erasing.empty(references)
        rows = erasing.delete()
    erasing.require_gone()
    erasing.drop()
    views = session.ask(_FILLED_VIEWS, list[str])
    with site_path(session):
        for view in views:
            session.run(f"REFRESH MATERIALIZED VIEW {view}")
    return ErasedRows(rows, emptied, files)


def files_of_rows(
    session: Session, entries: Sequence[Entry], keys: Mapping[str, Key], columns: PathColumns
) -> frozenset[str]:
    """Return the paths that only rows name which entries would erase; nothing is changed, the caller rolls back."""
    erasing = _marked(session, entries, keys)
    if not erasing.marked:
        return frozenset()
    erasing.close(read_references(session, erasing.tables, entries))
    return erasing.files(columns)


def _marked(session: Session, entries: Sequence[Entry], keys: Mapping[str, Key]) -> MarkedRows:
    """Mark the rows that entries name."""
    session.run(PROVING)
    erasing = MarkedRows(session, read_tables(session))
    erasing.mark_all(erased_keys(entries, keys))
    return erasing


@dataclass
class MarkedRows:
    """The marked rows: of each table the number of its temporary table."""

    session: Session
    tables: Mapping[str, TableLayout]
    marked: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """The temporary tables of `marked`, and those that are still empty."""

    def mark_all(self, erased: ErasedKeys) -> None:
        """Mark the rows that the ledger names, as far as their tables and columns are there."""
        for table, by_columns in erased.tables.items():
            for columns in by_columns:
                if (there := self.tables.get(table)) and set(columns) <= there.all_columns:
                    self.mark_named(there, columns, erased)

    def mark_named(self, table: TableLayout, columns: tuple[str, ...], erased: ErasedKeys) -> None:
        """Mark the erased rows of a table by a key of these columns; every key of the table is read.

        Rows of a partition are marked as rows of the whole table, to which others refer.
        """
        listed_ = ", ".join(map(identifier, columns))
        query = f"COPY (SELECT tableoid::bigint, ctid, {listed_} FROM {table.own_rows}) TO STDOUT (ENCODING 'UTF8')"
        places: list[str] = []
        for line in self.session.stream(query):
            part, at, *cells = line.split(b"\t")
            if erased.holds(table.name, dict(zip(columns, cells, strict=True))):
                places.append(f"({part.decode()}, {literal(at.decode())})")
        whole = self.tables.get(table.whole, table)
        for begin in range(0, len(places), _BATCH):
            values = ", ".join(places[begin : begin + _BATCH])
            self._mark(whole, f"SELECT v.part::oid, v.at::tid FROM (VALUES {values}) v (part, at)")

    def close(self, references: Sequence[LoadedReference]) -> None:
        """Mark the rows that are erased with marked rows, until there are no more."""
        found = 1
        while found:
            down = [one for one in references if one.fate is Fate.ERASED and one.to.name in self.marked]
            found = sum(self._mark(one.table, f"SELECT c.tableoid, c.ctid FROM {self._referring(one)}") for one in down)
            up = [one for one in references if one.parent_link and one.table.name in self.marked]
            found += sum(self._mark(one.to, f"SELECT p.tableoid, p.ctid FROM {self._referred(one)}") for one in up)

    def require_allowed(self, references: Sequence[LoadedReference]) -> None:
        """Raise CannotErase for a row that stays and refers to a marked row in a way that forbids its deletion."""
        stand = [
            (one, number)
            for one in references
            if one.fate is Fate.FORBIDDEN and one.to.name in self.marked
            and (number := self.session.ask(f"SELECT to_json(count(*)) FROM {self._staying(one)}", int))
        ]  # fmt: skip
        if stand:
            names = listed([f"{one.name} ({number})" for one, number in stand])
            raise CannotErase(
                f"erased rows of {stand[0][0].to.name} cannot be taken out: rows that stay refer to them and protect"
                f" them: {names}",
                hint=f"forget those rows, too (korrigo-backup forget {quote(stand[0][0].table.name)}:KEY),"
                " and run this again",
            )

    def files(self, columns: PathColumns) -> frozenset[str]:
        """Return the paths that marked rows name and no other row."""
        found = set(paths_of(self.session, columns, lambda name: self._rows_of(name, marked=True)))
        return frozenset(found - named_among(self.session, columns, found, self._rows_of))

    def _rows_of(self, name: str, *, marked: bool = False) -> str:
        """Return the source of the marked rows of a table, or of the others; "" for none."""
        table, number = self.tables.get(name), self.marked.get(name)
        if table is None or (marked and number is None):
            return ""
        if number is None:
            return table.own_rows if table.parted else f"(SELECT c.* FROM {table.own_rows} c)"
        gone = f"SELECT FROM pg_temp.korrigo_backup_erased_{number} g WHERE g.part = c.tableoid AND g.at = c.ctid"
        return f"(SELECT c.* FROM {table.own_rows} c WHERE {'' if marked else 'NOT '}EXISTS ({gone}))"

    def without_triggers(self, references: Sequence[LoadedReference]) -> TriggersOff:
        """Return the triggers of the tables that are changed, to be off in a block."""
        touched = {*self.marked, *(one.table.name for one in references if one.to.name in self.marked)}
        return triggers_off(self.session, [self.tables[name].sql for name in sorted(touched)])

    def empty(self, references: Sequence[LoadedReference]) -> dict[str, int]:
        """Empty the references of rows that stay; return how many of each table, also those of the server."""
        emptied: dict[str, int] = {}
        for one in references:
            if one.fate not in {Fate.EMPTIED, Fate.SERVER} or one.to.name not in self.marked:
                continue
            if one.fate is Fate.SERVER:
                number = self.session.ask(f"SELECT to_json(count(*)) FROM {self._staying(one)}", int)
            else:
                number = self._emptied(one)
            if number:
                emptied[one.table.name] = emptied.get(one.table.name, 0) + number
        return emptied

    def _emptied(self, one: LoadedReference) -> int:
        nothing = ", ".join(f"{identifier(name)} = NULL" for name in one.emptied)
        found = f"(SELECT c.tableoid AS part, c.ctid AS at FROM {self._staying(one)}) x"
        joined = f"{found} WHERE u.tableoid = x.part AND u.ctid = x.at"
        return self._count(f"UPDATE {one.table.own_rows} u SET {nothing} FROM {joined} RETURNING 1")

    def delete(self) -> dict[str, int]:
        """Delete all marked rows by one statement; return how many of each table."""
        steps, counts = [], []
        for name, number in self.marked.items():
            steps.append(
                f"d{number} AS (DELETE FROM {self.tables[name].own_rows} c"
                f" USING pg_temp.korrigo_backup_erased_{number} g"
                " WHERE c.tableoid = g.part AND c.ctid = g.at RETURNING 1)"
            )
            counts.append(f"(SELECT count(*) FROM d{number})")
        query = f"WITH {', '.join(steps)} SELECT CASE WHEN {TO_SITE_PATH} THEN {json_numbers(counts)} END"
        query = f"{query}; {FROM_SITE_PATH}"
        found = dict(zip(self.marked, self.session.ask(query, list[int]), strict=True))
        return {name: number for name, number in found.items() if number}

    def require_gone(self) -> None:
        """Raise ProofFailed if a marked row is still there: a rule of the database has kept it."""
        for name, number in self.marked.items():
            query = (
                f"SELECT to_json(count(*)) FROM {self.tables[name].own_rows} c"
                f" JOIN pg_temp.korrigo_backup_erased_{number} g ON c.tableoid = g.part AND c.ctid = g.at"
            )
            if left := self.session.ask(query, int):
                raise ProofFailed(
                    f"{left} erased rows of {name} are still there: a rule of the database (CREATE RULE) keeps them",
                    hint=f"see \\d {name} in psql; leave such rules out of the table, then restore again",
                    id_="erasure.protected",
                )

    def drop(self) -> None:
        """Drop the temporary tables."""
        for number in self.numbers.values():
            self.session.run(f"DROP TABLE pg_temp.korrigo_backup_erased_{number}")

    def _mark(self, table: TableLayout, places: str) -> int:
        """Mark rows, `places` gives them as (part, at); return how many were not marked before."""
        number = self.numbers.get(table.name)
        if number is None:
            self.numbers[table.name] = number = len(self.numbers) + 1
            self.session.run(f"CREATE TEMP TABLE korrigo_backup_erased_{number} (part oid, at tid)")
        gone = f"pg_temp.korrigo_backup_erased_{number}"
        found = self._count(
            f"INSERT INTO {gone} SELECT DISTINCT n.part, n.at FROM ({places}) n (part, at)"
            f" WHERE NOT EXISTS (SELECT FROM {gone} g WHERE g.part = n.part AND g.at = n.at) RETURNING 1"
        )
        if found:
            self.marked[table.name] = number
        return found

    def _count(self, statement: str) -> int:
        count = f"CASE WHEN {TO_SITE_PATH} THEN (SELECT to_json(count(*)) FROM x) END"
        return self.session.ask(f"WITH x AS ({statement}) SELECT {count}; {FROM_SITE_PATH}", int)

    def _referring(self, one: LoadedReference) -> str:
        """Return the FROM of rows `c` that refer to marked rows `p`."""
        return (
            f"pg_temp.korrigo_backup_erased_{self.marked[one.to.name]} m JOIN {one.to.own_rows} p ON"
            " p.tableoid = m.part AND p.ctid = m.at"
            f" JOIN {one.table.own_rows} c ON {one.joins('c', 'p')}"
        )

    def _referred(self, one: LoadedReference) -> str:
        """Return the FROM of rows `p` that marked rows refer to."""
        return (
            f"pg_temp.korrigo_backup_erased_{self.marked[one.table.name]} m JOIN {one.table.own_rows} c ON"
            " c.tableoid = m.part"
            f" AND c.ctid = m.at JOIN {one.to.own_rows} p ON {one.joins('c', 'p')}"
        )

    def _staying(self, one: LoadedReference) -> str:
        """Return the FROM of rows `c` that refer to marked rows and are not marked themselves."""
        rows = self._referring(one)
        if one.table.name not in self.marked:
            return rows
        gone = f"pg_temp.korrigo_backup_erased_{self.marked[one.table.name]}"
        return f"{rows} WHERE NOT EXISTS (SELECT FROM {gone} s WHERE s.part = c.tableoid AND s.at = c.ctid)"
