"""The right to change single files of the media: the lock of the backup directory, without the database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from korrigo_backup.errors import Refused
from korrigo_backup.recovery.put_files import finish_files, pending_files
from korrigo_backup.recovery.undelete import PENDING, UNDOING, records
from korrigo_backup.run.step import Listener, RecoveryAhead, RecoveryDone
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.site.site import Site


@contextmanager
def files_lock(site: Site, catalog: Catalog, doing: str, listen: Listener, *, dry_run: bool) -> Iterator[None]:
    """Lock the backup directory, and finish the restores of files of dead runs. The database is not asked.

    Raises Refused if a killed run has left the media, or rows with files, in the middle of a change.
    """
    with catalog.exclusive(doing):
        if dry_run:
            ahead = pending_files(catalog.directory, site.name)
            for action in ahead:
                listen(RecoveryAhead(action.intention))
        else:
            ahead = []
            with explained("finish the interrupted restore of files"):
                done = finish_files(site, catalog.directory)
            for action in done:
                listen(RecoveryDone(action.sentence))
        if ahead or _is_in_a_change(site, catalog.directory):
            raise Refused(
                "a killed run is to be finished first: it has left the media in the middle of a change",
                hint="korrigo-backup doctor --fix finishes it; then look at the plan again",
            )
        yield


def _is_in_a_change(site: Site, directory: Path) -> bool:
    of_undelete = any(records(directory, site.name, state) for state in (PENDING, UNDOING))
    return of_undelete or (site.media is not None and any(".moving" in name for name in site.media.names()))
