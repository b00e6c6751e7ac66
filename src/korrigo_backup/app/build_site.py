"""Build the live site from the configuration: on this machine, or in a Compose project."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.compose.access import ComposeAccess
from korrigo_backup.compose.manage import ComposeDjango
from korrigo_backup.compose.media import media_tree
from korrigo_backup.compose.project import Project, find_program
from korrigo_backup.compose.services import ComposeServices
from korrigo_backup.config import libpq
from korrigo_backup.errors import UsageError
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.postgres.access import Direct
from korrigo_backup.postgres.client import Postgres
from korrigo_backup.postgres.references import parse_column
from korrigo_backup.site.manage import DirectDjango, child_environment
from korrigo_backup.site.revision import work_tree_revision
from korrigo_backup.site.services import CommandServices
from korrigo_backup.site.site import Site, StoreOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from korrigo_backup.config.model import Configuration

STOPPED_FILE = ".services-stopped"


def build_site(
    config: Configuration, environment: Mapping[str, str], make: Callable[[str], None] | None = None
) -> Site:
    """Return the live site; UsageError if the configuration does not name a way to reach its database.

    With `make` a backend container that is missing is created: `make` is called with the name of the service.
    """
    if config.media.root and is_inside(config.backup.dir, config.media.root):
        raise UsageError(
            f"the backup directory {config.backup.dir} lies in the media directory {config.media.root}:"
            " backups would be backed up, and swapped out by a restore",
            hint="set BACKUP_DIR to a place outside MEDIA_ROOT, and move the backups there",
        )
    site = _composed(config, environment, make) if config.composed else _direct(config, environment)
    return replace(
        site,
        environment=config.site.environment,
        columns=tuple(parse_column(text) for text in config.media.columns),
        accepted_links=config.media.accepted_links,
        store=StoreOptions(config.media.store, config.media.reread_nights, config.media.link_unchanged),
        revision=config.site.revision or work_tree_revision(Path.cwd()),
        stopped=config.backup.dir / STOPPED_FILE,
    )


def _direct(config: Configuration, environment: Mapping[str, str]) -> Site:
    """Return a site whose database is reached at a host and port (contract C3)."""
    database, services = config.database, config.services
    access = Direct(
        host=database.host or "",
        port=database.port,
        user=database.user,
        password=libpq.password(database, environment),
        connect_timeout=database.connect_timeout,
        client_dir=database.client_dir,
        security=libpq.security(database, environment),
    )
    return Site(
        name=config.site.name,
        postgres=Postgres(access, database=database.name, maintenance=database.maintenance),
        media=MediaTree(config.media.root) if config.media.root else None,
        archive_root=config.media.archive_root,
        services=CommandServices(services.stop, services.start, services.health_url, services.health_timeout),
        django=_django(config, environment),
    )


def _composed(config: Configuration, environment: Mapping[str, str], make: Callable[[str], None] | None = None) -> Site:
    """Return a site on Docker Compose (contract C2): everything is asked of the project."""
    compose, database, services = config.compose, config.database, config.services
    missing = [file for file in compose.files if not file.exists()]
    if missing:
        raise UsageError(
            f"the way to reach the database is unknown: POSTGRES_HOST is not set, and there is no {missing[0]}",
            hint="run it from the site's project directory, or set [compose] files;"
            " or set POSTGRES_HOST (a name, an address or a socket directory) in .env",
            id_="settings.missing",
        )
    project = compose_project(config, environment)
    manage = config.django.manage or compose.manage
    return Site(
        name=config.site.name,
        postgres=Postgres(
            ComposeAccess(project, compose.db, database.user), database=database.name, maintenance=database.maintenance
        ),
        media=media_tree(project, compose.backend, compose.media, manage, make),
        archive_root=config.media.archive_root,
        services=ComposeServices(
            project,
            database=compose.db,
            backend=compose.backend,
            media=compose.media,
            names=compose.stop,
            health_url=services.health_url,
            health_timeout=services.health_timeout,
        ),
        django=ComposeDjango(project, compose.backend, manage),
    )


def compose_project(config: Configuration, environment: Mapping[str, str]) -> Project:
    """Return the Compose project as it is called on this machine; UsageError where there is no Compose."""
    compose, operator = config.compose, child_environment(environment, {})
    return Project(
        find_program(operator),
        compose.files,
        operator,
        compose.project,
        compose.env_file,
        compose.profiles,
        started_from=compose.started_from,
    )


def _django(config: Configuration, environment: Mapping[str, str]) -> DirectDjango | None:
    """Return the site's management commands, which get the same database and media tree as this command."""
    if not config.django.manage:
        return None
    database = config.database
    variables = {
        "POSTGRES_DB": database.name,
        "POSTGRES_USER": database.user,
        "POSTGRES_PASSWORD": database.password.reveal() if database.password else None,
        "POSTGRES_HOST": database.host,
        "POSTGRES_PORT": str(database.port),
        "MEDIA_ROOT": str(config.media.root.absolute()) if config.media.root else None,
    }
    return DirectDjango(config.django.manage, config.django.dir, child_environment(environment, variables))


def is_inside(path: Path, directory: Path) -> bool:
    """Return whether a path lies in a directory, links followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))
