"""Build the objects from the configuration: the only place that sees all of it.

One file: a list of objects, each built from a section.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.artifact.identity import Owner
from korrigo_backup.artifact.keyring import Keyring, read
from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.compose.access import ComposeAccess
from korrigo_backup.compose.manage import ComposeDjango
from korrigo_backup.compose.media import media_tree
from korrigo_backup.compose.project import Project, find_program
from korrigo_backup.compose.services import ComposeServices
from korrigo_backup.config import libpq
from korrigo_backup.config.load import dotenv_problems, load, surroundings
from korrigo_backup.config.notify import ChannelSection
from korrigo_backup.config.unattended import NEVER, WEEKLY
from korrigo_backup.core.secret import Secret
from korrigo_backup.core.variables import VARIABLES
from korrigo_backup.erasure.ledger import NAME as LEDGER
from korrigo_backup.erasure.ledger import ErasureLedger
from korrigo_backup.erasure.requests import ErasureSpool
from korrigo_backup.errors import NotFound, UsageError
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.notify import address
from korrigo_backup.postgres.access import Direct
from korrigo_backup.postgres.client import Postgres
from korrigo_backup.postgres.references import parse_column
from korrigo_backup.retention.policy import Policy, Rule, thinned
from korrigo_backup.run import journal
from korrigo_backup.schedule.model import EACH_MINUTE, REQUESTS, jobs
from korrigo_backup.site.manage import DirectDjango, child_environment
from korrigo_backup.site.revision import work_tree_revision
from korrigo_backup.site.services import CommandServices
from korrigo_backup.site.site import Site, StoreOptions
from korrigo_backup.system.run import which
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from korrigo_backup.artifact.properties import RoleProof
    from korrigo_backup.config.model import Configuration
    from korrigo_backup.config.notify import NotifySection
    from korrigo_backup.config.unattended import RuleSection
    from korrigo_backup.core.dotenv import Problem
    from korrigo_backup.kit.kit import KitSource
    from korrigo_backup.notify.notifier import Notifier
    from korrigo_backup.notify.send import Announcer
    from korrigo_backup.postgres.access import Access
    from korrigo_backup.requests.spool import Spool
    from korrigo_backup.schedule.model import Job, RunEnvironment
    from korrigo_backup.schedule.schedule import Schedule

STOPPED_FILE = ".services-stopped"


@dataclass(frozen=True)
class Wired:
    """The objects that a verb works with. `secrets` holds every secret value, to be redacted from all output.

    `environment` is the environment of the site's own commands; `outside` names the variables of ours in it that no
    file sets. `dotenv` holds the lines of `.env` that set no value. `directory` is the working directory of the
    command, `file` the TOML file, if it is named.
    """

    config: Configuration
    catalog: Catalog
    secrets: tuple[Secret, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    keyring: Keyring = field(default_factory=lambda: Keyring(Path(), ()))
    directory: Path = Path()
    file: Path | None = None
    outside: tuple[str, ...] = ()
    dotenv: tuple[Problem, ...] = ()

    @phase("way to the site")
    def site(self, make: Callable[[str], None] | None = None) -> Site:
        """Return the live site; UsageError if the configuration does not name a way to reach its database.

        On a new server a Compose project has no backend container. With `make` it is created: `make` is called with the
        name of the service.
        """
        return replace(_site(self.config, self.environment, make), secrets=self.secrets, ledger=self.ledger())

    def ledger(self) -> ErasureLedger:
        """Return the ledger of erasures on request; UsageError if it lies among the backups."""
        path = self.config.erasure.ledger or self.keyring.path.with_name(LEDGER)
        if _inside(path, self.config.backup.dir):
            raise UsageError(
                f"the erasure ledger {path} lies in the backup directory: it must outlive every backup",
                hint="set [erasure] ledger to a place outside BACKUP_DIR",
            )
        return ErasureLedger(path, self.keyring)

    def erasure_spool(self) -> ErasureSpool | None:
        """Return the requests to forget of the site's own code, None if no directory is configured for them."""
        directory = self.config.erasure.requests
        return ErasureSpool(directory) if directory else None

    def requests_spool(self) -> Spool | None:
        """Return the requests of Django's admin, None if no directory is configured for them."""
        from korrigo_backup.requests.spool import Spool  # noqa: PLC0415 - few verbs need it

        directory = self.config.requests.directory
        return Spool((self.directory / directory).absolute()) if directory else None

    def policy(self) -> Policy:
        """Return the retention policy."""
        sections = self.config.retention
        days, points = self.config.backup.retention_days, self.config.schedule.points != NEVER
        return Policy(
            database=rule(sections.database, thinned(days) if points else Rule(days=days)),
            media=rule(sections.media, thinned(days) if points else Policy.media),
            complete=rule(sections.complete, thinned(days) if points else Policy.complete),
            safety=rule(sections.safety, Policy.safety),
            kept=rule(sections.kept, Policy.kept),
            max_age=sections.max_age,
        )

    def announcer(self) -> Announcer:
        """Return the notifier of people and monitors; it sends no message when `[notify]` names no address."""
        from korrigo_backup.notify.send import Announcer  # noqa: PLC0415 - not to be loaded by all

        site, notify = self.config.site, self.config.notify
        people = tuple(one.line for one in self.config.contacts.people)
        return Announcer(site.name, site.environment, _channels(notify), notify.timeout, self.secrets, people)

    def kit_source(self) -> KitSource:
        """Return the inputs of the recovery kit."""
        from korrigo_backup.app.kit_source import LoadedConfiguration, kit_source  # noqa: PLC0415 - not to be loaded by all

        project = None
        if self.config.composed and which("docker"):
            project = _project(self.config, self.environment)
        given = LoadedConfiguration(
            self.config, self.directory.absolute(), self.environment, self.file, self.outside, project
        )
        return kit_source(given, self.keyring, self.secrets, self._saved_roles(), self.ledger().path)

    def _saved_roles(self) -> tuple[RoleProof, ...]:
        """Return the roles that the newest signed backup of the database names, none without such a backup."""
        try:
            newest = self.catalog.find("latest", Kind.SQL)
        except NotFound:
            return ()
        signed = newest.manifest if newest.authenticity is Authenticity.AUTHENTIC else None
        return signed.database.roles if signed and signed.database else ()

    def jobs(self) -> tuple[Job, ...]:
        """Return the scheduled jobs. If the media are saved daily, there is a weekly run only if its hour is set."""
        hours = self.config.schedule
        full = (
            hours.media == "daily"
            and hours.daily != NEVER
            and (self.config.composed or self.config.media.root is not None)
        )
        weekly = hours.weekly or (NEVER if full else WEEKLY)
        wanted = {"daily": hours.daily, "weekly": weekly, "points": hours.points, "drill": hours.drill}
        wanted |= {"disaster": hours.disaster, "incident": hours.incident, "overdue": hours.overdue}
        wanted |= {REQUESTS.id: EACH_MINUTE if self.config.requests.directory else NEVER}
        return jobs({name: "" if time == NEVER else time for name, time in wanted.items()}, media=full)

    def around(self) -> RunEnvironment:
        """Return the surroundings of an unattended run, which no option sets."""
        from korrigo_backup.app.unattended import own_command, surroundings_of  # noqa: PLC0415 - see above

        return surroundings_of(self.config, self.directory, self.file, own_command())

    def schedule(self) -> Schedule:
        """Return the schedule of this site's runs, installed or not."""
        from korrigo_backup.schedule.cron import CronSchedule  # noqa: PLC0415
        from korrigo_backup.schedule.crontab import Crontab  # noqa: PLC0415
        from korrigo_backup.schedule.schedule import Schedule  # noqa: PLC0415 - see above
        from korrigo_backup.schedule.systemd import units_here  # noqa: PLC0415
        from korrigo_backup.schedule.units import UnitSchedule  # noqa: PLC0415

        around, wanted = self.around(), self.jobs()
        timers = UnitSchedule(wanted, around, units_here(), self._media_of_compose)
        return Schedule((timers, CronSchedule(wanted, around, Crontab(around.user))), around.jitter)

    def _media_of_compose(self) -> Path | None:
        media = self.site().media if self.config.composed else None
        return media.root if isinstance(media, MediaTree) else None


