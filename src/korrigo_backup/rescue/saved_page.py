"""Rows of a dump for a person who looks: a page of a table, or one row. Nothing is loaded.

Memory is constant, and a look ends after some seconds: a web server has other work.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from korrigo_backup.core.encodings import to_text
from korrigo_backup.rescue.saved_rows import SavedRow, SavedRows, cell_of
from korrigo_backup.system.files import explained, open_plain
from korrigo_backup.verify.dump_source import open_unread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.dump.rows import TableText

PAGE = 50
"""Rows of a page."""

SECONDS = 8.0
"""How long a look may take."""


_SECRET = ("password", "secret", "token", "session_data", "session_key", "private_key", "api_key")
_SECRET_NAMES = frozenset({"key", "digest", "hash", "seed", "nonce", "salt"})
"""Columns of tokens and of second factors, by their whole names."""

HIDDEN = "•••"
"""Stands for the value of a secret column."""


def is_secret(column: str) -> bool:
    """Return whether the values of a column are never shown or searched, by its name."""
    return column.lower() in _SECRET_NAMES or any(word in column.lower() for word in _SECRET)


class LookTooLongError(Exception):
    """A look took longer than a web server can wait."""


class RowsPage(NamedTuple):
    """Rows of a table, in the order of the dump, and whether there are more."""

    rows: list[SavedRow]
    has_next: bool


class _LimitedRows(SavedRows):
    """The rows of an open dump, for some seconds: then LookTooLongError."""

    def __init__(self, file: IO[bytes], source: str, seconds: float) -> None:
        super().__init__(file, source)
        self._end = time.monotonic() + seconds

    def _text(self) -> Iterator[bytes]:
        for piece in super()._text():
            if time.monotonic() > self._end:
                raise LookTooLongError
            yield piece


def read_page(dump: Artifact, table: str, page: int, words: str) -> RowsPage:
    """Return a page of a table's rows, the first is 1; with `words` of those that have them in a value.

    Columns that are secret by their name are not searched. Raises LookTooLongError, KorrigoBackupError for a damaged
    dump.
    """
    with _open(dump) as saved:
        found = saved.read({table: lambda text: _page(text, page, words)})
    return found.get(table) or RowsPage([], has_next=False)


def read_row(dump: Artifact, table: str, column: str, key: str) -> SavedRow | None:
    """Return the row whose `column` is `key`, None if there is none; raises as `read_page`."""
    with _open(dump) as saved:
        return saved.find(table, {column: cell_of(key)})


def _page(text: TableText, page: int, words: str) -> RowsPage:
    skip, rows, wanted = (page - 1) * PAGE, list[SavedRow](), words.casefold()
    seen = [place for place, name in enumerate(text.columns) if not is_secret(name)]
    for block in text.blocks:
        if not wanted and (count := block.count(b"\n")) <= skip:
            skip -= count
            continue
        if wanted and wanted not in to_text(block, text.encoding).casefold():
            continue
        for line in block[:-1].split(b"\n"):
            row = SavedRow(text.columns, tuple(line.split(b"\t")), text.encoding)
            if wanted and not _has(row, wanted, seen):
                continue
            if skip:
                skip -= 1
                continue
            if len(rows) == PAGE:
                return RowsPage(rows, has_next=True)
            rows.append(row)
    return RowsPage(rows, has_next=False)


def _has(row: SavedRow, wanted: str, places: list[int]) -> bool:
    return any(wanted in to_text(row.cells[place], row.encoding).casefold() for place in places)


@contextmanager
def _open(dump: Artifact) -> Iterator[SavedRows]:
    """Open a dump whose checksum is that of its manifest; a file that was read so far is not summed again."""
    with explained(f"read {dump.path}"), open_plain(dump.path) as file:
        facts = os.fstat(file.fileno())
        seen = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if seen not in _Verified.files:
            with open_unread(dump):
                _Verified.files = {*list(_Verified.files)[-100:], seen}
        yield _LimitedRows(file, dump.name, SECONDS)


class _Verified:
    """The files that this process has compared with their manifests."""

    files: ClassVar[set[tuple[int, ...]]] = set()
