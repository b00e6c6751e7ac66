"""Which entries of the erasure ledger may go: those that are older than every backup. Nothing is removed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.retention import previous_copies
from korrigo_backup.targets.ledger import Ledger, known_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.site.site import Site


class UnknownOldestError(Exception):
    """The time of the oldest backup cannot be found out; the text says why."""


def oldest_backup(catalog: Catalog, site: Callable[[], Site]) -> datetime | None:
    """Return the time of the oldest backup, copy on a target or previous copy; None without one.

    Raises UnknownOldestError: then no entry may go.
    """
    times = []
    try:
        survey = catalog.survey()
        times += [one.created for one in survey.artifacts]
        times += [one.at for one in previous_copies.survey(site())]
    except KorrigoBackupError as problem:
        raise UnknownOldestError(problem.message) from None
    if survey.strangers:
        raise UnknownOldestError(f"{survey.strangers[0].name} in the backup directory cannot be read")
    for target in known_targets(catalog.directory):
        for line in Ledger(catalog.directory, target).lines.values():
            if not line.sent or line.pruned:
                continue
            if line.created:
                times.append(line.created)
            elif line.whole:
                raise UnknownOldestError(f"the time of {line.artifact} on {target} is not known")
    return min(times, default=None)


def that_may_go(entries: Sequence[Entry], oldest: datetime | None) -> list[Entry]:
    """Return the entries about rows and files that no backup can hold any more."""
    return [one for one in entries if one.may_go(oldest)]
