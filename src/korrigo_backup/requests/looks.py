"""A look of the admin into a backup, on the host: a page of a table or a row, without secret columns."""

from __future__ import annotations

from functools import partial
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.manifest import ModelColumns
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.credentials import HIDDEN, holds_credentials, is_secret
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.erasure.entry import Subject
from korrigo_backup.erasure.ledger import UnreadableLedger
from korrigo_backup.errors import NotFound, Refused
from korrigo_backup.requests.model import SavedPage, shortened
from korrigo_backup.rescue.objects import plain_parts
from korrigo_backup.rescue.saved.page import LookTooLongError, look_into, saved_models
from korrigo_backup.rescue.saved.withheld import withheld_rows
from korrigo_backup.site.erasures import entries_about

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.requests.model import LookRequest
    from korrigo_backup.rescue.saved.page import LookedAt
    from korrigo_backup.rescue.saved.rows import SavedRow
    from korrigo_backup.site.site import Site

SHOWN, WHOLE = 100, 8000
"""Characters of a value in a list, and of a single row."""

SECONDS = 60.0
"""How long a look may take on the host: with an erasure ledger it reads several tables."""

_COLUMNS = 7


def look(site: Site, saved: Artifact, request: LookRequest) -> SavedPage:
    """Return the rows of a dump or a Django backup that a request asks for, without those that were erased on request.

    Raises NotFound for a table or row that the backup does not have, Refused for a backup that is altered or takes too
    long, for a table of credentials and for an erased row, ProofFailed for a damaged backup, UnreadableLedger.
    """
    if saved.problem or saved.header is None or saved.authenticity is Authenticity.FORGED:
        raise Refused(f"{saved.name} cannot be relied on", hint=f"korrigo-backup verify {quote(saved.name)}")
    models = _models(site, saved, request)
    table, total = _table(saved, models, request.table)
    if holds_credentials(plain_parts(table)[1]):
        raise Refused(f"{table} holds sessions, tokens or keys: no row of it is shown", hint="look at another table")
    if is_secret(request.column):
        raise Refused(f"{request.column} is a secret column", hint="ask by the primary key")
    try:
        with look_into(saved, partial(withheld_rows, site, saved), SECONDS, models) as opened:
            found = _row(opened, table, request) if request.key else _page(opened, table, request, total)
            return msgspec.structs.replace(found, migrations=_migrations(saved, request.model))
    except LookTooLongError:
        raise Refused("the look takes too long", hint=_by_hand(saved, table)) from None
    except UnreadableLedger as problem:
        raise Refused(
            f"no row is shown, since the rows erased on request are not known: {problem.message}", hint=problem.hint,
            id_=UnreadableLedger.id,
        ) from None  # fmt: skip


def _models(site: Site, saved: Artifact, request: LookRequest) -> Mapping[str, ModelColumns]:
    """Return the tables of a Django backup by model; of a backup of a former version that of the asked model alone.

    Raises Refused if such a backup may hold erased rows: the ledger names tables.
    """
    models = saved_models(saved)
    if models or KINDS[saved.kind].is_dump:
        return models
    if any(one.subject is Subject.ROW for one in entries_about(site, saved)):
        raise Refused(
            f"{saved.name} is of an earlier version, which did not note its tables: its erased rows are not known",
            hint="look into a backup that was made since: korrigo-backup backup full --method django makes one",
        )
    return {request.model.lower(): ModelColumns(request.table, request.column, {})} if request.model else {}


def _migrations(saved: Artifact, model: str) -> tuple[str, ...]:
    """Return the migrations in a backup of the app of a model."""
    manifest, app = saved.manifest, model.partition(".")[0]
    proof = (manifest.database or manifest.django) if manifest else None
    return tuple(one for one in proof.migrations if one.startswith(f"{app}.")) if proof and app else ()


def _by_hand(saved: Artifact, table: str) -> str:
    """Return the command that finds a row where a look takes too long."""
    if KINDS[saved.kind].is_dump:
        return f"on the host: korrigo-backup history {quote(table)}:KEY"
    file = saved.manifest.database_backup if saved.manifest else ""
    return f"on the host: grep '\"pk\":KEY,' $BACKUP_DIR/{saved.name}/{file}"


def _row(opened: LookedAt, table: str, request: LookRequest) -> SavedPage:
    row = opened.row(table, request.column, request.key)
    if row is None:
        raise NotFound(f"the backup has no row {request.key} in {table}", hint="look for it in another backup")
    return shortened(SavedPage(table, row.columns, (_cells(row, row.columns),), key=request.key), WHOLE)


def _page(opened: LookedAt, table: str, request: LookRequest, total: int) -> SavedPage:
    page = opened.page(table, request.page, request.words)
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


def _table(saved: Artifact, models: Mapping[str, ModelColumns], named: str) -> tuple[str, int]:
    """Return the qualified name of a table and its rows; NotFound unless the backup has exactly one of that name."""
    tables = _tables(saved, models)
    alike = [name for name in tables if named == name or named == plain_parts(name)[1]]
    if len(alike) != 1:
        raise NotFound(f"the backup has no table {named}", hint=f"korrigo-backup show {quote(saved.name)}")
    return alike[0], tables[alike[0]]


def _tables(saved: Artifact, models: Mapping[str, ModelColumns]) -> dict[str, int]:
    manifest = saved.manifest
    if manifest and manifest.database:
        return {normal_name(one.name): one.rows for one in manifest.database.tables}
    proofs = (*manifest.django.models, *manifest.django.referred) if manifest and manifest.django else ()
    return {normal_name(models[one.name].table): one.rows for one in proofs if one.name in models}


def _cells(row: SavedRow, columns: tuple[str, ...]) -> tuple[str | None, ...]:
    values = row.values()
    return tuple(HIDDEN if is_secret(name) and values[name] is not None else values[name] for name in columns)
