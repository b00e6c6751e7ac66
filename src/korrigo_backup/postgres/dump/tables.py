"""The tables that a dump makes, with their columns: read from its statements up to the first rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from korrigo_backup.core.encodings import to_text
from korrigo_backup.core.sqlname import plain_name
from korrigo_backup.postgres.dump.scan import DumpScanner

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = rb'(?:"(?:[^"]|"")+"|[^\s".(;,]+)'
_TABLE = re.compile(
    rb"CREATE (?:UNLOGGED )?TABLE ((?:" + _NAME + rb"\.)?" + _NAME + rb") (\(.*|OF .*|PARTITION OF .*)", re.DOTALL
)
_COLUMN = re.compile(rb"^ {4}(?!CONSTRAINT )(" + _NAME + rb") ", re.MULTILINE)
_ELSEWHERE = re.compile(rb"(?:OF|PARTITION OF) .*|.*\nINHERITS \(.*", re.DOTALL)
_PARTS = re.compile(r'"(?:[^"]|"")+"|[^."]+')


class DumpedTable(NamedTuple):
    """A table by its plain names; `columns` are None if some of them stand in the statement of another object."""

    schema: str
    table: str
    columns: tuple[str, ...] | None

    @property
    def name(self) -> str:
        """The name for people: without the schema `public`."""
        return self.table if self.schema == "public" else f"{self.schema}.{self.table}"


def dumped_tables(pieces: Iterable[bytes], source: str) -> tuple[DumpedTable, ...]:
    """Return the tables that a decompressed dump of pg_dump makes; its rows are not read.

    Raises ProofFailed for a dump that is damaged or cut up to its first rows.
    """
    scanner = _TableScanner(source)
    for piece in pieces:
        scanner.feed(piece)
        if scanner.at_rows:
            break
    else:
        scanner.finish()
    return tuple(scanner.tables)


class _TableScanner(DumpScanner):
    """The scanner that every dump is read with, which also notes the tables that are made before the first rows."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.tables: list[DumpedTable] = []
        self.at_rows = False

    def _understood(self, statement: bytes, buffer: bytes, after: int) -> int:
        used = super()._understood(statement, buffer, after)
        if self._state == self._in_copy:
            self.at_rows = True
        elif not self.at_rows and (found := _TABLE.fullmatch(statement)):
            schema, table = map(plain_name, _PARTS.findall(self._qualified(found[1])))
            encoding = self.result.encoding
            names = tuple(plain_name(to_text(one, encoding)) for one in _COLUMN.findall(found[2]))
            self.tables.append(DumpedTable(schema, table, None if _ELSEWHERE.fullmatch(found[2]) else names))
        return used
