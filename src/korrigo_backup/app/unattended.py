"""The surroundings of an unattended run: directory, user, programs, and the settings that only this shell has."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.config.load import OWN_DOTENV, load, surroundings
from korrigo_backup.core.variables import VARIABLES
from korrigo_backup.errors import Refused, UsageError
from korrigo_backup.schedule.model import RunEnvironment
from korrigo_backup.system.run import which

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.config.model import Configuration

_USUAL_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_PROGRAMS = ("docker", "docker-compose", "psql", "pg_dump", "git")
_GAIN_RIGHTS = frozenset({"sudo", "doas", "su", "pkexec", "runuser"})
"""Programs that have no effect in a unit with NoNewPrivileges=."""

_ENGINE = (
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "COMPOSE_FILE",
    "COMPOSE_PROJECT_NAME",
    "COMPOSE_PROFILES",
    "COMPOSE_ENV_FILES",
)
_NAME = "korrigo-backup"
_HOUR = 3600  # seconds


def own_command() -> Path:
    """Return the absolute path of the running command, for a crontab or a unit."""
    if one_file := os.environ.get("PEX"):  # not the copy that it has unpacked, which may be removed at any time
        return _named_file(Path(one_file).absolute())
    typed, beside = Path(sys.argv[0]), Path(sys.executable).with_name(_NAME)
    for candidate in (typed, beside, Path(which(_NAME) or beside)):
        if candidate.name == _NAME and candidate.is_file():
            return candidate.absolute()
    raise UsageError(
        f"the command {_NAME} is not found", hint="install the package with pip, so that it has its command"
    )


def _named_file(path: Path) -> Path:
    if path.name != _NAME:
        raise UsageError(
            f"{path} has another name than {_NAME}, which scripts and schedules call",
            hint=f"install -m 755 {shlex.quote(str(path))} /usr/local/bin/{_NAME}, then run that",
        )
    return path


def surroundings_of(config: Configuration, directory: Path, file: Path | None, command: Path) -> RunEnvironment:
    """Return the surroundings of this site's runs; `command` is the program itself, `file` the TOML file of `--config`.

    Raises UsageError for paths that no unit and no crontab can hold.
    """
    database, schedule = config.database, config.schedule
    config_file = file.absolute() if file else None
    written = [config.backup.dir, *schedule.writable]
    if config.media.root:
        written.append(config.media.root)  # a run first undoes an interrupted restore there
    if config.requests.directory:
        written.append(config.requests.directory)
    needed = [path for path in (config_file, database.client_dir, _socket(database.host)) if path]
    around = RunEnvironment(
        site=config.site.name,
        identity=str(config_file or directory),
        command=(str(command), *(("--config", str(config_file)) if config_file else ())),
        directory=str(directory),
        path=":".join([*_USUAL_PATH, *_elsewhere()]),
        user=schedule.user if os.geteuid() == 0 else None,
        writable=tuple(str((directory / path).absolute()) for path in written),
        needed=tuple(map(str, needed)),
        compose=config.composed,
        gains_rights=_gain_rights(config),
        jitter=schedule.jitter,
        limit=schedule.limit_hours * _HOUR,
        log=str((directory / schedule.log).absolute()) if schedule.log else None,
    )
    _require_plain(around)
    return around


def require_in_files(config: Configuration, directory: Path, file: Path | None, environ: Mapping[str, str]) -> None:
    """Raise Refused, with their names, if settings come from the environment of this shell alone: no run has it.

    Raises UsageError for a user that does not exist, or whose schedule only root can install.
    """
    _require_user(config.schedule.user)
    alone = load(directory, {}, file)
    lost = [
        variable
        for variable, (section, key) in VARIABLES.items()
        if environ.get(variable) and getattr(getattr(config, section), key) != getattr(getattr(alone, section), key)
    ]
    if config.composed:
        kept = surroundings(directory, {})
        lost += [name for name in _ENGINE if environ.get(name) and kept.get(name) != environ[name]]
    if lost:
        raise Refused(
            f"a scheduled run does not have these variables of your shell: {', '.join(lost)}",
            hint=f"put them into {directory / OWN_DOTENV} (mode 600), then run this again",
        )


def prepare(config: Configuration, catalog: Catalog) -> None:
    """Make the backup directory and the signing key, which a confined run could not do.

    Raises Refused when the runs are another user's and the directory or the key is missing: made by root it would not
    be his.
    """
    user = config.schedule.user
    if user is None or pwd.getpwnam(user).pw_uid == os.geteuid():
        catalog.prepare()
        return
    key = config.backup.key_file or Path(pwd.getpwnam(user).pw_dir, ".config", "korrigo-backup", "key")
    for path, what in ((catalog.directory, "backup directory"), (key, "signing key")):
        if not path.exists():
            raise Refused(
                f"there is no {what} {path} of {user} yet, and the runs may not make it",
                hint=f"sudo -u {user} korrigo-backup backup, once, as the runs will, then run this again",
            )


def _elsewhere() -> list[str]:
    """Return the directories of the programs that are found here, but would not be by night."""
    found = [Path(path).parent for program in _PROGRAMS if (path := which(program))]
    return list(dict.fromkeys(str(place) for place in found if place.is_absolute() and str(place) not in _USUAL_PATH))


def _socket(host: str | None) -> Path | None:
    return Path(host) if host and host.startswith("/") else None


def _gain_rights(config: Configuration) -> bool:
    commands = (*config.services.stop, *config.services.start, config.django.manage)
    return any(words and Path(words[0]).name in _GAIN_RIGHTS for words in commands)


def _require_plain(around: RunEnvironment) -> None:
    texts = (*around.command, around.directory, around.path, around.log or "", *around.writable)
    bad = next((text for text in texts if any(ord(letter) < ord(" ") for letter in text)), None)
    if bad is not None:
        raise UsageError(
            f"{bad!r} has a control character, which no unit and no crontab can hold", hint="rename the directory"
        )


def _require_user(user: str | None) -> None:
    if user is None:
        return
    try:
        number = pwd.getpwnam(user).pw_uid
    except KeyError:
        raise UsageError(f"there is no user {user!r} here", hint="correct [schedule] user") from None
    if os.geteuid() not in {0, number}:
        raise UsageError(
            f"[schedule] user is {user!r}, and only root can install a schedule of another user",
            hint="sudo korrigo-backup schedule install, or run this as that user",
        )