def wire(directory: Path, environ: Mapping[str, str], file: Path | None) -> Wired:
    """Load the configuration for `directory` and build all objects that do not need the live site."""
    config = load(directory, environ, file)
    keyring = _keyring(config, environ)
    dotenv = surroundings(directory, {})
    return Wired(
        config,
        Catalog(config.backup.dir, keyring, owner=_owner(config), records=partial(journal.read, config.backup.dir)),
        _secrets(config, surroundings(directory, environ)),
        surroundings(directory, environ),
        keyring,
        directory,
        file,
        outside=tuple(name for name in VARIABLES if environ.get(name) and dotenv.get(name) != environ[name]),
        dotenv=dotenv_problems(directory, environ),
    )


def _owner(config: Configuration) -> Owner:
    return Owner(config.site.name, config.site.environment, config.database.name)


def _secrets(config: Configuration, environment: Mapping[str, str]) -> tuple[Secret, ...]:
    """Return every secret value of the configuration, the longest first: a long value may contain a short value."""
    password, notify = config.database.password, config.notify
    addresses = [*notify.urls, *(channel.url for channel in notify.channels), notify.healthchecks_url]
    found = [one for one in (password, config.staging.password) if one]
    found += [Secret(other)] if (other := environment.get("PGPASSWORD")) else []
    if config.targets:
        from korrigo_backup.app.build_targets import secrets_of  # noqa: PLC0415 - not to be loaded by all

        found += secrets_of(environment, list(config.targets))
    for url in filter(None, addresses):
        found += address.secrets(url)
    return tuple(sorted(found, key=lambda secret: len(secret.reveal()), reverse=True))


