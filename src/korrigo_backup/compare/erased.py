"""The rows of a dump that a restore would erase on request, found in its text: nothing is loaded.

An erased row takes with it the rows that depend on it, by the rules of a restore. So the tables through which rows
depend on each other are read until no more rows are found. A row is its number in its table.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec import structs

from korrigo_backup.erasure.entry import Subject
from korrigo_backup.erasure.erased import ErasedKeys, erased_keys
from korrigo_backup.erasure.references import Fate, read_references
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.postgres.dump.rows import encoded
from korrigo_backup.postgres.tables import read_tables
from korrigo_backup.site.erasures import CopiedData, entries_about, ledger_keys

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from korrigo_backup.compare.differences import RowChange
    from korrigo_backup.compare.rows import Saved
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.erasure.references import LoadedReference
    from korrigo_backup.postgres.dump.rows import TableRows
    from korrigo_backup.site.erasures import SavedData
    from korrigo_backup.site.site import Site

    Keys = set[tuple[bytes, ...]]

_WITH_IT = frozenset({Fate.ERASED, Fate.FORBIDDEN})
"""A row that protects an erased row stops the restore until it is erased, too."""


@dataclass(frozen=True)
class RowsToErase:
    """The numbers of the erased rows of a dump, by table."""

    numbers: Mapping[str, Container[int]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    def left_out_of(self, saved: Saved) -> Saved:
        """Return the saved side without these rows."""
        if not self.counts:
            return saved

        def read(wanted: Container[str]) -> Iterator[TableRows]:
            for table in saved(wanted):
                gone = self.numbers.get(table.table)
                yield replace(table, lines=_others(table.lines, gone)) if gone else table

        return read


NONE = RowsToErase()


def erased_in_dump(site: Site, data: SavedData, saved: Saved) -> RowsToErase:
    """Return the rows of a dump, `saved`, that a restore would erase.

    The references are those of the live database; where it does not answer, those of the ledger alone count. Raises
    UnreadableLedger, and ProofFailed for a dump that cannot be read.
    """
    entries = entries_about(site, data)
    if not any(one.subject is Subject.ROW for one in entries):
        return NONE
    search = _RowSearch(erased_keys(entries, ledger_keys(site)), _references(site, entries))
    wanted = search.tables()
    while search.read(saved, wanted):
        pass
    return RowsToErase(search.gone, {name: len(found) for name, found in search.gone.items()})


def erased_in_copy(site: Site, saved: Saved) -> RowsToErase:
    """Return the rows of a database of the server, `saved`, that the ledger would erase there; as `erased_in_dump`."""
    return erased_in_dump(site, CopiedData(None), saved)


def without_erased(
    changes: Mapping[str, RowChange], clean: Mapping[str, RowChange], *, both: bool = False
) -> dict[str, RowChange]:
    """Return the changes of tables with all rows counted, and named without the erased rows.

    `clean` are the changes without those rows, of the tables that have some: without those of the saved side, or of
    `both`. A row of the live data alone is named as it is.
    """
    return {name: _renamed(one, clean[name], both=both) if name in clean else one for name, one in changes.items()}


def _renamed(change: RowChange, clean: RowChange, *, both: bool) -> RowChange:
    added = clean.added_keys if both else change.added_keys
    return structs.replace(change, added_keys=added, changed_keys=clean.changed_keys, removed_keys=clean.removed_keys)


def _references(site: Site, entries: Sequence[Entry]) -> tuple[LoadedReference, ...]:
    try:
        with site.postgres.session() as session:
            return read_references(session, read_tables(session), entries)
    except KorrigoBackupError:  # a damaged database is a reason to restore
        return ()


@dataclass
class _RowSearch:
    """The search: `gone` are the numbers of the rows found so far, `keys` their values in columns that are asked for.

    `keys` has them by table and columns: those to which references lead, and those of a parent row that is one object
    with an erased row.
    """

    erased: ErasedKeys
    references: Sequence[LoadedReference]
    gone: dict[str, set[int]] = field(default_factory=dict)
    keys: dict[tuple[str, tuple[str, ...]], Keys] = field(default_factory=dict)

    def tables(self) -> set[str]:
        """Return the tables whose rows may be erased."""
        found = set(self.erased.tables)
        while more := {
            name
            for one in self.references
            for near, name in ((one.to.name, one.table.name), (one.table.name, one.to.name))
            if near in found and name not in found and (one.parent_link or (near == one.to.name and _takes(one)))
        }:
            found |= more
        return found

    def read(self, saved: Saved, wanted: set[str]) -> int:
        """Read the tables once; return how many more rows were found."""
        return sum(self._read(table) for table in saved(wanted))

    def _read(self, table: TableRows) -> int:
        name, columns = table.table, table.columns
        gone, found = self.gone.get(name, set()), 0
        own = [one for one in self.references if one.table.name == name and set(one.columns) <= set(columns)]
        named = [one for one in self.references if one.to.name == name and set(one.to_columns) <= set(columns)]
        lines = table.lines if table.encoding == "UTF8" else encoded(table.lines, table.encoding, "UTF8")
        for number, line in enumerate(lines):
            if number in gone:
                continue
            row = dict(zip(columns, line.split(b"\t"), strict=False))
            if not (self.erased.holds(name, row) or self._depends(row, own) or self._is_parent(row, named)):
                continue
            found += 1
            gone.add(number)
            for one in named:
                self._note(name, one.to_columns, row, one.to_columns)
            for one in own:
                if one.parent_link:
                    self._note(one.to.name, one.to_columns, row, one.columns)
        if gone:
            self.gone[name] = gone
        return found

    def _depends(self, row: Mapping[str, bytes], own: Sequence[LoadedReference]) -> bool:
        return any(
            _cells(row, one.columns) in self.keys.get((one.to.name, one.to_columns), ())
            and (not one.type_column or row.get(one.type_column) == str(one.content_type).encode())
            for one in own
            if _takes(one)
        )

    def _is_parent(self, row: Mapping[str, bytes], named: Sequence[LoadedReference]) -> bool:
        return any(
            one.parent_link and _cells(row, one.to_columns) in self.keys.get((one.to.name, one.to_columns), ())
            for one in named
        )

    def _note(self, table: str, columns: tuple[str, ...], row: Mapping[str, bytes], names: tuple[str, ...]) -> None:
        self.keys.setdefault((table, columns), set()).add(_cells(row, names))


def _takes(one: LoadedReference) -> bool:
    return one.parent_link or one.fate in _WITH_IT


def _cells(row: Mapping[str, bytes], names: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(row.get(name, b"\\N") for name in names)


def _others(lines: Iterator[bytes], gone: Container[int]) -> Iterator[bytes]:
    return (line for number, line in enumerate(lines) if number not in gone)
