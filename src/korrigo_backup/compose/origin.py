"""Whether the containers of a project were made from its directory here: two checkouts may share a project name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.compose.container import Container
    from korrigo_backup.compose.project import Project


def home(project: Project) -> Path | None:
    """Return the project directory, absolute; None where Compose looks for its file by itself."""
    return project.files[0].absolute().parent if project.files else None


def made_elsewhere(project: Project, containers: Sequence[Container]) -> Path | None:
    """Return the directory that the containers were made from, if that is another directory on this machine.

    A directory that is gone was moved or renamed, and is no other site. A symbolic link leads to the same directory.
    """
    own = home(project)
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
