"""Rows and files erased on request are taken out of a previous copy, before a rollback swaps it in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import warning
from korrigo_backup.erasure.entry import Subject
from korrigo_backup.restore.unsearched import unsearched_copy
from korrigo_backup.retention import holds
from korrigo_backup.retention.hold import standing
from korrigo_backup.retention.policy import own_clock
from korrigo_backup.site.erasing import Erasing
from korrigo_backup.site.erasures import entries_about

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.media.port import Tree
    from korrigo_backup.site.site import Site

_STAMP = 15
"""The length of the stamp at the end of the name of a previous copy: 20261231_235959."""


def erase_copy(site: Site, catalog: Catalog, database: str | None, media: Tree | None) -> tuple[Finding, ...]:
    """Take rows and files erased on request out of a previous copy, before it is swapped in; a hold on the copy wins.

    A copy is younger than most backups, and still holds rows that were erased since. None for a part that stays.
    """
    found: list[Finding] = []
    erasing, copied = _of_copy(catalog, database, media)
    erasing.erase_loaded(site, None, database, media, report=found.append, copied=copied)
    return tuple(found)


def planned_for_copy(
    site: Site, catalog: Catalog, database: str | None, media: Tree | None, safety: Artifact | None = None
) -> tuple[Finding, ...]:
    """Return the findings that say before a rollback what the ledger will do to the previous copy, and what it cannot.

    `safety` is the backup that the copy is made from first.
    """
    erasing, copied = _of_copy(catalog, database, media)
    entries = [
        one
        for one in entries_about(site, None, copied=copied)
        if (one.subject is Subject.ROW and database) or (one.subject is Subject.FILE and media)
    ]
    if not entries:
        return ()
    number = counted(len(entries), "entry", "entries")
    if erasing.held:
        return (
            warning(
                "erasure.held",
                f"the erasure ledger ({number}) is not applied: the copy is {erasing.held}",
                "what was erased comes back with it",
            ),
        )
    words = "what forget has recorded since that copy was made is taken out of it, also what is live now"
    planned = warning("erasure.planned", f"the erasure ledger ({number}): {words}", "korrigo-backup forget --list")
    return (planned, *(unsearched_copy(site, entries, database, safety) if database else ()))


def _of_copy(catalog: Catalog, database: str | None, media: Tree | None) -> tuple[Erasing, datetime | None]:
    """Return the erasure of a previous copy, and the time at which it was made."""
    held = standing(holds.read(catalog.directory), datetime.now(UTC))
    names = (database, media.root.name if media else None)
    clocks = (own_clock(name[-_STAMP:]) for name in names if name)
    copied = next((made.astimezone() for made in clocks if made), None)
    hold = next((held[name] for name in names if name in held), None)
    return Erasing(hold.described() if hold else "", of_copy=True), copied
