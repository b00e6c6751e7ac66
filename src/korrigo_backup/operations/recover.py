"""Finish what a killed run left: the state is in the names, so this needs no memory of it.

Database and media of one stamp belong together. The database is swapped first; where the media lag behind, the
database is taken back, so that both are old. A redo swaps the media first: there the same rule makes both new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.domain.naming import after_database, before_database, is_beside, stage_database
from korrigo_backup.site.databases import Databases
from korrigo_backup.site.media import RESTORE
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from korrigo_backup.site.media import MediaTree, Move
    from korrigo_backup.site.site import Site


def recover(site: Site) -> list[str]:
    """Take back half-done swaps and remove staged databases and media; return what was done, in words.

    The caller holds the site's lock, so nothing staged belongs to a living run. Kept copies stay.
    """
    databases, live, done = Databases(site.postgres), site.postgres.database, []
    if site.media:
        with explained("finish an interrupted media restore"):
            done += _finish_media(databases, live, site.media)
    for name in sorted(databases.names()):
        if is_beside(name, live, "stage"):
            databases.drop(name)
            done.append(f"dropped the unfinished database {name}")
    for name in sorted(databases.roles()):
        if is_beside(name, live, "load"):
            databases.drop_role(name)
            done.append(f"dropped the role {name} that loaded it")
    if databases.closed(live):
        databases.disconnect(live)  # what a killed restore in place has begun ends here, and with it its transaction
        databases.admit(live)
        done.append(f"database {live} takes connections again")
    return done


def database_of(live: str, role: str, stamp: str) -> str:
    """Return the name of the database of one role (`stage`, `before`, `after`) and stamp."""
    return {"stage": stage_database, "before": before_database, "after": after_database}[role](live, stamp)


def _finish_media(databases: Databases, live: str, media: MediaTree) -> list[str]:
    done = []
    for stamp, move in media.unfinished():
        if database_of(live, move.kept, stamp) in databases.names():
            _undo(databases, live, stamp, move)
        media.undo_swap(stamp, move)
        if move == RESTORE:
            media.discard_stage(stamp)
        done.append(f"took back the unfinished {'restore' if move == RESTORE else 'rollback'} of {stamp}")
    behind = set(media.kept("before")) - set(media.kept("after"))
    for stamp in sorted(behind):
        if after_database(live, stamp) in databases.names():
            databases.undo_swap(live, before_database(live, stamp), after_database(live, stamp))
            done.append(f"made the database of {stamp} fit the media again")
    return done


def _undo(databases: Databases, live: str, stamp: str, move: Move) -> None:
    databases.undo_swap(live, database_of(live, move.source, stamp), database_of(live, move.kept, stamp))
