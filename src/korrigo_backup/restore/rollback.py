"""Roll back a restore: the previous copy comes back by renames, and the restored data are kept in turn.

Rolling back twice is going forward again: `_before_S` and `_after_S` change places with the live data.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.artifact.naming import beside
from korrigo_backup.compose.elsewhere import require_here
from korrigo_backup.errors import Cancelled, NotFound, Refused
from korrigo_backup.media.tree import REDO, ROLLBACK, require_no_live_mounts
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.recovery.django import DJANGO, stamp_of
from korrigo_backup.recovery.pending import require_plannable
from korrigo_backup.recovery.recover import database_of, exclusive, take_back
from korrigo_backup.recovery.undoable import standings
from korrigo_backup.restore.django.way_back import load_before, obstacle
from korrigo_backup.restore.downtime import Downtime
from korrigo_backup.restore.erasing_copies import erase_copy, planned_for_copy
from korrigo_backup.restore.needs import require_maintenance
from korrigo_backup.run.journal import read, recorded
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, LoadingSafety, RolledBack, silent
from korrigo_backup.run.undo import all_or_nothing
from korrigo_backup.system.files import explained
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.media.tree import Move
    from korrigo_backup.run.record import Record
    from korrigo_backup.site.site import Site


_VERB = Verb.ROLLBACK
_ONLY = "only"
"""The key in the journal for a rollback of a single part."""


class RollbackPlan(msgspec.Struct, frozen=True):
    """The data that would come back and where the present state is kept; None for a part without a previous copy.

    `safety` names the backup that the database is loaded from first, after a restore that kept no previous copy.
    """

    stamp: str
    move: str
    database: str | None
    database_kept_as: str | None
    media: str | None
    media_kept_as: str | None
    safety: str | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class RollbackOptions:
    """The choices of the operator: `redo` brings back the previous copy of the newest rollback.

    With `keep`, services that do not become healthy are no failure. A dry run ends in `confirm`, or before it if an
    interrupted restore would be undone.
    """

    media_only: bool = False
    redo: bool = False
    keep: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class RollbackResult:
    """A rollback that is done, with findings about rows that were erased again and about the services' health."""

    plan: RollbackPlan
    health: tuple[Finding, ...]


def rollback(
    site: Site,
    catalog: Catalog,
    options: RollbackOptions,
    *,
    confirm: Callable[[RollbackPlan], bool],
    listen: Listener = silent,
) -> RollbackResult | None:
    """Bring back the previous copy of the newest restore (or, with `redo`, of the newest rollback).

    An interrupted restore is undone, and no other step is taken then: to go on would undo the restore before it.
    Returns None in that case. After a restore by Django the database comes back from its safety backup, staged and
    proven while the site serves, and the media with it. Raises NotFound if there is no previous copy; Refused if less
    than the whole was asked for after an interrupted restore, if only half of it could come back, or if it was made in
    place; Cancelled if `confirm` returns False; any failure rolls back.
    """
    require_here(site)
    move = REDO if options.redo else ROLLBACK
    held = exclusive(site, catalog, "rollback", listen=listen, dry_run=options.dry_run)
    with held as (site, recovered):  # noqa: PLR1704 - now held
        recovered.require_no_undelete()
        if recovered.restore:
            _finished(options)
            return None
        if options.dry_run:
            require_plannable(site, recovered)
        safety, records = None, [one for one in read(catalog.directory) if one.site == site.name]
        if move is ROLLBACK and not options.media_only:
            newest = _standing(records)
            _refuse_after_in_place(newest)
            safety = _safety_of_django(site, catalog, newest)
        with site.postgres.asking():
            plan = _plan_loaded(site, safety) if safety else _plan(site, move, records, media_only=options.media_only)
        copy = site.media.aside(move.source, plan.stamp) if site.media and plan.media else None
        plan = msgspec.structs.replace(plan, findings=planned_for_copy(site, catalog, plan.database, copy, safety))
        if not confirm(plan):
            raise Cancelled("Rollback cancelled", hint="to continue, run it again and answer yes")
        why = {_ONLY: "media"} if options.media_only else {}
        with recorded(catalog.directory, site, _VERB, plan.stamp, listener=listen, why=why) as running:
            if safety:
                running.listen(LoadingSafety(safety.name))
                load_before(site, safety, plan.stamp, running.listen)
            erased = list(erase_copy(site, catalog, plan.database, copy))
            again = lambda: erased.extend(erase_copy(site, catalog, plan.database, copy))  # noqa: E731 - one call
            health = _carry_out(site, plan, move, running.listen, keep=options.keep, erase_again=again)
    return RollbackResult(plan, (*erased, *health))


