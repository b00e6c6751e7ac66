"""The sections about the site and the ways to reach it; Korrigo's values are the defaults (runbook 2.3)."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, StringConstraints, field_validator

from korrigo_backup.config.values import Label, Place, Port, Seconds, Section, Words, no_switch


class SiteSection(Section):
    """The names of the site: written in manifests, so that backups of two sites are not mixed up.

    `revision` is that of the site's code; without it, that of the git work tree in which the command runs. `access` is
    `compose` where the site runs on Docker Compose although POSTGRES_HOST is set: for the containers.
    """

    name: Label = "korrigo"
    environment: Label = "production"
    revision: str | None = None
    access: Literal["auto", "compose"] = "auto"


class DatabaseSection(Section):
    """How the database is reached. `host` may be a directory: that of the server's Unix socket.

    `sslmode` and the keys after it are libpq's, for a site that is reached directly.
    """

    name: str = "viatique"
    user: str = "viatique_user"
    password: SecretStr | None = None
    host: str | None = None
    port: Port = 5432
    maintenance: str = "postgres"
    client_dir: Place | None = None
    connect_timeout: Annotated[int, Field(ge=1, le=3600)] = 10
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    sslrootcert: Place | None = None
    sslcert: Place | None = None
    sslkey: Place | None = None
    passfile: Place | None = None

    @field_validator("name", "user", "maintenance")
    @classmethod
    def _no_nul(cls, value: str) -> str:
        if not value or "\0" in value:
            raise ValueError("must not be empty or hold a NUL character")
        return value


class MediaSection(Section):
    """Where the uploads are, the root they get inside an archive, and the columns whose values are paths of them.

    `accepted_links` are paths of symbolic links that may lead out of the tree without a warning; * stands for many.
    """

    root: Place | None = None
    archive_root: str = "app/media"
    columns: tuple[str, ...] = ()
    accepted_links: tuple[str, ...] = ()

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
    retention_days: Annotated[int, BeforeValidator(no_switch), Field(ge=0, le=36500)] = 30


class ServicesSection(Section):
    """Commands that stop and start the services that write: one argument list each, run in the order given."""

    stop: tuple[Words, ...] = ()
    start: tuple[Words, ...] = ()
    health_url: str | None = None
    health_timeout: Seconds | None = None

    @field_validator("health_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value and not re.match(r"https?://[^/\s]+\S*$", value):
            raise ValueError("must be an http:// or https:// address")
        return value or None


class ComposeSection(Section):
    """The names of the Compose project and of its services, when the site runs on Docker.

    `stop` names the services that write, if the project does not show it: by default those that depend on the database
    or can write to the media. `media` is the media directory inside the backend's container. `started_from` is the
    directory from which the containers were made, if that is not the directory of `files`.
    """

    files: tuple[Path, ...] = (Path("infra/docker/docker-compose.prod.yml"),)
    project: str | None = None
    env_file: Path | None = None
    profiles: tuple[str, ...] = ()
    started_from: Path | None = None
    db: str = "db"
    backend: str = "backend"
    media: str = "/app/media"
    manage: tuple[str, ...] = ("python", "manage.py")
    stop: tuple[str, ...] = ()


class RestoreSection(Section):
    """Whether a restore may go on while a point of the checklist (runbook 5.1) that people answer is open."""

    require_checklist: bool = False


class ValidateSection(Section):
    """Findings of `validate` that this site lives with: the id of each with the reason, `"validate.users" = "…"`.

    An accepted finding is shown with its reason and fails no validation.
    """

    accept: dict[str, Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]] = Field(
        default_factory=dict
    )


class DjangoSection(Section):
    """How the site's management commands are run: words of a command line, and the directory to run it in."""

    manage: tuple[str, ...] = ()
    dir: Path | None = None

    @field_validator("manage", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        """Split a value that is a single text into words as a shell does; no shell ever sees it."""
        return tuple(shlex.split(value)) if isinstance(value, str) else value
