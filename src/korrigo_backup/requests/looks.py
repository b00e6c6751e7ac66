"""A look of the admin into a backup, on the host: a page of a table or a row, without secret columns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.credentials import HIDDEN, holds_credentials, is_secret
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.erasure.ledger import UnreadableLedger
from korrigo_backup.errors import NotFound, Refused
from korrigo_backup.requests.model import SavedPage, shortened
from korrigo_backup.rescue.objects import plain_parts
from korrigo_backup.rescue.saved_page import LookTooLongError, look_into
from korrigo_backup.rescue.withheld import withheld_rows

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.requests.model import LookRequest
    from korrigo_backup.rescue.saved_page import LookedAt
    from korrigo_backup.rescue.saved_rows import SavedRow
    from korrigo_backup.site.site import Site

SHOWN, WHOLE = 100, 8000
"""Characters of a value in a list, and of a single row."""

SECONDS = 60.0
"""How long a look may take on the host: with an erasure ledger it reads several tables."""

_COLUMNS = 7


def look(site: Site, dump: Artifact, request: LookRequest) -> SavedPage:
    """Return the rows that a request asks for, without those that were erased on request.

    Raises NotFound for a table or row that the dump does not have, Refused for a dump that is altered or takes too
    long, for a table of credentials and for an erased row, ProofFailed for a damaged dump, UnreadableLedger.
    """
    if dump.problem or dump.header is None or dump.authenticity is Authenticity.FORGED:
        raise Refused(f"{dump.name} cannot be relied on", hint=f"korrigo-backup verify {dump.name}")
    table, total = _table(dump, request.table)
    if holds_credentials(plain_parts(table)[1]):
        raise Refused(f"{table} holds sessions, tokens or keys: no row of it is shown", hint="look at another table")
    if is_secret(request.column):
        raise Refused(f"{request.column} is a secret column", hint="ask by the primary key")
    try:
        with look_into(dump, partial(withheld_rows, site, dump), SECONDS) as saved:
            if request.key:
                return _row(saved, table, request)
            return _page(saved, table, request, total)
    except LookTooLongError:
        raise Refused("the look takes too long", hint=f"on the host: korrigo-backup history {table}:KEY") from None
    except UnreadableLedger as problem:
        raise Refused(
            f"no row is shown, since the rows erased on request are not known: {problem.message}", hint=problem.hint,
            id_=UnreadableLedger.id,
        ) from None  # fmt: skip


def _row(saved: LookedAt, table: str, request: LookRequest) -> SavedPage:
    row = saved.row(table, request.column, request.key)
    if row is None:
        raise NotFound(f"the backup has no row {request.key} in {table}", hint="look for it in another backup")
    return shortened(SavedPage(table, row.columns, (_cells(row, row.columns),), key=request.key), WHOLE)


def _page(saved: LookedAt, table: str, request: LookRequest, total: int) -> SavedPage:
    page = saved.page(table, request.page, request.words)
    there = page.rows[0].columns if page.rows else ()
    columns = tuple(name for name in request.columns if name in there) or there[:_COLUMNS]
    found = SavedPage(
        table,
        columns,
        tuple(_cells(row, columns) for row in page.rows),
        words=request.words,
        page=request.page,
        has_next=page.has_next,
        total=total - page.withheld,
        withheld=page.withheld,
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


def _cells(row: SavedRow, columns: tuple[str, ...]) -> tuple[str | None, ...]:
    values = row.values()
    return tuple(HIDDEN if is_secret(name) and values[name] is not None else values[name] for name in columns)