def _finished(options: RollbackOptions) -> None:
    """Refuse the rest of the request after an interrupted restore was undone; return if there is no rest."""
    if options.dry_run and (options.redo or options.media_only):
        raise Refused(
            "an interrupted restore is to be undone first", hint="korrigo-backup rollback undoes it; then look again"
        )
    if options.redo or options.media_only:
        raise Refused(
            "an interrupted restore was undone first: the site is as it was before it",
            hint="look at the site, then run the same command again if you still want it",
            state="the interrupted restore is undone; no other change was made",
        )


def _carry_out(
    site: Site,
    plan: RollbackPlan,
    move: Move,
    listen: Listener,
    *,
    keep: bool,
    erase_again: Callable[[], None],
) -> tuple[Finding, ...]:
    """Stop, swap, start; `erase_again` takes out what `forget` has recorded meanwhile, and it waits for the swap."""
    move = replace(move, alone=plan.database is None)
    databases, live, exists = Databases(site.postgres), site.postgres.database, True
    with Downtime(site, _VERB, listen) as down, all_or_nothing() as undo, explained("swap the media tree"):
        down.stop(undo)
        undo.push("the swap of database and media", lambda: take_back(_parts(site, plan), plan.stamp, move))
        with phase("swap"), site.ledger.held() if site.ledger else nullcontext(0) as new:
            if new:
                erase_again()
            if site.media and plan.media:
                site.media.announce(plan.stamp, move)
            if plan.database and plan.database_kept_as:
                exists = live in databases.names()
                databases.disconnect(plan.database)
                databases.swap(live, plan.database, plan.database_kept_as if exists else None)
            if site.media and plan.media:
                site.media.swap(plan.stamp, move)
        listen(RolledBack())
        health = down.start(undo, keep=keep)
        if not exists:
            databases.settle(live)
    return health


def _parts(site: Site, plan: RollbackPlan) -> Site:
    """Return the site with the parts that the rollback changes."""
    return site if plan.media else replace(site, media=None)


@phase("plan")
def _plan(site: Site, move: Move, records: Sequence[Record], *, media_only: bool) -> RollbackPlan:
    live, names = site.postgres.database, Databases(site.postgres).names()
    in_database = set() if media_only else set(beside(names, live, move.source))
    in_media = set(site.media.kept(move.source)) if site.media else set()
    if in_database:
        require_maintenance(site.postgres)
    if not in_database | in_media:
        raise _no_previous_copy(site, move, names)
    newest = _last_undone(records, in_database | in_media) if move is REDO else max(in_database | in_media)
    if newest not in in_database and not media_only:
        _refuse_half(site, records, newest)
    has_database, has_media = newest in in_database, newest in in_media
    if site.media and has_media:
        require_no_live_mounts(site.media.root, site.media.facts())
        site.media.require_writable(swap=True, kept=site.media.beside(move.source, newest).name)
    return RollbackPlan(
        stamp=newest,
        move=move.source,
        database=database_of(live, move.source, newest, names) if has_database else None,
        database_kept_as=database_of(live, move.kept, newest) if has_database else None,
        media=str(site.media.beside(move.source, newest)) if site.media and has_media else None,
        media_kept_as=str(site.media.beside(move.kept, newest)) if site.media and has_media else None,
    )


