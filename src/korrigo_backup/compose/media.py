"""The media of a Compose project: from the engine's volume where this user may read it, else through a container."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from korrigo_backup.compose.container import mount_of
from korrigo_backup.compose.project import COMPOSE_SECONDS, engine_cause
from korrigo_backup.errors import NotFound
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.system.run import Command, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from korrigo_backup.compose.container import Container
    from korrigo_backup.compose.project import Project
    from korrigo_backup.media.port import Tree

_HERE = "unix://"
"""How the address of an engine on this machine begins."""

_SCRIPT = "manage.py"


def media_tree(
    project: Project, service: str, directory: str, manage: tuple[str, ...], make: Callable[[str], None] | None = None
) -> Tree | None:
    """Return the media tree of a service, None if the service has no mount there.

    `directory` may lie below a mount: a volume for all data, with the media in it. Compose is asked which volume or
    directory is mounted, and the engine where it keeps it. If this user may not read that place, or the engine is on
    another machine, or another volume is mounted inside of it, the service's own Python reads and writes the tree. With
    `make`, a missing container of the service is created, unless the project has no container at all: `make` is called
    with the name of the service.
    """
    mounts = _container(project, service, make).mounts
    mount = mount_of(mounts, directory)
    if mount is None:
        return None
    below = PurePosixPath(directory).relative_to(mount.destination)
    place = Path(mount.source) / below
    if below.parts and os.access(mount.source, os.R_OK | os.X_OK) and not place.is_dir():
        return None  # the mount above holds the site's code, and no media
    nested = any(m.destination.startswith(f"{directory.rstrip('/')}/") for m in mounts)  # seen in the container alone
    if not nested and os.access(place, os.R_OK | os.W_OK | os.X_OK) and _is_here(project):
        return MediaTree(place)
    from korrigo_backup.media.remote.tree import RemoteTree  # noqa: PLC0415 - most sites read the volume itself

    python = _Python(project, service, interpreter(manage))
    return RemoteTree(Path(directory), python.command, lambda stderr: engine_cause(stderr, project.shown))


def _container(project: Project, service: str, make: Callable[[str], None] | None) -> Container:
    try:
        return project.container(service)
    except NotFound:
        if make is None or not project.seen:  # without any container the project's name may be wrong
            raise
    make(service)
    project.make_container(service)
    return project.container(service)


def interpreter(manage: tuple[str, ...]) -> tuple[str, ...]:
    """Return how Python is called in the service, as its manage.py is: the words before that."""
    script = next((number for number, word in enumerate(manage) if Path(word).name == _SCRIPT), 0)
    return manage[:script] or ("python3",)


@dataclass(frozen=True)
class _Python:
    """Python in the service's container: in the running container, or in a new one while the service is stopped."""

    project: Project
    service: str
    words: tuple[str, ...]

    def command(self, *arguments: str) -> Command:
        if self.project.is_running(self.service):
            return self.project.exec(self.service, *self.words, *arguments)
        return self.project.one_off(self.service, *self.words[1:], *arguments, program=self.words[0])


def _is_here(project: Project) -> bool:
    """Return whether the engine is on this machine: elsewhere its paths may be those of other files."""
    asked = Command(("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"), project.environment)
    done = run(asked, timeout=COMPOSE_SECONDS)
    return done.status != 0 or done.stdout.decode(errors="replace").strip().startswith(_HERE)
