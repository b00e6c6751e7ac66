"""Rows of a dump for a person who looks: a page of a table, or one row. Nothing is loaded.

Memory is constant, and a look ends after some seconds: a web server has other work. On the host, which sees the erasure
ledger, erased rows are left out.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from korrigo_backup.core.credentials import HIDDEN, is_secret
from korrigo_backup.core.encodings import to_text
from korrigo_backup.postgres.dump.rows import encoded
from korrigo_backup.rescue.saved_rows import SavedRow, SavedRows, cell_of, find_rows
from korrigo_backup.rescue.withheld import erased_row
from korrigo_backup.system.files import explained, open_plain
from korrigo_backup.verify.dump_source import open_unread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import IO

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.dump.rows import TableText
    from korrigo_backup.rescue.withheld import Scan, WithheldRows

    FindWithheld = Callable[[str, Scan], WithheldRows | None]

PAGE = 50
"""Rows of a page."""

SECONDS = 8.0
"""How long a look may take in the site's process."""

_COVER = HIDDEN.encode()


class LookTooLongError(Exception):
    """A look took longer than a web server can wait."""


class RowsPage(NamedTuple):
    """Rows of a table, in the order of the dump, and whether there are more. `withheld` rows were erased on request."""

    rows: list[SavedRow]
    has_next: bool
    withheld: int = 0


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


class LookedAt:
    """An open dump that is looked into. `find_withheld` finds the erased rows of a table, None where no ledger is."""

    def __init__(self, rows: SavedRows, find_withheld: FindWithheld | None) -> None:
        self._rows = rows
        self._find = find_withheld

    def page(self, table: str, page: int, words: str) -> RowsPage:
        """Return a page of a table's rows, the first is 1; with `words` of those that have them in a value.

        Columns that are secret by their name are not searched. Raises LookTooLongError, ProofFailed for a damaged dump,
        UnreadableLedger.
        """
        withheld = self._withheld(table)
        found = self._rows.read({table: lambda text: _page(text, page, words, withheld)}).get(table)
        return (found or RowsPage([], has_next=False))._replace(withheld=withheld.count if withheld else 0)

    def row(self, table: str, column: str, key: str) -> SavedRow | None:
        """Return the row whose `column` is `key`, None if there is none.

        Raises as `page`, Refused if the row was erased on request.
        """
        withheld = self._withheld(table)
        found = self._rows.read({table: lambda text: list(islice(find_rows(text, {column: cell_of(key)}), _ALIKE))})
        rows = found.get(table, [])
        shown = next((judged for one in rows if (judged := _judged(one, withheld))), None)
        if rows and shown is None:
            raise erased_row(f"{table}:{key}")
        return shown

    def _withheld(self, table: str) -> WithheldRows | None:
        return self._find(table, self._scan) if self._find else None

    def _scan(self, tables: Collection[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
        for found in self._rows.tables(tables):
            for line in encoded(found.lines, found.encoding, "UTF8"):
                yield found.table, dict(zip(found.columns, line.split(b"\t"), strict=True))


_ALIKE = 100
"""Rows of a table with the same value in a column, among which one that may be shown is looked for."""


def _judged(row: SavedRow, withheld: WithheldRows | None) -> SavedRow | None:
    """Return a row as it may be shown: None if it was erased, references to erased rows hidden."""
    if withheld is None:
        return row
    cells = dict(zip(row.columns, encoded(iter(row.cells), row.encoding, "UTF8"), strict=True))
    if withheld.is_erased(withheld.table, cells):
        return None
    hidden = withheld.emptied(cells)
    if not hidden:
        return row
    return SavedRow(row.columns, tuple(_COVER if name in hidden else cell for name, cell in cells.items()), "UTF8")


def _page(text: TableText, page: int, words: str, withheld: WithheldRows | None) -> RowsPage:
    skip, rows, wanted = (page - 1) * PAGE, list[SavedRow](), words.casefold()
    seen = [place for place, name in enumerate(text.columns) if not is_secret(name)]
    for block in text.blocks:
        if not wanted and withheld is None and (count := block.count(b"\n")) <= skip:
            skip -= count
            continue
        if wanted and wanted not in to_text(block, text.encoding).casefold():
            continue
        for line in block[:-1].split(b"\n"):
            row = _judged(SavedRow(text.columns, tuple(line.split(b"\t")), text.encoding), withheld)
            if row is None or (wanted and not _has(row, wanted, seen)):
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
def look_into(
    dump: Artifact, find_withheld: FindWithheld | None = None, seconds: float | None = None
) -> Iterator[LookedAt]:
    """Open a dump whose checksum is that of its manifest; a file that was read so far is not summed again.

    A look ends after `seconds`, by default those of a web server. Raises KorrigoBackupError for a damaged dump.
    """
    with explained(f"read {dump.path}"), open_plain(dump.path) as file:
        facts = os.fstat(file.fileno())
        seen = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if seen not in _Verified.files:
            with open_unread(dump):
                _Verified.files = {*list(_Verified.files)[-100:], seen}
        yield LookedAt(_LimitedRows(file, dump.name, SECONDS if seconds is None else seconds), find_withheld)


class _Verified:
    """The files that this process has compared with their manifests."""

    files: ClassVar[set[tuple[int, ...]]] = set()
