"""One running platform: a database, a media tree, the services that use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from korrigo_backup.domain.description import PathColumn
    from korrigo_backup.domain.secret import Secret
    from korrigo_backup.site.django import DjangoCommands
    from korrigo_backup.site.media import MediaTree
    from korrigo_backup.site.postgres import Postgres
    from korrigo_backup.site.services import Services


@dataclass(frozen=True)
class Site:
    """A site. `archive_root` is what media paths begin with inside an archive.

    Name and environment (`production`, `staging`) say which site a backup is of; `columns` are those whose values are
    paths of media files; `revision` is that of the code, when it is known. `secrets` are taken
    out of all that is written about it.
    `django` is None where nothing says how to run the site's management commands.
    """

    name: str
    postgres: Postgres
    media: MediaTree | None
    archive_root: str
    services: Services
    environment: str = "production"
    columns: tuple[PathColumn, ...] = ()
    revision: str | None = None
    secrets: tuple[Secret, ...] = ()
    django: DjangoCommands | None = None

    def required_media(self) -> MediaTree:
        """Return the media tree; raises UsageError when none is configured, NotFound when it is not there."""
        tree = self.configured_media()
        tree.require()
        return tree

    def configured_media(self) -> MediaTree:
        """Return the media tree, which may not be there yet; raises UsageError when none is configured."""
        if self.media is None:
            raise UsageError(
                "the media directory is not configured",
                hint="set MEDIA_ROOT, or [media] root in the configuration",
            )
        return self.media
