"""The rows of a dump, table by table, as pg_dump wrote them: read in one pass, without loading anything.

A row is its COPY line: columns separated by tabs, everything that could be mistaken escaped. Memory is bounded by
a piece of the dump and by its longest row.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from korrigo_backup.postgres.dump.column_types import column_types, created_table, parents
from korrigo_backup.postgres.dump.scan import DumpScanner

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

_COLUMN = re.compile(r'"((?:[^"]|"")+)"|([^\s",]+)')
_ENCODING = re.compile(rb"SET client_encoding = '([^']+)'")
_END_MARK_BYTES = len(b"\\.\n")


@dataclass(frozen=True)
class TableRows:
    """The rows of a table: its name as the dump writes it, its columns in their order, the text's encoding.

    `lines` can be read once, and before the next table is asked for.
    """

    table: str
    columns: tuple[str, ...]
    encoding: str
    lines: Iterator[bytes]


@dataclass(frozen=True)
class TableText:
    """As `TableRows`, with the rows as text: blocks of whole rows, each row with its line break, in constant memory.

    `types` are those of the columns, as far as the dump has them.
    """

    table: str
    columns: tuple[str, ...]
    encoding: str
    blocks: Iterator[bytes]
    types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Begin:
    table: str
    columns: bytes
    encoding: str
    types: dict[str, str]


class _End:
    pass


_Event = _Begin | _End | bytes


def tables(pieces: Iterable[bytes], source: str, wanted: Container[str]) -> Iterator[TableRows]:
    """Yield the `wanted` tables of a decompressed dump in its own order; the others are skipped at full speed.

    Raises ProofFailed as the scanner does: for a dump that is cut, or contains text that psql must not be given.
    """
    for begin, columns, rest in _copies(pieces, source, wanted):
        yield TableRows(begin.table, columns, begin.encoding, _lines(rest))


def texts(pieces: Iterable[bytes], source: str, wanted: Container[str]) -> Iterator[TableText]:
    """Yield the `wanted` tables as `tables` does, for a search that splits no rows."""
    for begin, columns, rest in _copies(pieces, source, wanted):
        yield TableText(begin.table, columns, begin.encoding, whole_lines(rest), begin.types)


def layouts(pieces: Iterable[bytes], source: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return for each table with rows its columns and those of its primary key, () without one.

    Raises ProofFailed as `tables`.
    """
    scanner = _LayoutScanner(source)
    for piece in pieces:
        scanner.feed(piece)
    scanner.finish()
    return {table: (columns, scanner.keys.get(table, ())) for table, columns in scanner.columns.items()}


def projected(lines: Iterator[bytes], places: list[int]) -> Iterator[bytes]:
    """Yield rows with the columns at these places, in this order."""
    for line in lines:
        cells = line.split(b"\t")
        yield b"\t".join([cells[place] for place in places])


def encoded(lines: Iterator[bytes], written: str, wanted: str) -> Iterator[bytes]:
    """Yield rows in another encoding; the names are those of PostgreSQL. Bytes that are no text stay as they are."""
    try:
        old, new = (codecs.lookup(_PYTHON.get(name, name)).name for name in (written, wanted))
    except LookupError:  # an encoding that Python does not have: rows with other than ASCII characters then differ
        yield from lines
        return
    for line in lines:
        try:
            yield line.decode(old).encode(new)
        except UnicodeError:
            yield line


_PYTHON = {"SQL_ASCII": "latin-1", "WIN1252": "cp1252", "WIN1250": "cp1250", "WIN1251": "cp1251", "KOI8R": "koi8-r"}
"""Python's names of encodings, where PostgreSQL has another."""

_PRIMARY_KEY = re.compile(rb"ALTER TABLE (?:ONLY )?(.+?)\s+ADD CONSTRAINT .+? PRIMARY KEY \((.+)\)", re.DOTALL)


