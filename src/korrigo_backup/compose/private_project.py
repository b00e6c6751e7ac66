"""A private Compose project: a throw-away copy of the site's services, removed with all that belongs to it.

All of it has two labels: the name of the private project, and the name of the site's own project. A lock file in the
backup directory shows that the process which made it lives; the next run removes what a killed process has left.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from korrigo_backup.compose.build import is_code
from korrigo_backup.compose.private_code import code_over, with_new_image
from korrigo_backup.compose.private_document import (
    PLACE_LABEL,
    SITE_LABEL,
    entrances,
    needed_services,
    private_document,
    tasks,
)
from korrigo_backup.compose.private_mounts import PrivateOptions
from korrigo_backup.compose.project import COMPOSE_SECONDS, file_in_memory
from korrigo_backup.compose.running import resolved
from korrigo_backup.core.excerpt import listed
from korrigo_backup.errors import KorrigoBackupError, Locked, NotFound, Refused
from korrigo_backup.system import lock
from korrigo_backup.system.run import Command, run
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.compose.project import Project

_LOCK = ".{name}.lock"
"""The lock file of a private project in the backup directory."""

_LOG_LINES = "20"


@dataclass(frozen=True)
class PrivateRoles:
    """The services of a private project by their part in the site, and the directory of the media in the backend."""

    database: str
    backend: str
    media: str | None


@dataclass(frozen=True)
class PrivateProject:
    """A private project that is there. `document` is that of the site's own project, as Compose resolves it."""

    project: Project
    options: PrivateOptions
    document: dict[str, Any]

    @property
    def helpers(self) -> tuple[str, ...]:
        """The services that the backend needs, without the database, in the order of their start; no tasks."""
        own = {self.options.database, self.options.backend, *self.options.others, *self.tasks}
        return tuple(name for name in self._services if name not in own)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The services that end before the backend starts."""
        return tuple(name for name in tasks(self.document, self.options.backend) if name in self._services)

    @property
    def _services(self) -> tuple[str, ...]:
        return needed_services(self.document["services"], self.options)

    @contextmanager
    def without_media_writes(self) -> Iterator[Project]:
        """Yield the same project with the media read-only; containers that are made again have them so."""
        with self._with(replace(self.options, media_read_only=True)) as project:
            yield project

    @contextmanager
    def with_code(self, image: str, checkout: Path | None, manage: tuple[str, ...]) -> Iterator[Project]:
        """Yield the same project with other code for the backend, and for the tasks of the same image.

        `image` is another image, "" for the same. The files of `checkout`, a directory of this machine, are mounted
        read-only over the directory of manage.py. Containers that are made again have both. Raises NotFound if the
        engine does not have the image, or the directory no manage.py.
        """
        options = self.options
        if image:
            options = replace(options, images=with_new_image(options, self._inspected(image, "{{.Id}}")))
        if checkout:
            body = private_document(self.document, options)["services"][self.options.backend]
            home = body.get("working_dir") or self._inspected(body["image"], "{{.Config.WorkingDir}}")
            options = replace(options, code=code_over(checkout, home, manage, body["volumes"]))
        with self._with(options) as project:
            yield project

    def _inspected(self, image: str, form: str) -> str:
        asked = Command(("docker", "image", "inspect", "--format", form, image), self.project.environment)
        done = run(asked, timeout=COMPOSE_SECONDS)
        if done.status:
            raise NotFound(f"the engine has no image {image}", hint=f"docker pull {image}, or build it here first")
        return done.stdout.decode().strip()

    @contextmanager
    def _with(self, options: PrivateOptions) -> Iterator[Project]:
        with _called(self.project, private_document(self.document, options), options.name) as project:
            yield project

    def logs(self, service: str) -> str:
        """Return the last lines that a service printed, "" if the engine does not give them."""
        with suppress(KorrigoBackupError):
            container = self.project.container(service)
            done = run(
                Command(("docker", "logs", "--tail", _LOG_LINES, container.id), self.project.environment),
                timeout=COMPOSE_SECONDS,
            )
            return "\n".join(filter(None, (done.stdout.decode(errors="replace").strip(), done.stderr)))
        return ""


@contextmanager
def private_project(
    live: Project, roles: PrivateRoles, directory: Path, stamp: str, *, visited: bool = False
) -> Iterator[PrivateProject]:
    """Yield a private project of the services of `live`, none of them made yet; all of it is removed afterwards.

    `directory` is that of the backups, `stamp` the time of the run. With `visited` the proxies of the site belong to
    it. What killed runs have left is removed first. Raises
    Refused if Compose does not resolve the site's files, KorrigoBackupError if something cannot be removed.
    """
    document = resolved(live)
    if document is None:
        raise Refused(
            "docker compose config gives no answer for the site's project",
            hint=f"run it by hand: {live.shown} config --format json; docker compose 2 is needed",
        )
    remove_left(live, directory, str(document["name"]))
    images = _images(live)
    options = PrivateOptions(
        name=f"{document['name']}-drill-{stamp}",
        database=roles.database,
        backend=roles.backend,
        media=roles.media,
        images=images,
        is_code=partial(is_code, Path("/")),
        is_file=lambda path: Path(path).is_file(),
        others=entrances(document, roles.backend, images) if visited else (),
    )
    made = private_document(document, options)
    place = directory / _LOCK.format(name=options.name)
    try:
        with lock.exclusive(place, f"the private project {options.name}"), _called(live, made, options.name) as project:
            try:
                yield PrivateProject(project, options, document)
            finally:
                remove(live, PLACE_LABEL, options.name)
    finally:
        place.unlink(missing_ok=True)


def left(live: Project, directory: Path, site: str) -> tuple[str, ...]:
    """Return the names of the private projects of a site's project whose process has ended."""
    names: set[str] = set()
    form = f'{{{{.Label "{PLACE_LABEL}"}}}}'
    for kind in _KINDS:
        words = ("docker", *kind.list, "--filter", f"label={SITE_LABEL}={site}", "--format", form)
        names |= set(_asked(live, words).split())
    return tuple(sorted(name for name in names if not _lives(directory / _LOCK.format(name=name))))


