"""The files that rows of a database name, as far as the columns of paths are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.references import relative_path, select_column
from korrigo_backup.postgres.relations import relation
from korrigo_backup.postgres.sql import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from korrigo_backup.core.site_description import PathColumn
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.erasure.erased import ErasedKeys
    from korrigo_backup.postgres.client import Session

_BATCH = 1000
"""Paths that one question names."""


@dataclass(frozen=True)
class PathColumns:
    """The columns whose values are paths of files, and the prefixes that such a value may have."""

    columns: tuple[PathColumn, ...] = ()
    roots: tuple[str, ...] = ()

    def with_entries(self, entries: Iterable[Entry]) -> PathColumns:
        """Return these columns and those of entries about the rules of the site's code."""
        rules = [one for one in entries if one.paths or one.roots]
        columns = dict.fromkeys([*self.columns, *(column for one in rules for column in one.paths)])
        roots = dict.fromkeys([*self.roots, *(root for one in rules for root in one.roots)])
        return PathColumns(tuple(columns), tuple(roots))


NO_PATHS = PathColumns()


def all_rows(table: str) -> str:
    """Return the source of the rows of a table: all of them."""
    return table


def paths_of(session: Session, columns: PathColumns, rows: Callable[[str], str] = all_rows) -> Iterator[str]:
    """Yield each path that rows name, once; `rows` gives the source of the rows of a table, "" for none."""
    if query := _query(session, columns, rows):
        for line in session.stream(f"SELECT to_json(path) FROM ({query}) q"):
            yield msgspec.json.decode(line, type=str)


def named_among(
    session: Session, columns: PathColumns, paths: Collection[str], rows: Callable[[str], str] = all_rows
) -> set[str]:
    """Return those of some paths that rows name."""
    found, wanted = set[str](), sorted(paths)
    query = _query(session, columns, rows) if wanted else ""
    for begin in range(0, len(wanted) if query else 0, _BATCH):
        texts = ", ".join(map(literal, wanted[begin : begin + _BATCH]))
        asked = f"SELECT coalesce(json_agg(path), '[]') FROM ({query}) q WHERE path = ANY (ARRAY[{texts}])"
        found.update(session.ask(asked, list[str]))
    return found


def named_of_rows(session: Session, columns: PathColumns, erased: ErasedKeys) -> set[str]:
    """Return the paths that rows name and that an erased row has named, too; every path is read."""
    if not erased.files_of_rows:
        return set()
    return {path for path in paths_of(session, columns) if erased.holds_file_of_row(path)}


def _query(session: Session, columns: PathColumns, rows: Callable[[str], str]) -> str:
    selects = []
    for column in columns.columns:
        found = relation(session, column.table, column.schema)
        if found is None or column.column not in found.types:
            continue
        if source := rows(normal_name(found.name)):
            selects.append(select_column(column, source, found.types[column.column]))
    if not selects:
        return ""
    return f"SELECT DISTINCT {relative_path(columns.roots)} AS path FROM ({' UNION ALL '.join(selects)}) u"
