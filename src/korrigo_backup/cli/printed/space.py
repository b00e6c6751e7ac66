"""The room that a restore takes besides the data that it loads, printed with its plan."""

from __future__ import annotations

from contextlib import suppress
from shutil import disk_usage
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.core.size import human
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.retention.previous_copies import survey

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.restore.plan import RestorePlan
    from korrigo_backup.site.site import Site


def space_lines(wired: Wired, site: Site, plan: RestorePlan, *, safety_backup: bool) -> list[tuple[str, str]]:
    """Return lines about the safety backup, and about the previous copies that earlier restores have kept.

    A size that cannot be found out is left out: it must not be in the way of a restore.
    """
    lines = []
    with suppress(KorrigoBackupError):
        if safety_backup and any(one.part == "database" for one in plan.replaces):
            lines.append(("safety", _safety(wired)))
    with suppress(KorrigoBackupError):
        if kept := survey(site):
            databases = Databases(site.postgres)
            taken = sum(databases.size(one.database) for one in kept if one.database)
            words = "copy of an earlier restore" if len(kept) == 1 else "copies of earlier restores"
            lines.append(("previous", f"{len(kept)} {words}, databases of {human(taken)}: korrigo-backup prune"))
    return lines


def _safety(wired: Wired) -> str:
    """Return the size of the newest dump of this site, which a safety backup will be close to, and the free room."""
    directory = wired.catalog.directory
    dumps = (one for one in wired.catalog.artifacts() if one.ours and KINDS[one.kind].is_dump)
    newest = next(dumps, None)
    size = f"about {human(newest.size)}" if newest else "a dump"
    try:
        return f"{size} in {directory}, {human(disk_usage(directory).free)} free"
    except OSError:
        return f"{size} in {directory}"
