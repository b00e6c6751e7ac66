"""The sections of the configuration; Korrigo's values are the defaults (runbook 2.3)."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from korrigo_backup.domain.schedule import check_hours


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 - pydantic's way to say it
    return value


def _place(value: object) -> object:
    if value == "":
        raise ValueError("must not be empty")
    return value


def _at_home(value: Path) -> Path:
    try:
        return value.expanduser()
    except RuntimeError:
        raise ValueError("has ~ and no such home directory") from None


Place = Annotated[Path, BeforeValidator(_place), AfterValidator(_at_home)]
"""A path; `~` is the home directory, for `.env` and TOML files, where no shell sees to it."""
Words = Annotated[tuple[str, ...], Field(min_length=1)]
Port = Annotated[int, BeforeValidator(_no_switch), Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]


def _hours(value: str) -> str:
    return "" if value.strip() in {"", "never"} else check_hours(value)


Hours = Annotated[str, AfterValidator(_hours)]
"""A cron expression in the machine's time zone; `never` and an empty one are the same."""


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
    client_dir: Place | None = None
    connect_timeout: Annotated[int, Field(ge=1, le=3600)] = 10

    @field_validator("name", "user", "maintenance")
    @classmethod
    def _no_nul(cls, value: str) -> str:
        if not value or "\0" in value:
            raise ValueError("must not be empty or hold a NUL character")
        return value


class MediaSection(Section):
    """Where the uploads are, the root they get inside an archive, and the columns whose values are paths of them."""

    root: Place | None = None
    archive_root: str = "app/media"
    columns: tuple[str, ...] = ()

    @field_validator("archive_root")
    @classmethod
    def _plain(cls, value: str) -> str:
        parts = value.strip("/").split("/")
        if any(part in {"", ".", ".."} or not part.isprintable() for part in parts):
            raise ValueError("must be a path of plain names, without .. in it")
        return "/".join(parts)


class BackupSection(Section):
    """Where backups go, for how many days they stay (0: for ever), and the key that signs their manifests."""

    dir: Place = Path("backups")
    key_file: Place | None = None
    retention_days: Annotated[int, BeforeValidator(_no_switch), Field(ge=0, le=36500)] = 30


class ServicesSection(Section):
    """What stops and starts the services that write: one argument list each, run in the order given."""

    stop: tuple[Words, ...] = ()
    start: tuple[Words, ...] = ()
    health_url: str | None = None
    health_timeout: Seconds = 60

    @field_validator("health_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value and not re.match(r"https?://[^/\s]+\S*$", value):
            raise ValueError("must be an http:// or https:// address")
        return value or None


class ComposeSection(Section):
    """How the Compose project is called when the site runs on Docker, and what its services are called.

    `stop` names the services that write, where the project does not say it: by default those that depend on the
    database or can write to the media. `media` is the media directory inside the backend's container.
    """

    files: tuple[Path, ...] = (Path("infra/docker/docker-compose.prod.yml"),)
    project: str | None = None
    env_file: Path | None = None
    profiles: tuple[str, ...] = ()
    db: str = "db"
    backend: str = "backend"
    media: str = "/app/media"
    manage: tuple[str, ...] = ("python", "manage.py")
    stop: tuple[str, ...] = ()


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


class ScheduleSection(Section):
    """When backups run by themselves (runbook 4.6), and what they may use.

    `jitter` spreads the starts of many machines, in seconds. A run that takes longer than `limit_hours` is ended.
    `user` is who runs them when root installs the schedule. `log` is for cron, `writable` for units: directories
    that a run writes in besides those that it is known to.
    """

    daily: Hours = "0 3 * * *"
    weekly: Hours = "0 4 * * 0"
    jitter: Annotated[int, BeforeValidator(_no_switch), Field(ge=0, le=43200)] = 300
    limit_hours: Annotated[int, BeforeValidator(_no_switch), Field(ge=1, le=168)] = 12
    user: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")] | None = None
    log: Place | None = None
    writable: tuple[Place, ...] = ()


class Configuration(Section):
    """The whole configuration of one site."""

    site: SiteSection = SiteSection()
    database: DatabaseSection = DatabaseSection()
    media: MediaSection = MediaSection()
    backup: BackupSection = BackupSection()
    services: ServicesSection = ServicesSection()
    restore: RestoreSection = RestoreSection()
    django: DjangoSection = DjangoSection()
    compose: ComposeSection = ComposeSection()
    schedule: ScheduleSection = ScheduleSection()
