"""Build the objects from the configuration: the only place that sees all of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.catalog import Catalog
from korrigo_backup.config.load import load, surroundings
from korrigo_backup.domain.secret import Secret
from korrigo_backup.errors import UsageError
from korrigo_backup.site.access import Direct
from korrigo_backup.site.django import DirectDjango, child_environment
from korrigo_backup.site.media import MediaTree
from korrigo_backup.site.postgres import Postgres
from korrigo_backup.site.references import parse_column
from korrigo_backup.site.revision import work_tree_revision
from korrigo_backup.site.services import CommandServices
from korrigo_backup.site.site import Site
from korrigo_backup.system.keyring import Keyring, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.config.model import Configuration


@dataclass(frozen=True)
class Wired:
    """What a verb works with. `secrets` is every secret value, to be taken out of all that is shown.

    `environment` is what the site's own commands are started with.
    """

    config: Configuration
    catalog: Catalog
    secrets: tuple[Secret, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def site(self) -> Site:
        """Return the live site; UsageError when nothing says how to reach its database."""
        return replace(_site(self.config, self.environment), secrets=self.secrets)


def wire(directory: Path, environ: Mapping[str, str], file: Path | None) -> Wired:
    """Load the configuration for `directory` and build what does not need the live site."""
    config = load(directory, environ, file)
    password = config.database.password
    secrets = (Secret(password.get_secret_value()),) if password else ()
    catalog = Catalog(config.backup.dir, _keyring(config, environ))
    return Wired(config, catalog, secrets, surroundings(directory, environ))


def _keyring(config: Configuration, environ: Mapping[str, str]) -> Keyring:
    """Return the keys, by default from the user's own configuration directory: never from among the backups."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    path = config.backup.key_file or home / ".config" / "korrigo-backup" / "key"
    if _inside(path, config.backup.dir):
        raise UsageError(
            f"the key file {path} lies in the backup directory: who can write there could sign, too",
            hint="set KORRIGO_BACKUP_KEY_FILE to a place outside BACKUP_DIR",
        )
    return read(path)


def _inside(path: Path, directory: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def _site(config: Configuration, environment: Mapping[str, str]) -> Site:
    database = config.database
    if config.media.root and _inside(config.backup.dir, config.media.root):
        raise UsageError(
            f"the backup directory {config.backup.dir} lies in the media directory {config.media.root}:"
            " backups would be backed up, and swapped out by a restore",
            hint="set BACKUP_DIR to a place outside MEDIA_ROOT, and move the backups there",
        )
    if database.host is None:
        raise UsageError(
            "nothing says how to reach the database: POSTGRES_HOST is not set",
            hint="set POSTGRES_HOST (a name, an address or a socket directory) in .env, or [database] host",
        )
    access = Direct(
        host=database.host,
        port=database.port,
        user=database.user,
        password=Secret(database.password.get_secret_value()) if database.password else None,
        connect_timeout=database.connect_timeout,
        client_dir=database.client_dir,
    )
    services = config.services
    return Site(
        name=config.site.name,
        environment=config.site.environment,
        postgres=Postgres(access, database=database.name, maintenance=database.maintenance),
        media=MediaTree(config.media.root) if config.media.root else None,
        archive_root=config.media.archive_root,
        services=CommandServices(services.stop, services.start, services.health_url, services.health_timeout),
        columns=tuple(parse_column(text) for text in config.media.columns),
        revision=config.site.revision or work_tree_revision(Path.cwd()),
        django=_django(config, environment),
        stopped=config.backup.dir / ".services-stopped",
    )


def _django(config: Configuration, environment: Mapping[str, str]) -> DirectDjango | None:
    """Return the site's management commands; they are told the database and media tree that we are told."""
    if not config.django.manage:
        return None
    database = config.database
    told = {
        "POSTGRES_DB": database.name,
        "POSTGRES_USER": database.user,
        "POSTGRES_PASSWORD": database.password.get_secret_value() if database.password else None,
        "POSTGRES_HOST": database.host,
        "POSTGRES_PORT": str(database.port),
        "MEDIA_ROOT": str(config.media.root.absolute()) if config.media.root else None,
    }
    return DirectDjango(config.django.manage, config.django.dir, child_environment(environment, told))