def _channels(notify: NotifySection) -> tuple[Notifier, ...]:
    """Return every notification channel. A channel without a name is numbered, since its address is a secret."""
    given = [ChannelSection(url=url) for url in notify.urls] + list(notify.channels)
    if not given and not notify.healthchecks_url:
        return ()
    from korrigo_backup.notify.apprise_ import AppriseChannel  # noqa: PLC0415 - no site without channels needs them
    from korrigo_backup.notify.healthchecks import Healthchecks  # noqa: PLC0415

    channels: list[Notifier] = [
        AppriseChannel(
            name=channel.name or f"channel {number}{_scheme(channel.url)}",
            events=frozenset(notify.events if channel.events is None else channel.events),
            url=channel.url,
            subjects=notify.subjects,
            bodies=notify.bodies,
            language=notify.language,
        )
        for number, channel in enumerate(given, 1)
    ]
    if notify.healthchecks_url:
        channels.append(Healthchecks(notify.healthchecks_url))
    return tuple(channels)


def _scheme(url: Secret) -> str:
    """Return the scheme of the address in brackets, for its channel's name; the host may already be a token."""
    scheme, found, _ = url.reveal().partition("://")
    return f" ({scheme})" if found and scheme.isalnum() else ""


def rule(section: RuleSection | None, default: Rule) -> Rule:
    """Return the rule of a section, `default` without one."""
    return Rule(**structs.asdict(section)) if section else default


