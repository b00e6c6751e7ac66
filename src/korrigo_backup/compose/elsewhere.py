"""A site whose containers were made from another directory: this directory must not replace its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.compose.access import ComposeAccess
from korrigo_backup.compose.origin import home, made_elsewhere
from korrigo_backup.core.finding import Finding, error
from korrigo_backup.errors import Refused
from korrigo_backup.run.step import ContainersElsewhere

if TYPE_CHECKING:
    from korrigo_backup.run.step import Listener
    from korrigo_backup.site.site import Site


def elsewhere(site: Site) -> list[Finding]:
    """Return an error where the containers of the Compose project were made from another directory than this one's."""
    access = site.postgres.access
    if not isinstance(access, ComposeAccess):
        return []
    place = made_elsewhere(access.project, access.project.seen or access.project.containers())
    if place is None:
        return []
    message = f"the containers of this project were made from {place}, and this site is {home(access.project)}"
    hint = f'work in the directory of that site; where both are the same site: [compose] started_from = "{place}"'
    return [error("compose.elsewhere", message, hint)]


def require_here(site: Site) -> None:
    """Raise Refused where the containers were made from another directory."""
    for one in elsewhere(site):
        raise Refused(one.message, hint=one.hint)


def warn(site: Site, listen: Listener) -> None:
    """Warn `listen` that a backup is made of a site whose containers were made from another directory."""
    for one in elsewhere(site):
        listen(ContainersElsewhere(one.message, one.hint))
