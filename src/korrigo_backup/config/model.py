"""The sections of the configuration; Korrigo's values are the defaults (runbook 2.3)."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class Section(BaseModel):
    """A section: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SiteSection(Section):
    """What the site is called: written in manifests, so that backups of two sites are not mixed up.

    `revision` is that of the site's code; without it, the one of the git work tree that the command runs in.
    """

    name: str = "korrigo"
    environment: str = "production"
    revision: str | None = None


class DatabaseSection(Section):
    """How the database is reached. `host` may be a directory: that of the server's Unix socket."""

    name: str = "viatique"
    user: str = "viatique_user"
    password: SecretStr | None = None
    host: str | None = None
    port: Port = 5432
    maintenance: str = "postgres"
    client_dir: Path | None = None
    connect_timeout: Annotated[int, Field(ge=1, le=3600)] = 10

    @field_validator("name", "user", "maintenance")
    @classmethod
    def _no_nul(cls, value: str) -> str:
        if not value or "\0" in value:
            raise ValueError("must not be empty or hold a NUL character")
        return value


class MediaSection(Section):
    """Where the uploads are, the root they get inside an archive, and the columns whose values are paths of them."""

    root: Path | None = None
    archive_root: str = "app/media"
    columns: tuple[str, ...] = ()


class BackupSection(Section):
    """Where backups go, for how many days they stay (0: for ever), and the key that signs their manifests."""

    dir: Path = Path("backups")
    key_file: Path | None = None
    retention_days: Annotated[int, Field(ge=0, le=36500)] = 30


class ServicesSection(Section):
    """What stops and starts the services that write: one argument list each, run in the order given."""

    stop: tuple[tuple[str, ...], ...] = ()
    start: tuple[tuple[str, ...], ...] = ()
    health_url: str | None = None
    health_timeout: Seconds = 60


class RestoreSection(Section):
    """Whether a restore may go on while a point of the checklist (runbook 5.1) that people answer is open."""

    require_checklist: bool = False


class DjangoSection(Section):
    """How the site's management commands are run: words of a command line, and the directory to run it in."""

    manage: tuple[str, ...] = ()
    dir: Path | None = None

    @field_validator("manage", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        """Split a value that is one text into words as a shell does; no shell ever sees it."""
        return tuple(shlex.split(value)) if isinstance(value, str) else value


class Configuration(Section):
    """The whole configuration of one site."""

    site: SiteSection = SiteSection()
    database: DatabaseSection = DatabaseSection()
    media: MediaSection = MediaSection()
    backup: BackupSection = BackupSection()
    services: ServicesSection = ServicesSection()
    restore: RestoreSection = RestoreSection()
    django: DjangoSection = DjangoSection()
