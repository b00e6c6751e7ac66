"""The operations that `rollback` takes back before any restore: undeletes, reverts, restores of tables and of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.recovery.actions import Undoable
from korrigo_backup.recovery.put_files import file_records
from korrigo_backup.recovery.undelete import DONE, records
from korrigo_backup.run import journal
from korrigo_backup.run.record import RESTORES, Outcome, Verb

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_REPLACING = RESTORES | {Verb.REBUILD}
_CHANGED = frozenset({Outcome.DONE, Outcome.PARTLY})


def undoable(directory: Path, site: str) -> list[Undoable]:
    """Return the operations of a site that can be taken back, the newest, which is the first to be, first.

    A condition of SQL, which may hold personal data, is no part of it: the status is published.
    """
    found = [
        *(
            Undoable(verb=one.verb, stamp=one.stamp, created=one.created, artifact=one.artifact,
                     asked=tuple(name.partition(" where ")[0] for name in one.asked),
                     files=len(one.files))
            for one in records(directory, site, DONE)
        ),
        *(
            Undoable(verb=Verb.RESTORE_FILES, stamp=one.stamp, created=one.created, artifact=", ".join(one.artifacts),
                     asked=one.asked, files=len(one.files))
            for one in file_records(directory, site, DONE)
        ),
    ]  # fmt: skip
    found.sort(key=lambda one: one.created, reverse=True)
    if found and is_replaced_since(directory, site, found[-1].created):
        found = [one for one in found if not is_replaced_since(directory, site, one.created)]
    return found


def is_replaced_since(directory: Path, site: str, moment: datetime) -> bool:
    """Return whether a restore, a rebuild or a rollback has put other data in the place of the live data since then."""
    return any(
        one.site == site
        and (one.verb in _REPLACING or (one.verb == Verb.ROLLBACK and not one.why))
        and one.started > moment
        and one.outcome in _CHANGED
        for one in journal.read(directory)
    )
