"""The recovery from a killed run before it is made: a dry run names its actions, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import beside, is_beside
from korrigo_backup.errors import Refused
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.recovery.actions import ActionKind, Recovered, RecoveryAction
from korrigo_backup.recovery.erasure import pending_erasures
from korrigo_backup.recovery.put_files import pending_files
from korrigo_backup.recovery.undelete import PENDING, UNDOING, records
from korrigo_backup.site import unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.media.port import Tree
    from korrigo_backup.site.site import Site

_MOVING = ".moving"
"""A name in the media root that holds it marks a swap in progress (media/tree.py)."""


def pending(site: Site, directory: Path) -> Recovered:
    """Return the actions that `recover` would take now; only reads. The caller holds the site's lock."""
    found, live = Databases(site.postgres).survey(site.postgres.database), site.postgres.database
    erasures = pending_erasures(directory, site.name)
    undeletes = [*_of_undeletes(site, directory), *pending_files(directory, site.name)]
    own = {action.of for action in undeletes}  # their staged files are those of no restore
    actions = [*undeletes, *(one for one in _of_media(site.media) if one.of not in own)] if site.media else undeletes
    actions += erasures
    undone = {action.of for action in actions if action.kind is ActionKind.RESTORE_ROLLED_BACK}
    if found.incomplete:
        stamp = next(iter(beside([found.incomplete], live, "stage")))
        if stamp not in undone:
            actions.append(RecoveryAction(ActionKind.RESTORE_ROLLED_BACK, stamp))
    for role, kind in (("stage", ActionKind.STAGED_DROPPED), ("back", ActionKind.LOADED_DROPPED)):
        actions += [RecoveryAction(kind, name) for name in sorted(beside(found.names, live, role).values())]
    loaders = (name for name in sorted(found.roles) if is_beside(name, live, "load"))
    actions += [RecoveryAction(ActionKind.ROLE_DROPPED, name) for name in loaders]
    if found.unsettled and not undone:
        actions.append(RecoveryAction(ActionKind.DATABASE_COMPLETED, live))
    if live in found.closed:
        actions.append(RecoveryAction(ActionKind.CONNECTIONS_ALLOWED, live))
    if site.left_stopped:
        actions.append(RecoveryAction(ActionKind.SERVICES_STARTED))
    return Recovered(
        tuple(actions), system=found.system, exists=live in found.names, stranger=found.stranger, names=found.names
    )


def require_plannable(site: Site, recovered: Recovered) -> None:
    """Raise Refused if a killed run has left the live data in the middle of a change: a plan would be of that state."""
    swapping = site.media is not None and any(_MOVING in name for name in site.media.names())
    of_live = {
        ActionKind.UNDELETE_ROLLED_BACK,
        ActionKind.UNDELETE_STAYS,
        ActionKind.FILES_ROLLED_BACK,
        ActionKind.FILES_UNDONE,
        ActionKind.DJANGO_RESTORE_ROLLED_BACK,
        ActionKind.ERASURE_FINISHED,
        ActionKind.CONNECTIONS_ALLOWED,
        *(
            [ActionKind.RESTORE_ROLLED_BACK, ActionKind.ROLLBACK_ROLLED_BACK]
            if swapping or not recovered.exists
            else ()
        ),
    }
    ahead = [action.intention for action in recovered.actions if action.kind in of_live]
    if ahead:
        raise Refused(
            f"a killed run is to be finished first: {'; '.join(ahead)}",
            hint="korrigo-backup doctor --fix finishes it; then look at the plan again",
        )


def _of_undeletes(site: Site, directory: Path) -> Iterator[RecoveryAction]:
    for head in records(directory, site.name, PENDING, site.postgres.database):
        yield RecoveryAction(ActionKind.UNDELETE_ROLLED_BACK, head.stamp, head.verb)
    for head in records(directory, site.name, UNDOING, site.postgres.database):
        yield RecoveryAction(ActionKind.UNDELETE_STAYS, head.stamp, head.verb)


def _of_media(media: Tree) -> Iterator[RecoveryAction]:
    for record in unfinished.records(media):
        yield RecoveryAction(ActionKind.DJANGO_RESTORE_ROLLED_BACK, record.stamp)
    for stamp, move in media.unfinished():
        is_restore = move.source == "stage"
        yield RecoveryAction(ActionKind.RESTORE_ROLLED_BACK if is_restore else ActionKind.ROLLBACK_ROLLED_BACK, stamp)
