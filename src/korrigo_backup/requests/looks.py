"""A look of the admin into a backup, on the host: a page of a table or a row, without secret columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.errors import NotFound, Refused
from korrigo_backup.requests.model import SavedPage, shortened
from korrigo_backup.rescue.objects import plain_parts
from korrigo_backup.rescue.saved_page import HIDDEN, LookTooLongError, is_secret, read_page, read_row

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.erasure.erased import ErasedKeys
    from korrigo_backup.requests.model import LookRequest
    from korrigo_backup.rescue.saved_rows import SavedRow

SHOWN, WHOLE = 100, 8000
"""Characters of a value in a list, and of a single row."""

_COLUMNS = 7


def look(dump: Artifact, request: LookRequest, erased: ErasedKeys) -> SavedPage:
    """Return the rows that a request asks for, without those that were `erased` on request.

    Raises NotFound for a table or row that the dump does not have, Refused for a dump that is altered or takes too
    long, ProofFailed for a damaged dump.
    """
    if dump.problem or dump.header is None or dump.authenticity is Authenticity.FORGED:
        raise Refused(f"{dump.name} cannot be relied on", hint=f"korrigo-backup verify {dump.name}")
    table, total = _table(dump, request.table)
    try:
        if is_secret(request.column):
            raise Refused(f"{request.column} is a secret column", hint="ask by the primary key")
        if request.key:
            row = read_row(dump, table, request.column, request.key)
            if row is not None and _is_erased(erased, table, row):
                raise Refused(
                    f"{table}:{request.key} was erased on request: its values are not shown",
                    hint="korrigo-backup forget --list",
                    id_="erasure.row",
                )
            if row is None:
                raise NotFound(f"the backup has no row {request.key} in {table}", hint="look for it in another backup")
            return shortened(SavedPage(table, row.columns, (_cells(row, row.columns),), key=request.key), WHOLE)
        page = read_page(dump, table, request.page, request.words)
    except LookTooLongError:
        raise Refused("the look takes too long", hint=f"on the host: korrigo-backup history {table}:KEY") from None
    rows = [row for row in page.rows if not _is_erased(erased, table, row)]
    there = rows[0].columns if rows else ()
    columns = tuple(name for name in request.columns if name in there) or there[:_COLUMNS]
    found = SavedPage(
        table,
        columns,
        tuple(_cells(row, columns) for row in rows),
        words=request.words,
        page=request.page,
        has_next=page.has_next,
        total=total,
    )
    return shortened(found, SHOWN)


def _table(dump: Artifact, named: str) -> tuple[str, int]:
    """Return the qualified name of a table and its rows; NotFound unless the dump has exactly one of that name."""
    manifest = dump.manifest
    tables = (
        {normal_name(one.name): one.rows for one in manifest.database.tables} if manifest and manifest.database else {}
    )
    alike = [name for name in tables if named == name or named == plain_parts(name)[1]]
    if len(alike) != 1:
        raise NotFound(f"the backup has no table {named}", hint=f"korrigo-backup show {dump.name}")
    return alike[0], tables[alike[0]]


def _is_erased(erased: ErasedKeys, table: str, row: SavedRow) -> bool:
    return erased.holds(table, dict(zip(row.columns, row.cells, strict=False)))


def _cells(row: SavedRow, columns: tuple[str, ...]) -> tuple[str | None, ...]:
    values = row.values()
    return tuple(HIDDEN if is_secret(name) and values[name] is not None else values[name] for name in columns)
