"""Build the places of a drill from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from korrigo_backup.compose.access import ComposeAccess
from korrigo_backup.compose.project import Project, find_program
from korrigo_backup.config import libpq
from korrigo_backup.errors import UsageError
from korrigo_backup.places.beside import beside_or_local
from korrigo_backup.places.local import Local
from korrigo_backup.places.place import PlaceName, Places
from korrigo_backup.places.staging import StagingServer, StagingServices
from korrigo_backup.postgres.access import Direct
from korrigo_backup.postgres.client import Postgres
from korrigo_backup.run.step import silent
from korrigo_backup.site.manage import child_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.app.build import Wired
    from korrigo_backup.config.model import Configuration
    from korrigo_backup.postgres.access import Access
    from korrigo_backup.run.step import Listener
    from korrigo_backup.site.site import Site


def places(wired: Wired, name: PlaceName, site: Site, *, listen: Listener = silent) -> Places:
    """Return the place of a name, and for the site's own server the place instead.

    `listen` hears of the services of a staging site that are stopped and started.
    """
    directory = wired.catalog.directory
    match name:
        case PlaceName.BESIDE:
            return beside_or_local(site, directory)
        case PlaceName.LOCAL:
            return Places(Local(directory, site.postgres.database))
        case PlaceName.STAGING:
            return Places(staging_place(wired, listen))
        case PlaceName.COMPOSE:
            raise UsageError(
                "a private Compose project is a place of drill alone", hint="korrigo-backup drill --place compose"
            )
        case _:
            assert_never(name)


def staging_place(wired: Wired, listen: Listener = silent) -> StagingServer:
    """Return the staging server of the configuration; raises UsageError without one."""
    config, named = wired.config, f"{wired.config.site.name} {wired.config.site.environment}"
    server = staging_server(config, wired.environment)
    project = staging_project(config, wired.environment)
    services = StagingServices(project, config.staging.stop) if project else None
    return StagingServer(server, wired.catalog.directory, named, services, listen)


def staging_server(config: Configuration, environment: Mapping[str, str]) -> Postgres:
    """Return the server of `[staging]`, whose database the data are loaded into.

    UsageError if it is not configured, or is the live database.
    """
    section, live = config.staging, config.database
    access: Access
    if project := staging_project(config, environment):
        access = ComposeAccess(project, section.db, section.user)
    elif section.host:
        access = Direct(
            host=section.host,
            port=section.port,
            user=section.user,
            password=section.password,
            connect_timeout=section.connect_timeout,
            client_dir=section.client_dir or live.client_dir,
            security=libpq.own_security(section),
        )
    else:
        raise UsageError(
            "there is no staging server in the configuration",
            hint="set [staging] host, user and password, or [staging] files of a Compose project",
        )
    if section.name == live.name and (section.host, section.port) == (live.host, live.port):
        raise UsageError(
            f"[staging] name is the live database {live.name} on the same server",
            hint="set [staging] name to a database of its own, for example viatique_staging",
        )
    return Postgres(access, database=section.name, maintenance=section.maintenance)


def staging_project(config: Configuration, environment: Mapping[str, str]) -> Project | None:
    """Return the Compose project of `[staging]`, None if its server is reached directly."""
    if not config.staging.files:
        return None
    operator = child_environment(environment, {})
    return Project(find_program(operator), config.staging.files, operator, config.staging.project)