class _LayoutScanner(DumpScanner):
    """The scanner that every dump is read with, which also notes the columns and primary keys of tables."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.columns: dict[str, tuple[str, ...]] = {}
        self.keys: dict[str, tuple[str, ...]] = {}

    def _understood(self, statement: bytes, buffer: bytes, after: int) -> int:
        used = super()._understood(statement, buffer, after)
        if self._state == self._in_copy:
            self.columns[self._table] = _column_names(self._columns.decode(errors="backslashreplace"))
        elif found := _PRIMARY_KEY.fullmatch(statement):
            self.keys[self._qualified(found[1])] = _column_names(found[2].decode(errors="backslashreplace"))
        return used


class _RowScanner(DumpScanner):
    """The scanner that every dump is read with, which also hands out the COPY data of some tables."""

    def __init__(self, source: str, wanted: Container[str]) -> None:
        super().__init__(source)
        self._wanted = wanted
        self._taking = False
        self._encoding = "UTF8"
        self._statements: dict[str, bytes] = {}
        self._taken: list[_Event] = []

    def taken(self) -> list[_Event]:
        """Return the events since the last call."""
        taken, self._taken = self._taken, []
        return taken

    def _understood(self, statement: bytes, buffer: bytes, after: int) -> int:
        used = super()._understood(statement, buffer, after)
        if found := _ENCODING.fullmatch(statement):
            self._encoding = found[1].decode()
        elif name := created_table(statement):
            self._statements[self._qualified(name)] = statement
        elif self._state == self._in_copy and self._table in self._wanted:
            self._taking = True
            self._taken.append(_Begin(self._table, self._columns, self._encoding, self._types(self._table)))
        return used

    def _types(self, table: str) -> dict[str, str]:
        """Return the types of a table's columns, those of the tables from which it inherits among them."""
        statement = self._statements.get(table, b"")
        types = column_types(statement)
        for parent in parents(statement):
            types = self._types(self._qualified(parent)) | types
        return types

    def _in_copy(self, buffer: bytes, position: int, *, final: bool) -> int | None:
        after = super()._in_copy(buffer, position, final=final)
        if self._taking and after is not None:
            ended = self._state != self._in_copy
            self._taken.append(buffer[position : after - _END_MARK_BYTES if ended else after])
            if ended:
                self._taking = False
                self._taken.append(_End())
        return after


def _copies(
    pieces: Iterable[bytes], source: str, wanted: Container[str]
) -> Iterator[tuple[_Begin, tuple[str, ...], Iterator[bytes]]]:
    """Yield the beginning of each wanted table, its columns and the pieces of its rows."""
    events = _events(pieces, _RowScanner(source, wanted))
    for event in events:
        if isinstance(event, _Begin):
            yield event, _column_names(event.columns.decode(errors="backslashreplace")), _until_end(events)


def _events(pieces: Iterable[bytes], scanner: _RowScanner) -> Iterator[_Event]:
    for piece in pieces:
        scanner.feed(piece)
        yield from scanner.taken()
    scanner.finish()
    yield from scanner.taken()


def _until_end(events: Iterator[_Event]) -> Iterator[bytes]:
    for event in events:
        if not isinstance(event, bytes):
            return
        yield event


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    begun: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        begun.append(first)
        if others:
            yield b"".join(begun)
            begun = [others.pop()]
            yield from others


def whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the text of pieces cut where lines end; a last line without a line break is left out."""
    begun: list[bytes] = []
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            begun.append(piece[:end])
            yield b"".join(begun) if len(begun) > 1 else begun[0]
            begun = [piece[end:]] if end < len(piece) else []
        else:
            begun.append(piece)


def _column_names(text: str) -> tuple[str, ...]:
    return tuple(quoted.replace('""', '"') or plain for quoted, plain in _COLUMN.findall(text))


def copied_columns(statement: bytes) -> tuple[str, ...]:
    """Return the columns that a COPY statement of a dump names."""
    names = statement.partition(b" (")[2].rpartition(b")")[0]
    return _column_names(names.decode(errors="surrogateescape"))
