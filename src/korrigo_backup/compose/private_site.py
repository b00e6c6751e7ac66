"""A site that stands in a private Compose project: reached as the live site is, with its own database and media."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from korrigo_backup.compose.access import ComposeAccess
from korrigo_backup.compose.manage import ComposeDjango
from korrigo_backup.compose.media import media_tree
from korrigo_backup.compose.private_document import inner_ports
from korrigo_backup.compose.private_project import PrivateProject, PrivateRoles
from korrigo_backup.compose.private_services import private_services
from korrigo_backup.compose.project import COMPOSE_SECONDS, PULL_SECONDS
from korrigo_backup.compose.services import ComposeServices
from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.postgres.client import Postgres
from korrigo_backup.site.health import Health
from korrigo_backup.system.run import run
from korrigo_backup.system.timings import phase
from korrigo_backup.system.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.compose.project import Project
    from korrigo_backup.media.port import Tree
    from korrigo_backup.site.site import Site

DATABASE_SECONDS = 180.0
"""Seconds for a new cluster to be made and to answer."""

_TASK_SECONDS = 600.0
_ENTRANCE_SECONDS = 30.0
_CONNECT_SECONDS = 2.0
_PAUSE = 0.3


@dataclass(frozen=True)
class _Compose:
    """The parts of a live site that is on Compose."""

    access: ComposeAccess
    services: ComposeServices
    manage: tuple[str, ...]


def private_roles(live: Site) -> PrivateRoles:
    """Return which services a private project of the site needs. Raises Refused for a site that is not on Compose."""
    site = _composed(live)
    media = site.services.media if live.media else None
    return PrivateRoles(site.access.service, site.services.backend, media)


def manage_of(live: Site) -> tuple[str, ...]:
    """Return how manage.py is run in the backend. Raises Refused if that is not configured."""
    if manage := _composed(live).manage:
        return manage
    raise Refused("how manage.py is run is not configured", hint='set [django] manage = ["python", "manage.py"]')


def live_project(live: Site) -> Project:
    """Return the Compose project of a live site. Raises Refused for a site that is not on Compose."""
    return _composed(live).access.project


@phase("start of the private database")
def begin_site(live: Site, place: PrivateProject) -> Site:
    """Start the database of a private project, make the backend's container, and return the site that stands there.

    The application is not started: `start_application` does that when the data are in their place.
    """
    site, project = _composed(live), place.project
    database = site.access.service
    project.call("up", "--detach", "--no-deps", database, timeout=PULL_SECONDS)
    _await_database(place, database)
    project.make_container(site.services.backend)
    ports = inner_ports(place.document, site.services.backend)
    return replace(
        live,
        postgres=Postgres(
            replace(site.access, project=project),
            database=live.postgres.database,
            maintenance=live.postgres.maintenance,
        ),
        media=_media(live, site, project),
        services=private_services(project, site.services, site.manage, ports),
        django=ComposeDjango(project, site.services.backend, site.manage) if live.django else None,
        stopped=None,
    )


@phase("start of the application")
def start_application(private: Site, place: PrivateProject, project: Project | None = None) -> None:
    """Start the helpers and the backend of a private project, and wait until the backend answers.

    With `project`, the same project with another document, their containers are made anew. Raises Refused with the
    last lines of a service that does not become healthy.
    """
    project, backend = project or place.project, place.options.backend
    _up(project, place.helpers)
    for task in place.tasks:
        _carry_out(place, project, task)
    _up(project, (backend,))
    for names in (place.helpers, (backend,)):
        try:
            private.services.await_health(names, Health(), lambda _: None)
        except KorrigoBackupError as problem:
            raise Refused(
                f"the application does not start in the private project: {problem.message}",
                hint="its last lines stand above; the live site was not touched",
                detail="\n".join(place.logs(name) for name in names),
            ) from None


@phase("start of the entrance")
def start_entrance(place: PrivateProject, project: Project, service: str, port: int) -> tuple[str, int]:
    """Start a service that stands before the backend; return the address and port at which this machine reaches it.

    Raises KorrigoBackupError if it does not run, Refused if this machine cannot reach its network.
    """
    _up(project, (service,) if service != place.options.backend else ())
    container = project.container(service)
    if not container.addresses:
        raise Refused(
            f"the container of {service} has no address in the private network",
            hint="run it on the engine's own machine",
        )
    host = container.addresses[0]
    reached = wait_until(lambda one: one, lambda: _listens(host, port), seconds=_ENTRANCE_SECONDS, pause=_PAUSE)
    if not reached:
        raise Refused(
            f"{service} does not answer at {host}:{port} from this machine",
            hint="run it on the engine's own machine; its last lines stand above",
            detail=place.logs(service),
        )
    return host, port


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _up(project: Project, services: Sequence[str]) -> None:
    if services:
        project.call("up", "--detach", "--no-deps", *services, timeout=PULL_SECONDS)


def _carry_out(place: PrivateProject, project: Project, task: str) -> None:
    """Run a service that prepares the backend to its end; Refused with its last lines if it fails."""
    done = run(project.command("run", "--rm", "--no-deps", "-T", task), timeout=_TASK_SECONDS)
    if done.status:
        raise Refused(
            f"the service {task}, which prepares the backend, ended with status {done.status} in the private project"
            f" {place.options.name}",
            hint="its last lines stand above; the live site was not touched",
            detail=done.stderr,
        )


def _await_database(place: PrivateProject, database: str) -> None:
    """Wait until the server answers over TCP: while an image makes the cluster, its server has the socket alone."""
    project = place.project

    def answers() -> bool | None:
        if not project.is_running(database):
            return None
        return run(project.exec(database, "pg_isready", "-q", "-h", "127.0.0.1"), timeout=COMPOSE_SECONDS).status == 0

    answer = wait_until(lambda one: one is not False, answers, seconds=DATABASE_SECONDS, pause=_PAUSE)
    if not answer:
        why = "ended" if answer is None else f"does not answer after {DATABASE_SECONDS:g} s"
        raise Refused(
            f"the database of the private project {place.options.name} {why}",
            hint="its last lines stand above; the live site was not touched",
            detail=place.logs(database),
        )


def _media(live: Site, site: _Compose, project: Project) -> Tree | None:
    if live.media is None or site.services.media is None:
        return None
    return media_tree(project, site.services.backend, site.services.media, site.manage)


def _composed(live: Site) -> _Compose:
    access, services, django = live.postgres.access, live.services, live.django
    if not isinstance(access, ComposeAccess) or not isinstance(services, ComposeServices):
        raise Refused(
            "the site is not on Docker Compose, so there are no images of it for a private project",
            hint="drill a backup in another place: korrigo-backup drill --place beside, or --place local",
        )
    manage = django.manage if isinstance(django, ComposeDjango) else ()
    return _Compose(access, services, manage)
