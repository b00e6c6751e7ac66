"""The sections about the site and the ways to reach it; Korrigo's values are the defaults (runbook 2.3)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from korrigo_backup.config.values import (
    Port,
    Reader,
    Seconds,
    Section,
    Text,
    Words,
    WrongEntryError,
    label,
    number,
    switch,
)
from korrigo_backup.core.secret import Secret


def _without_nul(value: object) -> object:
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("must not be empty or hold a NUL character")
    return value


def _plain_path(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = value.strip("/").split("/")
    if any(part in {"", ".", ".."} or not part.isprintable() for part in parts):
        raise ValueError("must be a path of plain names, without .. in it")
    return "/".join(parts)


def _http(value: object) -> object:
    if isinstance(value, str) and value and not re.match(r"https?://[^/\s]+\S*$", value):
        raise ValueError("must be an http:// or https:// address")
    return None if value == "" else value


def _reasons(value: object) -> object:
    if not isinstance(value, dict):
        return value
    for key, reason in value.items():
        if not isinstance(reason, str) or not reason.strip():
            raise WrongEntryError(key, "must be a reason, as text")
    return {key: reason.strip() for key, reason in value.items()}


def _command_line(value: object) -> object:
    """Split a value that is a single text into words as a shell does; no shell ever sees it."""
    return shlex.split(value) if isinstance(value, str) else value


class SiteSection(Section, frozen=True):
    """The names of the site: written in manifests, so that backups of two sites are not mixed up.

    `revision` is that of the site's code; without it, that of the git work tree in which the command runs. `access` is
    `compose` where the site runs on Docker Compose although POSTGRES_HOST is set: for the containers.
    """

    readers: ClassVar[Mapping[str, Reader]] = {"name": label, "environment": label}

    name: str = "korrigo"
    environment: str = "production"
    revision: str | None = None
    access: Literal["auto", "compose"] = "auto"


class DatabaseSection(Section, frozen=True):
    """How the database is reached. `host` may be a directory: that of the server's Unix socket.

    `sslmode` and the keys after it are libpq's, for a site that is reached directly.
    """

    readers: ClassVar[Mapping[str, Reader]] = {
        **dict.fromkeys(("name", "user", "maintenance"), _without_nul),
        **dict.fromkeys(("port", "connect_timeout"), number),
    }

    name: str = "viatique"
    user: str = "viatique_user"
    password: Secret | None = None
    host: str | None = None
    port: Port = 5432
    maintenance: str = "postgres"
    client_dir: Path | None = None
    connect_timeout: Annotated[int, Meta(ge=1, le=3600)] = 10
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    sslrootcert: Path | None = None
    sslcert: Path | None = None
    sslkey: Path | None = None
    passfile: Path | None = None


class StagingSection(DatabaseSection, frozen=True):
    """The database that `drill --place staging` loads into, reached as that of `[database]`.

    With `files` it is that of a Compose project, in its service `db`; the services `stop` are stopped during a drill.
    """

    name: str = "viatique_staging"
    files: tuple[Path, ...] = ()
    project: str | None = None
    db: str = "db"
    stop: tuple[str, ...] = ("backend",)


class MediaSection(Section, frozen=True):
    """Where the uploads are, the root they get inside an archive, and the columns whose values are paths of them.

    `accepted_links` are paths of symbolic links that may lead out of the tree without a warning; * stands for many.
    `store` decides whether files are kept in the media store, once each, or in an archive a night; without it a tree of
    more than 1 GB or 20,000 files goes to the store. All of the store is read again on `reread_nights` days with a
    backup, to find damage; 1 for all in each backup, 0 for never.
    """

    readers: ClassVar[Mapping[str, Reader]] = {
        "archive_root": _plain_path,
        "store": switch,
        "reread_nights": number,
        "link_unchanged": switch,
    }

    root: Path | None = None
    archive_root: str = "app/media"
    columns: tuple[str, ...] = ()
    accepted_links: tuple[str, ...] = ()
    store: bool | None = None
    reread_nights: Annotated[int, Meta(ge=0, le=3650)] = 30
    link_unchanged: bool = False
    """Whether a restore makes hard links to unchanged live files. Only for sites that never write to an old file."""


class BackupSection(Section, frozen=True):
    """Where backups go, for how many days they stay (0: for ever), and the key that signs their manifests."""

    readers: ClassVar[Mapping[str, Reader]] = {"retention_days": number}

    dir: Path = Path("backups")
    key_file: Path | None = None
    retention_days: Annotated[int, Meta(ge=0, le=36500)] = 30


class ServicesSection(Section, frozen=True):
    """Commands that stop and start the services that write: one argument list each, run in the order given."""

    readers: ClassVar[Mapping[str, Reader]] = {"health_url": _http, "health_timeout": number}

    stop: tuple[Words, ...] = ()
    start: tuple[Words, ...] = ()
    health_url: str | None = None
    health_timeout: Seconds | None = None


class ComposeSection(Section, frozen=True):
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


class RestoreSection(Section, frozen=True):
    """Whether a restore may go on while a point of the checklist (runbook 5.1) that people answer is open."""

    readers: ClassVar[Mapping[str, Reader]] = {"require_checklist": switch}

    require_checklist: bool = False


class RescueSection(Section, frozen=True):
    """The site's own table of changes, which `history` reads besides those that it knows: who changed a row."""

    audit: str = ""


class ErasureSection(Section, frozen=True):
    """The ledger of what was erased on request (`forget`); by default `erasures.jsonl` next to the key file.

    `requests` is the directory in which the site's own code asks to forget. `accept`: `ask` lets a person accept these
    requests, with `auto` each night does.
    """

    ledger: Path | None = None
    requests: Path | None = None
    accept: Literal["ask", "auto"] = "ask"


class ValidateSection(Section, frozen=True):
    """Findings of `validate` that this site lives with: the id of each with the reason, `"validate.users" = "…"`.

    An accepted finding is shown with its reason and fails no validation.
    """

    readers: ClassVar[Mapping[str, Reader]] = {"accept": _reasons}

    accept: dict[str, Text] = field(default_factory=dict)


class DjangoSection(Section, frozen=True):
    """How the site's management commands are run: words of a command line, and the directory to run it in."""

    readers: ClassVar[Mapping[str, Reader]] = {"manage": _command_line}

    manage: tuple[str, ...] = ()
    dir: Path | None = None
