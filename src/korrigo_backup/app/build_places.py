"""Build the places of a drill from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from korrigo_backup.app.build import staging_server
from korrigo_backup.errors import UsageError
from korrigo_backup.places.beside import beside_or_local
from korrigo_backup.places.local import Local
from korrigo_backup.places.place import PlaceName, Places
from korrigo_backup.places.staging import StagingServer

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.site.site import Site


def places(wired: Wired, name: PlaceName, site: Site) -> Places:
    """Return the place of a name, and for the site's own server the place instead."""
    directory = wired.catalog.directory
    match name:
        case PlaceName.BESIDE:
            return beside_or_local(site, directory)
        case PlaceName.LOCAL:
            return Places(Local(directory, site.postgres.database))
        case PlaceName.STAGING:
            named = f"{wired.config.site.name} {wired.config.site.environment}"
            return Places(StagingServer(staging_server(wired.config, wired.environment), directory, named))
        case PlaceName.COMPOSE:
            raise UsageError(
                "a private Compose project is a place of drill alone", hint="korrigo-backup drill --place compose"
            )
        case _:
            assert_never(name)