def _no_previous_copy(site: Site, move: Move, names: Collection[str]) -> NotFound:
    """Return the error for a rollback without a previous copy; a rollback before it can be undone."""
    other = "restore a backup instead: korrigo-backup restore latest, or a pre_restore_safety_backup_… file"
    if move is REDO:
        return NotFound("no rollback has left data to bring back", hint=other)
    undone = beside(names, site.postgres.database, REDO.source) or (site.media and site.media.kept(REDO.source))
    if not undone:
        return NotFound("no restore has left data to go back to", hint=other)
    return NotFound(
        "no restore has left data to go back to: the last restore is rolled back already",
        hint=f"korrigo-backup rollback --to after brings the restored data again; or {other}",
    )


def _last_undone(records: Sequence[Record], stamps: set[str]) -> str:
    """Return the stamp of the restore that was rolled back last: restores are undone from the newest down."""
    undone = (one.subject for one in reversed(records) if one.verb == _VERB and one.subject in stamps)
    return next(undone, max(stamps))


@phase("plan")
def _plan_loaded(site: Site, safety: Artifact) -> RollbackPlan:
    """Return the plan of a rollback whose database is loaded first."""
    live, stamp, tree = site.postgres.database, safety.stamp, site.media
    has_media = tree is not None and stamp in tree.kept("before")
    if tree and has_media:
        require_no_live_mounts(tree.root, tree.facts())
        tree.require_writable(swap=True, kept=tree.beside(ROLLBACK.source, stamp).name)
    return RollbackPlan(
        stamp=stamp,
        move=ROLLBACK.source,
        database=database_of(live, ROLLBACK.source, stamp),
        database_kept_as=database_of(live, ROLLBACK.kept, stamp),
        media=str(tree.beside(ROLLBACK.source, stamp)) if tree and has_media else None,
        media_kept_as=str(tree.beside(ROLLBACK.kept, stamp)) if tree and has_media else None,
        safety=safety.name,
    )


def _refuse_half(site: Site, records: Iterable[Record], stamp: str) -> None:
    """Refuse to bring back files alone if the restore of this stamp has brought a database, too.

    The journal records that; former versions recorded it in the comment of the database.
    """
    live = site.postgres.database
    marked = Databases(site.postgres).came_from(live) == database_of(live, "stage", stamp)
    if marked or any(one.from_nothing == stamp for one in records):
        raise Refused(
            f"before the restore of {stamp} there was no database {live} to go back to",
            hint="add --media-only to bring back the files alone, or restore another backup",
        )


def _standing(records: Iterable[Record]) -> Record | None:
    """Return the newest restore that no rollback has undone."""
    return next((standing for _, standing in reversed(list(standings(records)))), None)


def _refuse_after_in_place(newest: Record | None) -> None:
    """Refuse to undo the restore before the newest, if the newest was in place and left no copy to rename."""
    if newest and newest.verb == Verb.RESTORE_IN_PLACE:
        raise Refused(
            f"the newest restore, of {newest.subject}, was made in place: a rename would undo the restore before it",
            hint="korrigo-backup rollback --to safety --in-place brings back the replaced data",
        )


def _safety_of_django(site: Site, catalog: Catalog, newest: Record | None) -> Artifact | None:
    """Return the safety backup that the newest restore is undone with, None if renames do that.

    Raises NotFound if the backup is gone; Refused, with the way, if it cannot be staged.
    """
    if newest is None or newest.verb != DJANGO:
        return None
    if database_of(site.postgres.database, ROLLBACK.source, stamp_of(newest)) in Databases(site.postgres).names():
        return None
    safety = catalog.find(str(catalog.directory / newest.safety), Kind.SQL)
    if words := obstacle(site, safety):
        raise Refused(
            f"the restore of {newest.subject} was made in place, and its safety backup cannot be staged: {words}",
            hint="korrigo-backup rollback --to safety --in-place, then korrigo-backup rollback --media-only",
        )
    return safety
