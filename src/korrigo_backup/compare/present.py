"""The present side of a comparison of rows: a snapshot of a database, or the later of two dumps."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from korrigo_backup.postgres import rows as site_rows
from korrigo_backup.postgres.dump import rows as dump_text
from korrigo_backup.system.files import CHUNK
from korrigo_backup.system.streams import gunzip

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence
    from typing import IO

    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.postgres.dump.rows import TableRows

    Columns = tuple[str, ...]


class PresentSide(Protocol):
    """Tables whose rows are read as COPY text."""

    def layouts(self) -> Mapping[str, tuple[Columns, Columns]]:
        """Return for each table its columns and those of its primary key, () without one."""
        ...

    def lines(self, table: str, columns: Sequence[str], *, settings: str, encoding: str) -> Iterator[bytes]:
        """Yield the rows of a table, these columns in this order; read it to the end.

        `settings` are those under which the saved side was written, `encoding` is that of its text.
        """
        ...


@dataclass(frozen=True)
class LiveRows:
    """The rows of a snapshot."""

    taken: Snapshot
    _layouts: dict[str, site_rows.Layout] = field(default_factory=dict, init=False)

    def layouts(self) -> Mapping[str, tuple[Columns, Columns]]:
        """Return columns and keys; see the protocol."""
        self._layouts.update(site_rows.layouts(self.taken))
        return {name: (one.columns, one.key) for name, one in self._layouts.items()}

    def lines(self, table: str, columns: Sequence[str], *, settings: str, encoding: str) -> Iterator[bytes]:
        """Yield rows as they are under `settings`; see the protocol."""
        return site_rows.lines(self.taken, self._layouts[table], columns, settings=settings, encoding=encoding)


class DumpRows:
    """The rows of an open dump of `pg_dump`, which is read from its start as often as its order demands.

    The rows with the numbers `without`, by table, are left out.
    """

    def __init__(self, file: IO[bytes], source: str, without: Mapping[str, Container[int]] | None = None) -> None:
        self._without = without or {}
        self._file = file
        self._source = source
        self._layouts: dict[str, tuple[Columns, Columns]] | None = None
        self._reading: Iterator[TableRows] = iter(())

    def layouts(self) -> Mapping[str, tuple[Columns, Columns]]:
        """Return columns and keys as the statements of the dump have them; see the protocol."""
        if self._layouts is None:
            self._layouts = dump_text.layouts(self._text(), self._source)
        return self._layouts

    def lines(self, table: str, columns: Sequence[str], *, settings: str, encoding: str) -> Iterator[bytes]:
        """Yield rows as they were written, whatever `settings` say, in another encoding if need be."""
        del settings
        rows = self._found(table)
        lines = rows.lines
        if gone := self._without.get(table):
            lines = (line for number, line in enumerate(lines) if number not in gone)
        if tuple(columns) != rows.columns:
            lines = dump_text.projected(lines, [rows.columns.index(column) for column in columns])
        return lines if rows.encoding == encoding else dump_text.encoded(lines, rows.encoding, encoding)

    def _found(self, table: str) -> TableRows:
        """Go on to a table. Two dumps of a site have the same order, so that this is one pass with few exceptions."""
        for _ in range(2):
            for rows in self._reading:
                if rows.table == table:
                    return rows
            self._reading = dump_text.tables(self._text(), self._source, self.layouts())
        raise KeyError(table)

    def _text(self) -> Iterator[bytes]:
        return gunzip(self._packed(), self._source)

    def _packed(self) -> Iterator[bytes]:
        position = 0
        while piece := os.pread(self._file.fileno(), CHUNK, position):
            yield piece
            position += len(piece)
