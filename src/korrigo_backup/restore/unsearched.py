"""Erased rows for which a dump cannot be searched: the plan names them, and stops unless that is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, error, warning
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.erasure.applicable import not_applicable
from korrigo_backup.errors import Unreachable
from korrigo_backup.postgres.dump.rows import copied_columns
from korrigo_backup.postgres.tables import read_tables
from korrigo_backup.site.erasures import entries_about

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.dump.scan import ScanResult
    from korrigo_backup.restore.parts import RestoreContext
    from korrigo_backup.site.site import Site

NOT_APPLICABLE = "erasure.not_applicable"
"""The finding, and the name that `--accept` takes."""

_SHOWN = 3

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
        named = first_of([f"{one.table} ({', '.join(one.columns)}) {one.hash[:_DIGITS]}" for one in left], _SHOWN)
        made = warning if rehearsal or context.accept.takes(NOT_APPLICABLE) else error
        yield made(
            NOT_APPLICABLE,
            f"{artifact.name} may hold erased rows in a table, or by a key, of another name; they come back: {named}",
            f"restore a younger backup; or --accept {NOT_APPLICABLE}, then delete these rows on the site again",
        )


def _is_copy(text: bytes) -> bool:
    return text.startswith(b"COPY ")


def _live_tables(site: Site) -> frozenset[str] | None:
    """Return the tables of the site, None if its database does not answer."""
    try:
        with site.postgres.session() as session:
            return frozenset(read_tables(session))
    except Unreachable:
        return None
