"""The operations that `rollback` takes back before any restore: undeletes, reverts, restores of tables and of files.

An operation belongs to the data in which it was carried out. A restore puts other data in their place, and its rollback
brings them back: the journal tells which data are live, so nothing is written for it that a kill could leave half done.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from korrigo_backup.recovery.actions import Undoable
from korrigo_backup.recovery.put_files import file_records
from korrigo_backup.recovery.undelete import DONE, RecordedRow, read_rows, record_path, records
from korrigo_backup.run import journal
from korrigo_backup.run.record import RESTORES, Outcome, Record, Verb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

_REPLACING = RESTORES | {Verb.REBUILD}
_CHANGED = frozenset({Outcome.DONE, Outcome.PARTLY})
_ONLY = "only"

_BITS = 2**26
"""Bits that tell which rows an operation may have touched: 8 MiB, and one row in 60 by chance after a million rows."""

_COMPARED = 50_000
"""Rows that are compared at once, in memory."""

_Row = tuple[str | None, ...]


def standings(operations: Iterable[Record]) -> Iterator[tuple[Record, Record | None]]:
    """Yield each restore and rollback of one site with the restore whose data are live after it, None for none.

    A rollback undoes the newest restore that stands; a second rollback of the same stamp has brought it again.
    """
    stack: list[Record] = []
    undone: dict[str, Record] = {}
    for one in operations:
        if one.outcome not in _CHANGED:
            continue
        if one.verb in _REPLACING:
            stack.append(one)
        elif one.verb != Verb.ROLLBACK or _ONLY in one.why:
            continue
        elif one.subject in undone:
            stack.append(undone.pop(one.subject))
        elif stack:
            undone[one.subject] = stack.pop()
        yield one, stack[-1] if stack else None


def undoable(directory: Path, site: str) -> list[Undoable]:
    """Return the operations of a site that can be taken back, the newest, which is the first to be, first.

    A condition of SQL, which may hold personal data, is no part of it: the status is published.
    """
    return [one for one, is_live in _all(directory, site) if is_live]


def undoable_in_replaced_data(directory: Path, site: str) -> list[Undoable]:
    """Return the operations in data that a restore, or its rollback, has replaced: they count when those are live."""
    return [one for one, is_live in _all(directory, site) if not is_live]


def _all(directory: Path, site: str) -> list[tuple[Undoable, bool]]:
    found = [
        *(
            Undoable(verb=one.verb, stamp=one.stamp, created=one.created, artifact=one.artifact,
                     asked=tuple(name.partition(" where ")[0] for name in one.asked),
                     files=len(one.files))
            for one in records(directory, site, DONE)
        ),
        *(
            Undoable(verb=Verb.RESTORE_FILES, stamp=one.stamp, created=one.created, artifact=", ".join(one.artifacts),
                     asked=one.asked, files=len(one.files))
            for one in file_records(directory, site, DONE)
        ),
    ]  # fmt: skip
    if not found:
        return []
    found.sort(key=lambda one: one.created, reverse=True)
    times = _live_data(one for one in journal.read(directory) if one.site == site)
    return [(one, _at(times, one.created) == times[-1][1]) for one in found]


def _live_data(operations: Iterable[Record]) -> list[tuple[datetime | None, str]]:
    """Return the ids of the data that were live, each with the time since when; the first have no time.

    A rollback without a known restore has brought unknown data: they have its own id.
    """
    times: list[tuple[datetime | None, str]] = [(None, "")]
    for one, standing in standings(operations):
        unknown = one.verb == Verb.ROLLBACK and standing is None and not times[-1][1]
        times.append((one.started, one.id if unknown else standing.id if standing else ""))
    return times


def _at(times: list[tuple[datetime | None, str]], moment: datetime) -> str:
    return [data for since, data in times if since is None or since <= moment][-1]


def touched_since(directory: Path, site: str, of: Undoable) -> Undoable | None:
    """Return the newest later operation that has touched rows or files of another, None if there is none.

    The rows are read from the records, in constant memory: they may be millions.
    """
    later = [one for one in undoable(directory, site) if one.created > of.created]
    if not later:
        return None
    mine = _Touched(directory, site, of)
    return next((one for one in later if mine.meets(_Touched(directory, site, one))), None)


class _Touched:
    """The rows of an operation, each as its table and key, and the paths of its files."""

    def __init__(self, directory: Path, site: str, of: Undoable) -> None:
        self._record = record_path(directory, of.stamp, DONE)
        self._tables: list[tuple[str, str]] = []
        self._filter = bytearray()
        self.files: set[str] = set()
        if of.verb == Verb.RESTORE_FILES:
            found = next((one.files for one in file_records(directory, site, DONE) if one.stamp == of.stamp), ())
            self.files = {file.path for file in found}
        elif head := next((one for one in records(directory, site, DONE) if one.stamp == of.stamp), None):
            self._tables = [(one.schema, one.table) for one in head.tables]
            self.files = {file.path for file in head.files}

    def rows(self) -> Iterator[_Row]:
        """Yield the rows, read from the record."""
        if self._tables:
            read: Iterator[RecordedRow] = read_rows(self._record)
            yield from ((*self._tables[row.table], *row.key) for row in read)

    def meets(self, other: _Touched) -> bool:
        """Return whether both have a row or a file."""
        if self.files & other.files:
            return True
        if not set(self._tables) & set(other._tables):
            return False
        possible = (row for row in other.rows() if self._may_have(row))
        while some := set(islice(possible, _COMPARED)):
            if any(row in some for row in self.rows()):
                return True
        return False

    def _may_have(self, row: _Row) -> bool:
        """Return whether a row is among the rows, or has by chance the place of one in a table of bits."""
        if not self._filter:
            self._filter = bytearray(_BITS // 8)
            for one in self.rows():
                place = hash(one) % _BITS
                self._filter[place >> 3] |= 1 << (place & 7)
        place = hash(row) % _BITS
        return bool(self._filter[place >> 3] >> (place & 7) & 1)
