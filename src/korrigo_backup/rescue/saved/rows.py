"""The rows of chosen tables of a backup, read in one pass and constant memory; nothing is loaded.

A row is a COPY line: cells separated by tabs, in the dump's encoding, everything that could be mistaken escaped.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from korrigo_backup.core.encodings import to_text
from korrigo_backup.postgres.dump import rows as dump_rows
from korrigo_backup.system.files import CHUNK
from korrigo_backup.system.streams import gunzip
from korrigo_backup.verify.dump_source import open_unread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import IO

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.access import Access
    from korrigo_backup.postgres.dump.rows import TableRows, TableText

T = TypeVar("T")

NULL = rb"\N"
"""The cell of a value that is NULL."""


@dataclass(frozen=True)
class SavedRow:
    """A row of a dump: the cells of its columns as COPY wrote them, in the encoding of the dump."""

    columns: tuple[str, ...]
    cells: tuple[bytes, ...]
    encoding: str

    def values(self) -> dict[str, str | None]:
        """Return the text of each value by its column, None for NULL."""
        return {name: cell_text(cell, self.encoding) for name, cell in zip(self.columns, self.cells, strict=True)}

    def cell(self, column: str) -> bytes | None:
        """Return the cell of a column, None if there is no such column."""
        return self.cells[self.columns.index(column)] if column in self.columns else None


class SavedRows:
    """The rows of an open dump of `pg_dump`; each method reads it from its start."""

    def __init__(self, file: IO[bytes], source: str) -> None:
        self._file = file
        self.source = source

    def tables(self, wanted: Collection[str]) -> Iterator[TableRows]:
        """Yield the `wanted` tables (names as in the manifest) in the dump's order; reading ends after the last.

        A table that the dump does not have is left out. Raises ProofFailed for a dump that is cut or damaged up to
        there, or contains text that pg_dump does not write.
        """
        return _first(dump_rows.tables(self._text(), self.source, frozenset(wanted)), len(frozenset(wanted)))

    def read(self, readers: Mapping[str, Callable[[TableText], T]]) -> dict[str, T]:
        """Return the result of each table's reader, for the tables that the dump has; raises as `tables`."""
        found = dump_rows.texts(self._text(), self.source, readers.keys())
        return {text.table: readers[text.table](text) for text in _first(found, len(readers))}

    def find(self, table: str, key: Mapping[str, bytes]) -> SavedRow | None:
        """Return the row of a table with this key (`find_row`), None if the dump has no such row or table."""
        return self.read({table: lambda text: find_row(text, key)}).get(table)

    def layouts(self) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Return columns and primary key of each table, () without a key; this reads the dump to its end."""
        return dump_rows.layouts(self._text(), self.source)

    def _text(self) -> Iterator[bytes]:
        self._file.seek(0)
        return gunzip(iter(lambda: self._file.read(CHUNK), b""), self.source)


@contextmanager
def open_saved_rows(artifact: Artifact, access: Access | None = None) -> Iterator[SavedRows]:
    """Open the rows of a dump, whose checksum is compared with its manifest's; raises as `open_unread`."""
    with open_unread(artifact, access) as file:
        yield SavedRows(file, artifact.name)


def _first(items: Iterator[T], count: int) -> Iterator[T]:
    """Yield so many items, and ask for no more: the rest of the dump is not read."""
    for _ in range(count):
        try:
            yield next(items)
        except StopIteration:
            return


def find_row(text: TableText, key: Mapping[str, bytes]) -> SavedRow | None:
    """Return the first row of `find_rows`, None if there is none."""
    return next(find_rows(text, key), None)


def find_rows(text: TableText, key: Mapping[str, bytes]) -> Iterator[SavedRow]:
    """Yield the rows whose cells in the columns of `key` are these; none of a table without such a column.

    The cells are as COPY writes them, in UTF-8. Bytes are searched for before a row is split: a table of a gigabyte
    takes little more than its decompression.
    """
    if not key or not key.keys() <= set(text.columns):
        return
    cells_of_key = dump_rows.encoded(iter(key.values()), "UTF8", text.encoding)
    wanted = {text.columns.index(name): cell for name, cell in zip(key, cells_of_key, strict=True)}
    place = max(wanted, key=lambda one: (len(wanted[one]), -one))
    for block in text.blocks:
        for line in _lines_with(block, wanted[place], place, len(text.columns)):
            cells = line.split(b"\t")
            if all(cells[one] == cell for one, cell in wanted.items()):
                yield SavedRow(text.columns, tuple(cells), text.encoding)


def every_row(text: TableText) -> Iterator[SavedRow]:
    """Yield all rows of a table."""
    for block in text.blocks:
        for line in block[:-1].split(b"\n"):
            yield SavedRow(text.columns, tuple(line.split(b"\t")), text.encoding)


def _lines_with(block: bytes, cell: bytes, place: int, columns: int) -> Iterator[bytes]:
    """Yield the rows of a block that may have the cell at a place; `block` ends with a line break."""
    last = b"\n" if place == columns - 1 else b"\t"
    needle = (b"\t" if place else b"\n") + cell + last
    if place == 0 and block.startswith(needle[1:]):
        yield block[: block.index(b"\n")]
    at = block.find(needle)
    while at >= 0:
        begin = block.rfind(b"\n", 0, at) + 1 if place else at + 1
        end = block.index(b"\n", at + 1)
        yield block[begin:end]
        at = block.find(needle, at + 1)


_ESCAPED = re.compile(rb"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def cell_text(cell: bytes, encoding: str) -> str | None:
    """Return the text of a cell of a COPY line, None for NULL; bytes that are no text as in `core/encodings.py`."""
    return None if cell == NULL else to_text(_ESCAPED.sub(_unescaped, cell) if b"\\" in cell else cell, encoding)


def _unescaped(found: re.Match[bytes]) -> bytes:
    text = found[1]
    if text[:1] == b"x" and len(text) > 1:
        return bytes((int(text[1:], 16),))
    if text[:1] in b"01234567":
        return bytes((int(text, 8) & 0xFF,))
    return _LETTERS.get(text, text)


_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\b": r"\b", "\f": r"\f", "\v": r"\v"})


def cell_of(value: str) -> bytes:
    """Return the cell of a text as COPY writes it, in UTF-8."""
    return value.translate(_ESCAPES).encode("utf-8", "surrogateescape")
