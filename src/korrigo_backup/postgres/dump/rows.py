"""The rows of a dump, table by table, as pg_dump wrote them: read in one pass, without loading anything.

A row is its COPY line: columns separated by tabs, everything that could be mistaken escaped. Memory is bounded by
a piece of the dump and by its longest row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.postgres.dump.scan import DumpScanner

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

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
class _Begin:
    table: str
    columns: bytes
    encoding: str


class _End:
    pass


_Event = _Begin | _End | bytes


def tables(pieces: Iterable[bytes], source: str, wanted: Container[str]) -> Iterator[TableRows]:
    """Yield the `wanted` tables of a decompressed dump in its own order; the others are skipped at full speed.

    Raises ProofFailed as the scanner does: for a dump that is cut, or contains text that psql must not be given.
    """
    events = _events(pieces, _RowScanner(source, wanted))
    for event in events:
        if isinstance(event, _Begin):
            columns = _column_names(event.columns.decode(errors="backslashreplace"))
            yield TableRows(event.table, columns, event.encoding, _lines(_until_end(events)))


class _RowScanner(DumpScanner):
    """The scanner that every dump is read with, which also hands out the COPY data of some tables."""

    def __init__(self, source: str, wanted: Container[str]) -> None:
        super().__init__(source)
        self._wanted = wanted
        self._taking = False
        self._encoding = "UTF8"
        self._taken: list[_Event] = []

    def taken(self) -> list[_Event]:
        """Return the events since the last call."""
        taken, self._taken = self._taken, []
        return taken

    def _understood(self, statement: bytes, buffer: bytes, after: int) -> int:
        used = super()._understood(statement, buffer, after)
        if found := _ENCODING.fullmatch(statement):
            self._encoding = found[1].decode()
        elif self._state == self._in_copy and self._table in self._wanted:
            self._taking = True
            self._taken.append(_Begin(self._table, self._columns, self._encoding))
        return used

    def _in_copy(self, buffer: bytes, position: int, *, final: bool) -> int | None:
        after = super()._in_copy(buffer, position, final=final)
        if self._taking and after is not None:
            ended = self._state != self._in_copy
            self._taken.append(buffer[position : after - _END_MARK_BYTES if ended else after])
            if ended:
                self._taking = False
                self._taken.append(_End())
        return after


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


def _column_names(text: str) -> tuple[str, ...]:
    return tuple(quoted.replace('""', '"') or plain for quoted, plain in _COLUMN.findall(text))