def remove_left(live: Project, directory: Path, site: str) -> tuple[str, ...]:
    """Remove the private projects of a site's project that killed runs have left; return their names."""
    names = left(live, directory, site)
    for name in names:
        remove(live, PLACE_LABEL, name)
    known = {_LOCK.format(name=name) for name in names}
    for path in directory.glob(_LOCK.format(name=f"{site}-drill-*")):
        if path.name in known or not _lives(path):
            path.unlink(missing_ok=True)
    return names


def remove_dead(live: Project, directory: Path) -> tuple[str, ...]:
    """Remove the private projects whose lock files in the backup directory no process holds; return their names.

    The engine is asked only if there is such a file.
    """
    names = []
    for path in sorted(directory.glob(_LOCK.format(name="*-drill-*"))):
        if not _lives(path):
            name = path.name.removeprefix(".").removesuffix(".lock")
            remove(live, PLACE_LABEL, name)
            path.unlink(missing_ok=True)
            names.append(name)
    return tuple(names)


@phase("removal of the private project")
def remove(live: Project, label: str, value: str) -> None:
    """Remove the containers, networks and volumes with this label. Raises KorrigoBackupError if any is left."""
    refused = []
    for kind in _KINDS:
        ids = _asked(live, ("docker", *kind.list, "-q", "--filter", f"label={label}={value}")).split()
        if ids:
            done = run(Command(("docker", *kind.remove, *ids), live.environment), timeout=COMPOSE_SECONDS)
            refused += [done.stderr] if done.status else []
    if refused:
        raise KorrigoBackupError(
            f"the private project {value} cannot be removed: {listed(refused)}",
            hint=f"by hand: docker compose -p {value} down -v --remove-orphans; the next run tries again, too",
        )


@dataclass(frozen=True)
class _Kind:
    """The words of docker that list, and those that remove, things of a kind."""

    list: tuple[str, ...]
    remove: tuple[str, ...]


_KINDS = (
    _Kind(("ps", "-a", "--no-trunc"), ("rm", "--force", "--volumes")),
    _Kind(("network", "ls", "--no-trunc"), ("network", "rm")),
    _Kind(("volume", "ls"), ("volume", "rm", "--force")),
)


def _asked(live: Project, words: tuple[str, ...]) -> str:
    done = run(Command(words, live.environment), timeout=COMPOSE_SECONDS)
    if done.status:
        raise live.failure(done.stderr, done.status, " ".join(words[1:3]))
    return done.stdout.decode()


def _lives(path: Path) -> bool:
    """Return whether a process holds the lock file of a private project."""
    if not path.exists():
        return False
    try:
        with lock.exclusive(path, "a look at leftovers"):
            return False
    except Locked:
        return True


@contextmanager
def _called(live: Project, document: dict[str, Any], name: str) -> Iterator[Project]:
    """Yield a project whose file is the document, in memory alone: it holds the site's secrets."""
    with file_in_memory(msgspec.json.encode(document).decode()) as path:
        yield replace(
            live,
            files=(path,),
            name=name,
            env_file=None,
            profiles=(),
            started_from=None,
            known={},
            seen=[],
            labels={name},
        )


def _images(live: Project) -> dict[str, str]:
    """Return the images of the site's containers by service, those that run last in the order."""
    found = sorted(live.containers(), key=lambda one: one.running)
    return {one.service: one.image for one in found if one.image}
