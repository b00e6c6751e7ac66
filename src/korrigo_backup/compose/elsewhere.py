"""A site whose containers were made from another directory: this directory must not replace its data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.compose.access import ComposeAccess
from korrigo_backup.core.finding import Finding, error
from korrigo_backup.errors import Refused
from korrigo_backup.run.step import ContainersElsewhere

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.compose.container import Container
    from korrigo_backup.compose.project import Project
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
    message = f"the containers of this project were made from {place}, and this site is {_home(access.project)}"
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


def _home(project: Project) -> Path | None:
    """Return the project directory, absolute; None where Compose looks for its file by itself."""
    return project.files[0].absolute().parent if project.files else None


def made_elsewhere(project: Project, containers: Sequence[Container]) -> Path | None:
    """Return the directory that the containers were made from, if that is another directory on this machine.

    A directory that is gone was moved or renamed, and is no other site. A symbolic link leads to the same directory.
    """
    own = _home(project)
    if own is None:
        return None
    for one in containers:
        place = Path(one.directory)
        if not one.directory or not place.is_dir() or _same(place, own):
            continue
        if any(_same(Path(file), project.files[0]) for file in one.files):
            continue
        if project.started_from is None or not _same(place, project.started_from):
            return place
    return None


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
