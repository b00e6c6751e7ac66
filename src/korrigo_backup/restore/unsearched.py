"""Erased rows for which a dump cannot be searched: the plan names them, and stops unless that is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, error, warning
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.erasure.applicable import lost_entries, not_applicable
from korrigo_backup.errors import Unreachable
from korrigo_backup.postgres.dump.rows import copied_columns
from korrigo_backup.postgres.tables import read_tables
from korrigo_backup.site.erasures import entries_about

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import Manifest
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.dump.scan import ScanResult
    from korrigo_backup.restore.parts import RestoreContext
    from korrigo_backup.site.site import Site

NOT_APPLICABLE = "erasure.not_applicable"
"""The finding, and the name that `--accept` takes."""


_DIGITS = 12
"""Digits of a hash that are shown."""


def unsearched(
    context: RestoreContext, artifact: Artifact, scan: ScanResult, *, rehearsal: bool = False
) -> Iterator[Finding]:
    """Yield the finding about erased rows that a restore of a dump may bring back; a rehearsal only warns."""
    if context.erasing is None or context.erasing.held:
        return
    entries = entries_about(context.site, artifact)
    if not entries:
        return
    saved = {normal_name(name): copied_columns(text) for name, (_, text) in scan.writes.items() if _is_copy(text)}
    if left := not_applicable(entries, saved, _live_tables(context.site)):
        named = _named(left)
        made = warning if rehearsal or context.accept.takes(NOT_APPLICABLE) else error
        yield made(
            NOT_APPLICABLE,
            f"{artifact.name} may hold erased rows in a table, or by a key, of another name; they come back: {named}",
            f"restore a younger backup; or --accept {NOT_APPLICABLE}, then delete these rows on the site again",
        )


def unsearched_copy(site: Site, entries: Sequence[Entry], database: str, safety: Artifact | None) -> Iterator[Finding]:
    """Yield a warning about erased rows that a previous copy may bring back; `safety` is the dump that makes it."""
    if safety is None:
        with site.postgres.session(database=database) as session:
            saved = _columns(session)
    else:
        proof = safety.manifest.database if safety.manifest else None
        saved = {normal_name(table.name): None for table in proof.tables} if proof else {}
    if left := not_applicable(entries, saved, _live_tables(site)):
        yield warning(
            "erasure.not_applicable",
            "the previous copy may hold erased rows in a table, or by a key, of another name; they come back:"
            f" {_named(left)}",
            "after the rollback delete these rows on the site again",
        )


def unsearched_by_django(context: RestoreContext, artifact: Artifact, manifest: Manifest) -> Iterator[Finding]:
    """Yield the finding about erased rows that a Django backup may bring back: their table has another name now.

    It is loaded into the tables of the present database.
    """
    site, erasing = context.site, context.erasing
    entries = entries_about(site, artifact) if erasing and not erasing.held else ()
    if not entries or manifest.django is None:
        return
    try:
        with site.postgres.session() as session:
            live = _columns(session)
    except Unreachable:
        return
    saved = {normal_name(one.table) for one in manifest.django.tables.values()}
    renamed = not saved <= live.keys()
    if left := lost_entries([one for one in entries if renamed or one.table in saved], live, renamed=renamed):
        made = warning if context.accept.takes(NOT_APPLICABLE) else error
        yield made(
            NOT_APPLICABLE,
            f"{artifact.name} may hold erased rows whose table or key has another name now; they come back:"
            f" {_named(left)}",
            f"restore a younger backup; or --accept {NOT_APPLICABLE}, then delete these rows on the site again",
        )


def _named(left: Sequence[Entry]) -> str:
    return first_of([f"{one.table} ({', '.join(one.columns)}) {one.hash[:_DIGITS]}" for one in left])


def _columns(session: Session) -> dict[str, tuple[str, ...] | None]:
    return {name: table.columns for name, table in read_tables(session).items()}


def _is_copy(text: bytes) -> bool:
    return text.startswith(b"COPY ")


def _live_tables(site: Site) -> frozenset[str] | None:
    """Return the tables of the site, None if its database does not answer."""
    try:
        with site.postgres.session() as session:
            return frozenset(read_tables(session))
    except Unreachable:
        return None