def _keyring(config: Configuration, environ: Mapping[str, str]) -> Keyring:
    """Return the keys, by default from the user's own configuration directory: never from among the backups."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    path = config.backup.key_file or home / ".config" / "korrigo-backup" / "key"
    if _inside(path, config.backup.dir):
        raise UsageError(
            f"the key file {path} lies in the backup directory: users with write access there could sign, too",
            hint="set KORRIGO_BACKUP_KEY_FILE to a place outside BACKUP_DIR",
        )
    return read(path)


def _inside(path: Path, directory: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def _site(config: Configuration, environment: Mapping[str, str], make: Callable[[str], None] | None = None) -> Site:
    if config.media.root and _inside(config.backup.dir, config.media.root):
        raise UsageError(
            f"the backup directory {config.backup.dir} lies in the media directory {config.media.root}:"
            " backups would be backed up, and swapped out by a restore",
            hint="set BACKUP_DIR to a place outside MEDIA_ROOT, and move the backups there",
        )
    site = _composed(config, environment, make) if config.composed else _direct(config, environment)
    return replace(
        site,
        environment=config.site.environment,
        columns=tuple(parse_column(text) for text in config.media.columns),
        accepted_links=config.media.accepted_links,
        store=StoreOptions(config.media.store, config.media.reread_nights, config.media.link_unchanged),
        revision=config.site.revision or work_tree_revision(Path.cwd()),
        stopped=config.backup.dir / STOPPED_FILE,
    )


def _direct(config: Configuration, environment: Mapping[str, str]) -> Site:
    """Return a site whose database is reached at a host and port (contract C3)."""
    database, services = config.database, config.services
    access = Direct(
        host=database.host or "",
        port=database.port,
        user=database.user,
        password=libpq.password(database, environment),
        connect_timeout=database.connect_timeout,
        client_dir=database.client_dir,
        security=libpq.security(database, environment),
    )
    return Site(
        name=config.site.name,
        postgres=Postgres(access, database=database.name, maintenance=database.maintenance),
        media=MediaTree(config.media.root) if config.media.root else None,
        archive_root=config.media.archive_root,
        services=CommandServices(services.stop, services.start, services.health_url, services.health_timeout),
        django=_django(config, environment),
    )


def _composed(config: Configuration, environment: Mapping[str, str], make: Callable[[str], None] | None = None) -> Site:
    """Return a site on Docker Compose (contract C2): everything is asked of the project."""
    compose, database, services = config.compose, config.database, config.services
    missing = [file for file in compose.files if not file.exists()]
    if missing:
        raise UsageError(
            f"the way to reach the database is unknown: POSTGRES_HOST is not set, and there is no {missing[0]}",
            hint="run it from the site's project directory, or set [compose] files;"
            " or set POSTGRES_HOST (a name, an address or a socket directory) in .env",
            id_="settings.missing",
        )
    project = _project(config, environment)
    manage = config.django.manage or compose.manage
    return Site(
        name=config.site.name,
        postgres=Postgres(
            ComposeAccess(project, compose.db, database.user), database=database.name, maintenance=database.maintenance
        ),
        media=media_tree(project, compose.backend, compose.media, manage, make),
        archive_root=config.media.archive_root,
        services=ComposeServices(
            project,
            database=compose.db,
            backend=compose.backend,
            media=compose.media,
            names=compose.stop,
            health_url=services.health_url,
            health_timeout=services.health_timeout,
        ),
        django=ComposeDjango(project, compose.backend, manage),
    )


def staging_server(config: Configuration, environment: Mapping[str, str]) -> Postgres:
    """Return the server of `[staging]`, whose database the data are loaded into.

    UsageError if it is not configured, or is the live database.
    """
    section, live = config.staging, config.database
    access: Access
    if project := staging_project(config, environment):
        access = ComposeAccess(project, section.db, section.user)
    elif section.host:
        access = Direct(
            host=section.host,
            port=section.port,
            user=section.user,
            password=section.password,
            connect_timeout=section.connect_timeout,
            client_dir=section.client_dir or live.client_dir,
            security=libpq.own_security(section),
        )
    else:
        raise UsageError(
            "there is no staging server in the configuration",
            hint="set [staging] host, user and password, or [staging] files of a Compose project",
        )
    if section.name == live.name and (section.host, section.port) == (live.host, live.port):
        raise UsageError(
            f"[staging] name is the live database {live.name} on the same server",
            hint="set [staging] name to a database of its own, for example viatique_staging",
        )
    return Postgres(access, database=section.name, maintenance=section.maintenance)


def staging_project(config: Configuration, environment: Mapping[str, str]) -> Project | None:
    """Return the Compose project of `[staging]`, None if its server is reached directly."""
    if not config.staging.files:
        return None
    operator = child_environment(environment, {})
    return Project(find_program(operator), config.staging.files, operator, config.staging.project)


def _project(config: Configuration, environment: Mapping[str, str]) -> Project:
    """Return the Compose project as it is called on this machine; UsageError where there is no Compose."""
    compose, operator = config.compose, child_environment(environment, {})
    return Project(
        find_program(operator),
        compose.files,
        operator,
        compose.project,
        compose.env_file,
        compose.profiles,
        started_from=compose.started_from,
    )


def _django(config: Configuration, environment: Mapping[str, str]) -> DirectDjango | None:
    """Return the site's management commands, which get the same database and media tree as this command."""
    if not config.django.manage:
        return None
    database = config.database
    variables = {
        "POSTGRES_DB": database.name,
        "POSTGRES_USER": database.user,
        "POSTGRES_PASSWORD": database.password.reveal() if database.password else None,
        "POSTGRES_HOST": database.host,
        "POSTGRES_PORT": str(database.port),
        "MEDIA_ROOT": str(config.media.root.absolute()) if config.media.root else None,
    }
    return DirectDjango(config.django.manage, config.django.dir, child_environment(environment, variables))
