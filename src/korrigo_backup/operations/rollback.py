"""Roll back a restore: what it replaced comes back by renames, what it brought is kept in turn.

Rolling back twice is going forward again: `_before_S` and `_after_S` change places with the live data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.domain.journal import Listener, Step, silent
from korrigo_backup.domain.naming import stamp_beside
from korrigo_backup.errors import Cancelled, NotFound
from korrigo_backup.operations.recover import database_of, recover
from korrigo_backup.operations.undo import all_or_nothing
from korrigo_backup.site.databases import Databases
from korrigo_backup.site.media import REDO, ROLLBACK, Move
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Callable

    from korrigo_backup.catalog import Catalog
    from korrigo_backup.operations.undo import UndoStack
    from korrigo_backup.site.site import Site


class RollbackPlan(msgspec.Struct, frozen=True):
    """What would come back and where the present state is kept; None for a part that has nothing to bring back."""

    stamp: str
    move: str
    database: str | None
    database_kept_as: str | None
    media: str | None
    media_kept_as: str | None


def rollback(
    site: Site,
    catalog: Catalog,
    *,
    confirm: Callable[[RollbackPlan], bool],
    media_only: bool = False,
    redo: bool = False,
    listen: Listener = silent,
) -> RollbackPlan:
    """Bring back what the newest restore replaced (or, with `redo`, what the newest rollback replaced).

    Raises NotFound when nothing is kept, Cancelled when `confirm` says no; any failure rolls back.
    """
    move = REDO if redo else ROLLBACK
    with catalog.exclusive("rollback"):
        for line in recover(site):
            listen(Step("rollback.recovered", {"what": line}))
        plan = _plan(site, move, media_only=media_only)
        if not confirm(plan):
            raise Cancelled("Rollback cancelled", hint="nothing to do; only the answer yes goes on")
        with all_or_nothing() as undo, explained("swap the media tree"):
            _stop(site, undo, listen)
            swaps = [_swap_media, _swap_database] if redo else [_swap_database, _swap_media]
            for swap in swaps:
                swap(site, plan, move, undo)
            listen(Step("rollback.swapped"))
            site.services.start()
            site.services.await_health()
    return plan


def _plan(site: Site, move: Move, *, media_only: bool) -> RollbackPlan:
    live, names = site.postgres.database, Databases(site.postgres).names()
    in_database = set() if media_only else stamp_beside(names, live, move.source)
    in_media = set(site.media.kept(move.source)) if site.media else set()
    if not in_database | in_media:
        raise NotFound(
            "no restore has left anything to go back to",
            hint="restore a backup instead: korrigo-backup restore latest, or a pre_restore_safety_backup_… file",
        )
    newest = max(in_database | in_media)
    has_database, has_media = newest in in_database, newest in in_media
    return RollbackPlan(
        stamp=newest,
        move=move.source,
        database=database_of(live, move.source, newest) if has_database else None,
        database_kept_as=database_of(live, move.kept, newest) if has_database else None,
        media=str(site.media.beside(move.source, newest)) if site.media and has_media else None,
        media_kept_as=str(site.media.beside(move.kept, newest)) if site.media and has_media else None,
    )


def _stop(site: Site, undo: UndoStack, listen: Listener) -> None:
    listen(Step("rollback.stop" if site.services.configured else "rollback.stop.none"))
    undo.push("the stop of the services", site.services.start)
    site.services.stop()


def _swap_database(site: Site, plan: RollbackPlan, move: Move, undo: UndoStack) -> None:
    del move
    if plan.database is None or plan.database_kept_as is None:
        return
    databases, live, source, kept = (
        Databases(site.postgres),
        site.postgres.database,
        plan.database,
        plan.database_kept_as,
    )
    undo.push("the swap of the databases", lambda: databases.undo_swap(live, source, kept))
    databases.disconnect(source)
    databases.swap(live, source, kept)
    databases.admit(live)


def _swap_media(site: Site, plan: RollbackPlan, move: Move, undo: UndoStack) -> None:
    media = site.media
    if media is None or plan.media is None:
        return
    undo.push("the swap of the media", lambda: media.undo_swap(plan.stamp, move))
    media.swap(plan.stamp, move)
