"""Rows of a backup for a person who looks: a page of a table, or one row. Nothing is loaded.

Memory is constant, and a look ends after some seconds: a web server has other work. On the host, which sees the erasure
ledger, erased rows are left out.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from shlex import quote
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.core.credentials import HIDDEN, is_secret
from korrigo_backup.core.encodings import to_text
from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.dump.rows import encoded
from korrigo_backup.rescue.saved.objects import SavedObjects, as_copied
from korrigo_backup.rescue.saved.rows import SavedRow, SavedRows, cell_of, find_rows
from korrigo_backup.rescue.saved.withheld import erased_row
from korrigo_backup.system.files import CHUNK, explained, open_plain, sha256_of_open
from korrigo_backup.verify.django_artifact import expect, open_member
from korrigo_backup.verify.dump_source import open_unread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import IO

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import ModelColumns
    from korrigo_backup.postgres.dump.rows import TableText
    from korrigo_backup.rescue.saved.withheld import Scan, WithheldRows

    FindWithheld = Callable[[str, Scan], WithheldRows | None]
    Judge = Callable[[SavedRow], SavedRow | None]

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


class RowSource(Protocol):
    """The rows of a backup that is open: those of a dump, or of a Django backup."""

    def page(self, table: str, page: int, words: str, judge: Judge | None) -> RowsPage:
        """Return a page of a table's rows; with `words` of those that have them in a value."""

    def alike(self, table: str, column: str, key: str) -> list[SavedRow]:
        """Return the first rows whose `column` is `key`."""

    def cells(self, row: SavedRow) -> dict[str, bytes]:
        """Return the cells of a row by column, as the erasure ledger takes them."""

    def scan(self, tables: Collection[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Yield the cells of the rows of some tables."""


class LookedAt:
    """A backup that is looked into. `find_withheld` finds the erased rows of a table, None where no ledger is."""

    def __init__(self, rows: RowSource, find_withheld: FindWithheld | None) -> None:
        self._rows = rows
        self._find = find_withheld

    def page(self, table: str, page: int, words: str) -> RowsPage:
        """Return a page of a table's rows, the first is 1; with `words` of those that have them in a value.

        Columns that are secret by their name are not searched. Raises LookTooLongError, ProofFailed for a damaged
        backup, UnreadableLedger.
        """
        withheld = self._find(table, self._rows.scan) if self._find else None
        judge = partial(self._judged, withheld) if withheld else None
        return self._rows.page(table, page, words, judge)._replace(withheld=withheld.count if withheld else 0)

    def row(self, table: str, column: str, key: str) -> SavedRow | None:
        """Return the row whose `column` is `key`, None if there is none.

        Raises as `page`, Refused if the row was erased on request.
        """
        rows = self._rows.alike(table, column, key)
        withheld = self._find(table, self._rows.scan) if self._find and rows else None
        if withheld is None:
            return next(iter(rows), None)
        shown = next((judged for one in rows if (judged := self._judged(withheld, one))), None)
        if shown is None:
            raise erased_row(f"{table}:{key}")
        return shown

    def _judged(self, withheld: WithheldRows, row: SavedRow) -> SavedRow | None:
        """Return a row as it may be shown: None if it was erased, references to erased rows hidden."""
        cells = self._rows.cells(row)
        if withheld.is_erased(withheld.table, cells):
            return None
        hidden = withheld.emptied(cells)
        if not hidden:
            return row
        return SavedRow(row.columns, tuple(_COVER if name in hidden else cell for name, cell in cells.items()), "UTF8")


_ALIKE = 100
"""Rows of a table with the same value in a column, among which one that may be shown is looked for."""


class DumpSource:
    """The rows of a dump."""

    def __init__(self, file: IO[bytes], source: str, seconds: float) -> None:
        self._rows = _LimitedRows(file, source, seconds)

    def page(self, table: str, page: int, words: str, judge: Judge | None) -> RowsPage:
        """Return a page; blocks of rows that are not asked for are skipped whole."""
        found = self._rows.read({table: lambda text: _page(text, page, words, judge)})
        return found.get(table) or RowsPage([], has_next=False)

    def alike(self, table: str, column: str, key: str) -> list[SavedRow]:
        """Return the first rows whose `column` is `key`."""
        wanted = {column: cell_of(key)}
        return self._rows.read({table: lambda text: list(islice(find_rows(text, wanted), _ALIKE))}).get(table, [])

    def cells(self, row: SavedRow) -> dict[str, bytes]:
        """Return the cells in UTF-8."""
        return dict(zip(row.columns, encoded(iter(row.cells), row.encoding, "UTF8"), strict=True))

    def scan(self, tables: Collection[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Yield the cells of the rows of some tables."""
        for found in self._rows.tables(tables):
            for line in encoded(found.lines, found.encoding, "UTF8"):
                yield found.table, dict(zip(found.columns, line.split(b"\t"), strict=True))


class ObjectSource:
    """The rows of a Django backup; `models` gives tables and columns by the labels of the models."""

    def __init__(self, file: IO[bytes], source: str, models: Mapping[str, ModelColumns], seconds: float) -> None:
        self._file = file
        self._objects = SavedObjects(source, models)
        self._end = time.monotonic() + seconds

    def page(self, table: str, page: int, words: str, judge: Judge | None) -> RowsPage:
        """Return a page of a table's rows."""
        return _chosen((row for _, row in self._rows({table})), (page - 1) * PAGE, words.casefold(), judge)

    def alike(self, table: str, column: str, key: str) -> list[SavedRow]:
        """Return the first rows whose `column` is `key`."""
        wanted = cell_of(key)
        return list(islice((row for _, row in self._rows({table}) if row.cell(column) == wanted), _ALIKE))

    def cells(self, row: SavedRow) -> dict[str, bytes]:
        """Return the cells as COPY writes them."""
        return as_copied(row)

    def scan(self, tables: Collection[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Yield the cells of the rows of some tables."""
        return ((table, as_copied(row)) for table, row in self._rows(tables))

    def _rows(self, tables: Collection[str]) -> Iterator[tuple[str, SavedRow]]:
        self._file.seek(0)
        return self._objects.rows(self._chunks(), tables)

    def _chunks(self) -> Iterator[bytes]:
        while chunk := self._file.read(CHUNK):
            if time.monotonic() > self._end:
                raise LookTooLongError
            yield chunk


def _page(text: TableText, page: int, words: str, judge: Judge | None) -> RowsPage:
    skip, wanted, first = (page - 1) * PAGE, words.casefold(), list[bytes]()
    blocks = iter(text.blocks)
    if not wanted and judge is None:
        for block in blocks:
            if (count := block.count(b"\n")) > skip:
                first.append(block)
                break
            skip -= count
    rows = (
        SavedRow(text.columns, tuple(line.split(b"\t")), text.encoding)
        for block in chain(first, blocks)
        if not wanted or wanted in to_text(block, text.encoding).casefold()
        for line in block[:-1].split(b"\n")
    )
    return _chosen(rows, skip, wanted, judge)


def _chosen(rows: Iterable[SavedRow], skip: int, wanted: str, judge: Judge | None) -> RowsPage:
    """Return the page after `skip` rows that may be shown and have the `wanted` words, which are folded."""
    found = list[SavedRow]()
    for one in rows:
        row = judge(one) if judge else one
        if row is None or (wanted and not _has(row, wanted)):
            continue
        if skip:
            skip -= 1
            continue
        if len(found) == PAGE:
            return RowsPage(found, has_next=True)
        found.append(row)
    return RowsPage(found, has_next=False)


def _has(row: SavedRow, wanted: str) -> bool:
    return any(
        wanted in to_text(cell, row.encoding).casefold()
        for name, cell in zip(row.columns, row.cells, strict=True)
        if not is_secret(name)
    )


@contextmanager
def look_into(
    artifact: Artifact,
    find_withheld: FindWithheld | None = None,
    seconds: float | None = None,
    models: Mapping[str, ModelColumns] | None = None,
) -> Iterator[LookedAt]:
    """Open a dump or a Django backup whose checksum is that of its manifest; a file that was read is not summed again.

    A look ends after `seconds`, by default those of a web server. `models` gives tables and columns of a Django backup,
    by default as its manifest has them. Raises KorrigoBackupError for a damaged backup.
    """
    limit = SECONDS if seconds is None else seconds
    with explained(f"read {artifact.path}"), open_plain(_rows_file(artifact)) as file:
        facts = os.fstat(file.fileno())
        seen = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if seen not in _Verified.files:
            _require_saved(artifact)
            _Verified.files = {*list(_Verified.files)[-100:], seen}
        if KINDS[artifact.kind].is_dump:
            yield LookedAt(DumpSource(file, artifact.name, limit), find_withheld)
        else:
            yield LookedAt(ObjectSource(file, artifact.name, models or saved_models(artifact), limit), find_withheld)


def saved_models(artifact: Artifact) -> Mapping[str, ModelColumns]:
    """Return tables and columns of the models of a Django backup; none of a former version's, and of a dump."""
    manifest = artifact.manifest
    return manifest.django.tables if manifest and manifest.django else {}


def _rows_file(artifact: Artifact) -> Path:
    if KINDS[artifact.kind].is_dump:
        return artifact.path
    name = artifact.manifest.database_backup if artifact.manifest else None
    if name is None:
        raise ProofFailed(f"{artifact.name} has no rows", hint=f"korrigo-backup verify {quote(artifact.name)}")
    return artifact.path / name


def _require_saved(artifact: Artifact) -> None:
    """Raise ProofFailed unless the file with the rows is as it was saved."""
    manifest = artifact.manifest
    if KINDS[artifact.kind].is_dump or manifest is None:
        with open_unread(artifact):
            return
    name = manifest.database_backup or ""
    with open_member(artifact.path, name) as file:
        expect(manifest, name, *sha256_of_open(file))


class _Verified:
    """The files that this process has compared with their manifests."""

    files: ClassVar[set[tuple[int, ...]]] = set()
