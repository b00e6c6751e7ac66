"""Build the places of a drill from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from korrigo_backup.app.build import staging_project, staging_server
from korrigo_backup.errors import UsageError
from korrigo_backup.places.beside import beside_or_local
from korrigo_backup.places.local import Local
from korrigo_backup.places.place import PlaceName, Places
from korrigo_backup.places.staging import StagingServer, StagingServices
from korrigo_backup.run.step import silent

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
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
