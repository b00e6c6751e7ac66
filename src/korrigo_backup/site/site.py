"""One running platform: a database, a media tree, the services that use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from korrigo_backup.site.django import DjangoCommands
    from korrigo_backup.site.media import MediaTree
    from korrigo_backup.site.postgres import Postgres
    from korrigo_backup.site.services import Services


@dataclass(frozen=True)
class Site:
    """A site. `archive_root` is what media paths begin with inside an archive.

    `django` is None where nothing says how to run the site's management commands.
    """

    name: str
    postgres: Postgres
    media: MediaTree | None
    archive_root: str
    services: Services
    django: DjangoCommands | None = None

    def required_media(self) -> MediaTree:
        """Return the media tree; raises UsageError when none is configured, NotFound when it is not there."""
        if self.media is None:
            raise UsageError(
                "the media directory is not configured",
                hint="set MEDIA_ROOT, or [media] root in the configuration",
            )
        self.media.require()
        return self.media
