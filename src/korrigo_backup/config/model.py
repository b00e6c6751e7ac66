"""The sections of the configuration; Korrigo's values are the defaults (runbook 2.3)."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from korrigo_backup.domain.notice import DEFAULT_EVENTS, Event
from korrigo_backup.domain.retention import Policy
from korrigo_backup.domain.schedule import check_hours
from korrigo_backup.domain.wording import unknown_placeholders


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

    `revision` is that of the site's code; without it, the one of the git work tree that the command runs in. `access`
    is `compose` where the site runs on Docker Compose although POSTGRES_HOST is set: for the containers.
    """

    name: str = "korrigo"
    environment: str = "production"
    revision: str | None = None
    access: Literal["auto", "compose"] = "auto"


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


Count = Annotated[int, BeforeValidator(_no_switch), Field(ge=0, le=100_000)]


class RuleSection(Section):
    """What is kept of one sort: all of `days`, the `last` so many, the newest of so many days, weeks, months and years.

    All of them 0: for ever.
    """

    days: Count = 0
    last: Count = 0
    daily: Count = 0
    weekly: Count = 0
    monthly: Count = 0
    yearly: Count = 0


class RetentionSection(Section):
    """How long what is kept (runbook 7.1), by sort; `max_age` is a number of days that wins over all but holds.

    The days of the `database` are BACKUP_RETENTION_DAYS unless they are set here.
    """

    database: RuleSection | None = None
    media: RuleSection = RuleSection(days=Policy.media.days)
    complete: RuleSection = RuleSection(days=Policy.complete.days)
    safety: RuleSection = RuleSection(days=Policy.safety.days)
    kept: RuleSection = RuleSection(days=Policy.kept.days)
    max_age: Count = 0


class NightlySection(Section):
    """What `nightly` does: how deep it verifies, how many seconds it waits for another run to end."""

    verify: Literal["structure", "content", "full"] = "content"
    wait: Annotated[float, Field(ge=0, le=86400)] = 7200


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


def _each_word(value: object) -> object:
    """Split a value that is one text, as it is in a variable, at white space."""
    return tuple(value.split()) if isinstance(value, str) else value


def _address(value: SecretStr) -> SecretStr:
    """Require something like an address; what is wrong with it is not shown, since it is a secret."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://\S+$", value.get_secret_value()):
        raise ValueError("must be an address like mailtos://… or slack://…")
    return value


def _http_address(value: SecretStr | None) -> SecretStr | None:
    if value and not re.match(r"https?://[^/\s]+/\S+$", value.get_secret_value()):
        raise ValueError("must be the http:// or https:// address of a check")
    return value or None


def _template(value: str) -> str:
    if unknown := unknown_placeholders(value):
        raise ValueError(f"has an unknown placeholder ${unknown[0]}")
    return value


Address = Annotated[SecretStr, AfterValidator(_address)]
Events = tuple[Event, ...]
Templates = dict[Event, Annotated[str, AfterValidator(_template)]]


class ChannelSection(Section):
    """One way to tell somebody, with a name for messages and events of its own."""

    url: Address
    name: str | None = None
    events: Events | None = None


class NotifySection(Section):
    """Who is told of what. An address is one of Apprise, and a secret; `timeout` is for one notice in all, in seconds.

    `events` is for the channels that have none of their own. `subjects` and `bodies` are templates by event.
    """

    urls: Annotated[tuple[Address, ...], BeforeValidator(_each_word)] = ()
    channels: tuple[ChannelSection, ...] = ()
    events: Annotated[Events, BeforeValidator(_each_word)] = DEFAULT_EVENTS
    healthchecks_url: Annotated[SecretStr | None, AfterValidator(_http_address)] = None
    timeout: Annotated[float, BeforeValidator(_no_switch), Field(gt=0, le=600)] = 30
    subjects: Templates = {}
    bodies: Templates = {}


class StatusSection(Section):
    """How old the newest backups may be, in hours (0: any age), how long a proof by a restore counts, in days.

    `accept` names warnings of `status` that this site lives with.
    """

    rpo_hours: Annotated[float, BeforeValidator(_no_switch), Field(ge=0, le=100_000)] = 26
    media_rpo_hours: Annotated[float, BeforeValidator(_no_switch), Field(ge=0, le=100_000)] = 170
    proof_days: Annotated[float, BeforeValidator(_no_switch), Field(gt=0, le=10_000)] = 31
    accept: tuple[Annotated[str, Field(pattern=r"^status\.[a-z_]+$")], ...] = ()


class Contact(Section):
    """Whom to ask for what (runbook 9.3)."""

    role: Annotated[str, Field(min_length=1)]
    contact: Annotated[str, Field(min_length=1)]
    scope: str = ""


class ContactsSection(Section):
    """Who helps, in the order in which they are asked; shown where help is needed."""

    people: tuple[Contact, ...] = ()


class KitSection(Section):
    """Whom the recovery kit is encrypted to (age or SSH public keys), and what it holds besides the usual files.

    A recipient that is none is found when a kit is made: it must not keep a backup from running.
    """

    recipients: tuple[str, ...] = ()
    files: tuple[Place, ...] = ()

    @field_validator("recipients", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        """Split a value that is one text (a variable) at commas; an SSH key has spaces in it."""
        return tuple(part.strip() for part in re.split(r"[,\n]", value)) if isinstance(value, str) else value


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
    retention: RetentionSection = RetentionSection()
    nightly: NightlySection = NightlySection()
    notify: NotifySection = NotifySection()
    status: StatusSection = StatusSection()
    contacts: ContactsSection = ContactsSection()
    kit: KitSection = KitSection()
    schedule: ScheduleSection = ScheduleSection()

    @property
    def composed(self) -> bool:
        """Whether the site is reached through Docker Compose (contract C3: directly where POSTGRES_HOST is set)."""
        return self.database.host is None or self.site.access == "compose"
