"""Recover from a killed run: its state is in the names, so no other record of it is needed.

Database and media of a stamp belong together, and the names of the media mark a swap of both as in progress from before
the first rename of either until after the last: such a swap is undone, both of it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import (
    DRILL_FILES,
    DRILL_SERVER,
    after_database,
    before_database,
    beside,
    is_beside,
    stage_database,
)
from korrigo_backup.compare.identity import identified, renamed, require_own
from korrigo_backup.compose.access import ComposeAccess
from korrigo_backup.compose.elsewhere import warn
from korrigo_backup.compose.private_project import remove_dead
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.erasure.marker import mark_ledger
from korrigo_backup.errors import KorrigoBackupError, Locked, Refused, Unreachable, World
from korrigo_backup.postgres import fence
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.recovery import django as undecided
from korrigo_backup.recovery import in_place, undelete
from korrigo_backup.recovery.actions import ActionKind, Recovered, RecoveryAction
from korrigo_backup.recovery.erasure import finish_erasures
from korrigo_backup.recovery.pending import pending
from korrigo_backup.recovery.put_files import finish_files
from korrigo_backup.run.step import (
    Listener,
    RecoveryAhead,
    RecoveryDone,
    RecoveryLeft,
    SiteRenamed,
    StrangerOwner,
    silent,
)
from korrigo_backup.system.files import explained
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.media.port import Tree
    from korrigo_backup.media.tree import Move
    from korrigo_backup.postgres.databases import ServerSurvey
    from korrigo_backup.site.site import Site

STOPPED = (
    "STOPPED: the interrupted run is not finished yet. No data was deleted; remove the cause that is named,"
    " then run korrigo-backup rollback: it finishes this first"
)


@contextmanager
def exclusive(
    site: Site, catalog: Catalog, doing: str, *, listen: Listener = silent, own: bool = False, dry_run: bool = False
) -> Iterator[tuple[Site, Recovered]]:
    """Lock the site against every other run, on this machine and on others, and recover from a dead run.

    Yields the site to work on; `listen` receives every action of the recovery. Raises Locked with the text of the other
    run. With `own` the directory must be the site's to write in: else Refused (`identity.require_own`). A dry run only
    names the actions of the recovery; `require_plannable` tells whether a plan can be made before them.
    """
    with catalog.exclusive(doing), fence.held(site.postgres, doing) as server:
        site = replace(site, postgres=server, ledger=site.ledger and site.ledger.seen())
        if dry_run:
            recovered = pending(site, catalog.directory)
            for action in recovered.actions:
                listen(RecoveryAhead(action.intention))
            yield identified(site, catalog, recovered.system), recovered
            return
        mark_ledger(catalog.directory, site.ledger)
        recover_places(catalog, listen)
        _remove_private(site, catalog, listen)
        undeletes = _finish_undeletes(site, catalog, listen)
        recovered = replace(recover(site, catalog.directory), undeletes=undeletes)
        undecided.note(site, catalog, recovered.stamps)
        in_place.note(site, catalog)
        for action in recovered.actions:
            _tell(action, listen)
        for one in recovered.left:
            listen(RecoveryLeft(one.message, one.hint))
        site = identified(site, catalog, recovered.system)
        if own and recovered.stranger:
            listen(StrangerOwner(site.postgres.database, recovered.stranger))
        if own:
            warn(site, listen)
            for one in renamed(site, catalog, recovered.names):
                listen(SiteRenamed(one.message, one.hint))
            require_own(site, catalog, exists=recovered.exists)
        yield site, recovered


def recover_places(catalog: Catalog, listen: Listener = silent) -> None:
    """Remove the leftovers of killed drills from the backup directory; the caller holds its lock."""
    if any((catalog.directory / name).exists() for name in (DRILL_SERVER, DRILL_FILES)):
        from korrigo_backup.places.local import remove_left  # noqa: PLC0415 - only after a killed drill

        for name in remove_left(catalog.directory):
            _tell(RecoveryAction(ActionKind.DRILL_PLACE_REMOVED, name), listen)


def _remove_private(site: Site, catalog: Catalog, listen: Listener) -> None:
    """Remove the private Compose projects of killed runs. A failure keeps no backup from being made."""
    access = site.postgres.access
    if not isinstance(access, ComposeAccess):
        return
    try:
        for name in remove_dead(access.project, catalog.directory):
            _tell(RecoveryAction(ActionKind.PRIVATE_PROJECT_REMOVED, name), listen)
    except KorrigoBackupError as problem:
        listen(RecoveryLeft(problem.message, problem.hint))


def _finish_undeletes(site: Site, catalog: Catalog, listen: Listener) -> tuple[RecoveryAction, ...]:
    """Finish the undeletes and restores of files of killed runs.

    A server that cannot say how an undelete ended keeps no backup from being made. Each is tried, also if one fails.
    """
    done, of_files = list[RecoveryAction](), ("finish the interrupted restore of files", finish_files)
    for doing, finish in (of_files, ("finish the interrupted undelete", undelete.finish)):
        try:
            with explained(doing):
                actions = finish(site, catalog.directory)
            for action in actions:
                _tell(action, listen)
            done += actions
        except (Unreachable, Locked):
            raise
        except KorrigoBackupError as problem:
            listen(RecoveryLeft(problem.message, problem.hint))
    return tuple(done)


def _tell(action: RecoveryAction, listen: Listener) -> None:
    listen(RecoveryDone(action.sentence))


@phase("leftovers of earlier runs")
def recover(site: Site, directory: Path) -> Recovered:
    """Undo half-done swaps, remove stages, finish erasures, start stopped services; return the actions.

    The caller holds the site's lock, so no stage belongs to a living run. Previous copies stay.
    """
    with _stopped(site), explained("finish the interrupted run"):
        databases, live = Databases(site.postgres), site.postgres.database
        done = undecided.finish(site)
        stamps = {stamp for stamp, move in site.media.unfinished() if move.source == "stage"} if site.media else set()
        done += _take_back_swaps(site, site.media) if site.media else []
        found = databases.survey(live)
        leftovers = _Leftovers()
        if found.incomplete and (taken := _take_back_incomplete(databases, live, found.incomplete, leftovers)):
            done.append(taken)
            found = databases.survey(live)
        staged = beside(found.names, live, "stage")
        for name in sorted({*staged.values(), *beside(found.names, live, "back").values()}):
            if leftovers.removed(f"database {name}", partial(databases.drop_staged, name)):
                kind = ActionKind.STAGED_DROPPED if name in staged.values() else ActionKind.LOADED_DROPPED
                done.append(RecoveryAction(kind, name))
        stamps |= set(staged)
        done += _tidy(databases, live, found, leftovers)
        erased, undone = finish_erasures(site, directory, stamps)
        done += erased
        stamps |= undone
        if site.left_stopped and (started := _started_again(site, leftovers)):
            done.append(started)
    there = live in found.names
    return Recovered(
        actions=tuple(done),
        stamps=frozenset(stamps),
        left=tuple(leftovers.findings),
        system=found.system,
        exists=there,
        stranger=found.stranger,
        names=frozenset(found.names),
    )


def _started_again(site: Site, leftovers: _Leftovers) -> RecoveryAction | None:
    """Start the services that an earlier run has stopped. A failure to start keeps no backup from being made.

    Raises Refused where only another machine can start them: there the interrupted run is to be finished first.
    """
    try:
        site.start_services()
    except Refused:
        raise
    except KorrigoBackupError as problem:
        words = f"services that an earlier run has stopped do not run again: {problem.message}"
        leftovers.findings.append(warning("recover.left", words, problem.hint))
        return None
    return RecoveryAction(ActionKind.SERVICES_STARTED)


@dataclass
class _Leftovers:
    """Removes the leftovers of earlier runs, and notes those that could not be removed."""

    findings: list[Finding] = field(default_factory=list)

    def removed(self, name: str, remove: Callable[[], object]) -> bool:
        """Remove a leftover; return whether it is gone. Raises Unreachable and Locked, which are about the server."""
        try:
            remove()
        except (Unreachable, Locked):
            raise
        except KorrigoBackupError as problem:
            words = f"{name}, left by an earlier run, cannot be removed: {problem.message}"
            self.findings.append(warning("recover.left", words, problem.hint))
            return False
        return True


def take_back(site: Site, stamp: str, move: Move) -> None:
    """Make media and database of a stamp old again from any point of their swap. Safe to repeat.

    The names mark the swap as in progress until both are old, so this may be cut off, too.
    """
    live, databases, media = site.postgres.database, Databases(site.postgres), site.media
    if media:
        media.undo_moves(stamp, move)
    if not move.alone:
        names = databases.names()
        source, kept = (database_of(live, role, stamp, names) for role in (move.source, move.kept))
        databases.undo_swap(live, source, kept)
    if media:
        media.undo_announce(stamp, move)


def database_of(live: str, role: str, stamp: str, names: Collection[str] = ()) -> str:
    """Return the name of the database of a role (`stage`, `before`, `after`) and stamp.

    `names` are all databases of the server: a database that an earlier version has named is found under that name.
    """
    made = {"stage": stage_database, "before": before_database, "after": after_database}[role](live, stamp)
    return beside(names, live, role).get(stamp, made)


def _take_back_swaps(site: Site, media: Tree) -> list[RecoveryAction]:
    done = []
    for stamp, move in media.unfinished():
        take_back(site, stamp, move)
        if move.source == "stage":
            media.discard_stage(stamp)
            done.append(RecoveryAction(ActionKind.RESTORE_ROLLED_BACK, stamp))
        else:
            done.append(RecoveryAction(ActionKind.ROLLBACK_ROLLED_BACK, stamp))
    return done


def _take_back_incomplete(databases: Databases, live: str, staged: str, leftovers: _Leftovers) -> RecoveryAction | None:
    """If the new database lacks an object of the last step, make the old database live again and drop the new."""
    names, stamps = databases.names(), beside([staged], live, "stage")
    before = database_of(live, "before", next(iter(stamps), ""), names)
    if before not in names and databases.came_from(live) != staged:
        words = f"database {live} lacks an object that a restore makes last, and the database that it replaced is gone"
        leftovers.findings.append(warning("recover.left", words, "restore again: korrigo-backup restore latest"))
        return None
    databases.undo_swap(live, staged, before)
    return RecoveryAction(ActionKind.RESTORE_ROLLED_BACK, next(iter(stamps)))


def _tidy(databases: Databases, live: str, found: ServerSurvey, leftovers: _Leftovers) -> list[RecoveryAction]:
    loaders = [name for name in sorted(found.roles) if is_beside(name, live, "load")]
    gone = [name for name in loaders if leftovers.removed(f"role {name}", partial(databases.drop_role, name))]
    done = [RecoveryAction(ActionKind.ROLE_DROPPED, name) for name in gone]
    if found.unsettled:
        databases.settle(live)
        done.append(RecoveryAction(ActionKind.DATABASE_COMPLETED, live))
    kept = {name for role in ("before", "after") for name in beside(found.names, live, role).values()}
    for name in sorted(found.closed):
        if name == live:
            databases.disconnect(live)  # a killed restore in place ends here, and with it its transaction
        if name == live or name in kept:
            databases.admit(name)
            done.append(RecoveryAction(ActionKind.CONNECTIONS_ALLOWED, name))
    return done


@contextmanager
def _stopped(site: Site) -> Iterator[None]:
    """Set the state to stopped if the recovery fails; otherwise a failure changes no data."""
    try:
        yield
    except KorrigoBackupError as problem:
        if problem.world is World.UNCHANGED and (site.left_stopped or (site.media and site.media.unfinished())):
            problem.leave(World.STOPPED, STOPPED)
        raise
