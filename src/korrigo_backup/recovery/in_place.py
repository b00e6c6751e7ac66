"""The end of a restore that replaced the content of the live database, and whose run could not record it.

The transaction decides, and the server remembers that. The journal has its number before the COMMIT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from korrigo_backup.recovery.django import committed
from korrigo_backup.run import journal
from korrigo_backup.run.record import RESTORES, Outcome, Verb

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.run.record import Record
    from korrigo_backup.site.site import Site

_IN_PLACE = frozenset({Verb.RESTORE_IN_PLACE, Verb.RESTORE_BY_DJANGO})


def note(site: Site, catalog: Catalog) -> None:
    """Write into the journal how the newest restore in place ended, if its own run could not write it."""
    ours = (one for one in reversed(journal.read(catalog.directory)) if one.site == site.name)
    newest = next((one for one in ours if one.verb in RESTORES), None)
    if newest is None or newest.verb != Verb.RESTORE_IN_PLACE or newest.outcome is not Outcome.BEGUN:
        return
    if _took_place(site, newest):
        ended = replace(newest, outcome=Outcome.PARTLY, message="interrupted after its end: the database is new")
    else:
        message = "interrupted before its end: all is as it was"
        ended = replace(newest, transaction="", outcome=Outcome.FAILED, message=message)
    journal.decided(catalog.directory, site, ended)


def saved_in_vain(site: Site, catalog: Catalog, safety: Artifact) -> bool:
    """Return whether a safety backup is that of a restore in place that did not take place: it has the data of now.

    A safety backup has the time at which the command of its restore began.
    """
    ours = (one for one in journal.read(catalog.directory) if one.site == site.name and one.verb in RESTORES)
    restore = next((one for one in ours if one.started >= safety.created), None)
    return restore is not None and restore.verb in _IN_PLACE and not _took_place(site, restore)


def _took_place(site: Site, restore: Record) -> bool:
    if restore.outcome in {Outcome.DONE, Outcome.PARTLY}:
        return True
    if not restore.transaction or not committed(site.postgres, restore.transaction):
        return False
    return restore.taken_back is UNSET or not committed(site.postgres, restore.taken_back)
