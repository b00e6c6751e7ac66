"""Build the objects that a verb works with from the configuration: the only place that sees all of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.app.build_channels import notification_channels
from korrigo_backup.app.build_policy import retention_policy
from korrigo_backup.app.build_site import build_site, compose_project, is_inside
from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.artifact.identity import Owner
from korrigo_backup.artifact.keyring import Keyring, read
from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.config.load import dotenv_problems, load, surroundings
from korrigo_backup.config.unattended import NEVER, WEEKLY
from korrigo_backup.core.secret import Secret
from korrigo_backup.core.variables import VARIABLES
from korrigo_backup.erasure.ledger import NAME as LEDGER
from korrigo_backup.erasure.ledger import ErasureLedger
from korrigo_backup.erasure.requests import ErasureSpool
from korrigo_backup.errors import NotFound, UsageError
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.notify import address
from korrigo_backup.run import journal
from korrigo_backup.schedule.model import EACH_MINUTE, REQUESTS, jobs
from korrigo_backup.system.run import which
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from korrigo_backup.artifact.properties import RoleProof
    from korrigo_backup.config.model import Configuration
    from korrigo_backup.core.dotenv import Problem
    from korrigo_backup.kit.kit import KitSource
    from korrigo_backup.notify.send import Announcer
    from korrigo_backup.requests.spool import Spool
    from korrigo_backup.retention.policy import Policy
    from korrigo_backup.schedule.model import Job, RunEnvironment
    from korrigo_backup.schedule.schedule import Schedule
    from korrigo_backup.site.site import Site


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
        return replace(build_site(self.config, self.environment, make), secrets=self.secrets, ledger=self.ledger())

    def ledger(self) -> ErasureLedger:
        """Return the ledger of erasures on request; UsageError if it lies among the backups."""
        path = self.config.erasure.ledger or self.keyring.path.with_name(LEDGER)
        if is_inside(path, self.config.backup.dir):
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
        return retention_policy(self.config)

    def announcer(self) -> Announcer:
        """Return the notifier of people and monitors; it sends no message when `[notify]` names no address."""
        from korrigo_backup.notify.send import Announcer  # noqa: PLC0415 - not to be loaded by all

        site, notify = self.config.site, self.config.notify
        people = tuple(one.line for one in self.config.contacts.people)
        return Announcer(
            site.name, site.environment, notification_channels(notify), notify.timeout, self.secrets, people
        )

    def kit_source(self) -> KitSource:
        """Return the inputs of the recovery kit."""
        from korrigo_backup.app.kit_source import LoadedConfiguration, kit_source  # noqa: PLC0415 - not to be loaded by all

        project = None
        if self.config.composed and which("docker"):
            project = compose_project(self.config, self.environment)
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


def _keyring(config: Configuration, environ: Mapping[str, str]) -> Keyring:
    """Return the keys, by default from the user's own configuration directory: never from among the backups."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    path = config.backup.key_file or home / ".config" / "korrigo-backup" / "key"
    if is_inside(path, config.backup.dir):
        raise UsageError(
            f"the key file {path} lies in the backup directory: users with write access there could sign, too",
            hint="set KORRIGO_BACKUP_KEY_FILE to a place outside BACKUP_DIR",
        )
    return read(path)
