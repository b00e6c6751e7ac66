"""Find out about a site from its project's directory: Compose files, `.env`, Django. Changes no file, shows no secret.

The result is the settings for a configuration; settings with their default value or in the environment are left out.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.compose import file as compose_file
from korrigo_backup.compose.running import environment_of, project_here, resolved
from korrigo_backup.config.model import defaults
from korrigo_backup.core.finding import Finding, error, ok, warning
from korrigo_backup.core.variables import VARIABLES
from korrigo_backup.setup.compose_roles import database_candidates
from korrigo_backup.setup.discover_compose import Discovered, Files, NamedServices, Values, composed
from korrigo_backup.setup.server_units import stop_and_start
from korrigo_backup.site.django_settings import SiteSettings, find_manage, try_ask
from korrigo_backup.system.dotenv import read_dotenv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from korrigo_backup.compose.file import ComposeText
    from korrigo_backup.compose.project import Project
    from korrigo_backup.site.django_settings import Manage

_PRODUCTION = tuple(
    f"{stem}{word}.{ending}"
    for word in (".prod", ".production", "-prod", "-production")
    for stem in ("docker-compose", "compose")
    for ending in ("yml", "yaml")
)
_BASES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""The files that Compose itself reads, in its order."""

COMPOSE_FILES = (
    "infra/docker/docker-compose.prod.yml",
    *(f"{place}{name}"
      for place in ("", "docker/", "deploy/", "infra/", "infra/docker/", "compose/", ".docker/", "contrib/container/")
      for name in (*_PRODUCTION, "production.yml", *_BASES)),
)  # fmt: skip
"""Where a Compose file is looked for: the runbook's place, then production before all else, then Compose's names."""

_OVERRIDES = ("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml",
              "docker-compose.override.yaml")  # fmt: skip
"""Files that Compose also reads if no file is named to it; we name a file."""

_SOCKET = "/var/run/postgresql"
"""Where libpq looks when Django's HOST is empty, on Debian."""


@dataclass(frozen=True)
class _Read:
    """The project's text, how it is called where Compose is there, and the variables that it was read with."""

    text: ComposeText
    project: Project | None
    environment: Mapping[str, str] = field(repr=False)
    env_file_given: bool = False


def discover(directory: Path, environment: Mapping[str, str], named: NamedServices | None = None) -> Discovered:
    """Return what `directory` tells; `environment` is that of `.env` and of the process together.

    `named` are services that a person has chosen. Raises UsageError for a Compose file that cannot be read, because all
    else depends on it.
    """
    files = compose_files(directory, environment)
    host = environment.get("POSTGRES_HOST")
    read = _read((directory, files), environment) if files else None
    text = read.text if read else None
    if read and (not host or host in read.text.services or _is_alias(host, read.text)):
        found = _composed(directory, files, read, named or NamedServices())
    else:
        found = _direct(directory, environment)
    name = text.project if text and text.project else directory.absolute().name
    name = name if name.isprintable() else ""  # bytes that are no text cannot be written
    values = {**found.values, "site": {"name": name, **found.values.get("site", {})}}
    if root := _archive_root(directory, values, environment):
        values["media"] = {**values.get("media", {}), "archive_root": root}
    return replace(found, values=_needed(values, environment))


def _archive_root(directory: Path, values: Values, environment: Mapping[str, str]) -> str | None:
    """Return the media directory without its leading slash: `tar -x -C /` puts an archive in its place."""
    if "compose" in values:
        root = str(values["compose"].get("media", ""))
    else:
        given = environment.get("MEDIA_ROOT") or values.get("media", {}).get("root")
        root = os.path.normpath(directory.absolute() / str(given)) if given else ""
    root = root.strip("/")
    return root if root and root.isprintable() else None


def _is_alias(host: str, text: ComposeText) -> bool:
    return any(host in one.hosts for one in text.services.values())


def compose_files(directory: Path, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the Compose files, relative to `directory`: those that COMPOSE_FILE names, else the first usual file.

    A file for production that only adds to the usual file comes after it.
    """
    if given := environment.get("COMPOSE_FILE"):
        named = tuple(Path(name) for name in given.split(environment.get("COMPOSE_PATH_SEPARATOR") or ":") if name)
        return named if all((directory / name).is_file() for name in named) else ()
    first = next((Path(name) for name in COMPOSE_FILES if (directory / name).is_file()), None)
    first = first or _in_another_place(directory)
    if first is None:
        return _other_file(directory)
    if first.name in _BASES:
        return (first, *_first_there(directory, first.parent, _OVERRIDES))
    if base := _first_there(directory, first.parent, _BASES):
        text = compose_file.read([directory / first], environment)
        partial = not all(one.image or one.build for one in text.services.values())
        if partial or not database_candidates(text.services):
            return (*base, first)
    return (first,)


def _in_another_place(directory: Path) -> Path | None:
    """Return the Compose file of the only directory below that has any, two deep; None where several have one.

    A directory of tests, of samples or of packages is passed over.
    """
    aside = re.compile(r"^\.|^_|tests?\b|examples?|samples?|node_modules|venv|site-packages", re.IGNORECASE)
    inner = [one for pattern in ("*/", "*/*/") for one in directory.glob(pattern)]
    places = [one.relative_to(directory) for one in inner if one.is_dir()]
    found: list[Path] = []
    for place in places:
        if not any(aside.search(part) for part in place.parts):
            found += _first_there(directory, place, (*_PRODUCTION, *_BASES))
    return found[0] if len(found) == 1 else None


def _first_there(directory: Path, place: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    return next(((place / name,) for name in names if (directory / place / name).is_file()), ())


def _other_file(directory: Path) -> tuple[Path, ...]:
    """Return the only Compose file here that has another name (`docker-compose.hobby.yml`), none where there are two.

    A file that another file includes or extends is not counted.
    """
    found = {path.name: path.read_bytes() for path in directory.glob("*compose*.y*ml") if path.is_file()}
    aside = re.compile(r"override|test|\bci\b|dev|local")
    whole = [name for name in found if not aside.search(name)]
    top = [name for name in whole if not any(name.encode() in text for other, text in found.items() if other != name)]
    return (Path(top[0]),) if len(top) == 1 else ()


def _read(project: tuple[Path, tuple[Path, ...]], environment: Mapping[str, str]) -> _Read:
    """Return the project as Compose reads it if Compose is installed, else as text."""
    directory, files = project
    paths = [directory / file for file in files]
    beside = paths[0].parent / ".env"
    env_file = directory / ".env" if (directory / ".env").is_file() and not beside.exists() else None
    variables = _variables(directory, beside, environment)
    here = project_here(tuple(paths), env_file, variables)
    document = resolved(here) if here else None
    text = compose_file.understood(document, paths[0]) if document else compose_file.read(paths, variables)
    return _Read(text, here, variables, env_file_given=env_file is not None)


def _variables(directory: Path, beside: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that Compose fills its files from: the `.env` next to the first file wins over ours."""
    here = directory / ".env"
    if not beside.is_file() or (here.exists() and here.samefile(beside)):
        return dict(environment)
    ours = read_dotenv(here) if here.is_file() else {}
    shell = {name: value for name, value in environment.items() if ours.get(name) != value}
    return {**ours, **read_dotenv(beside, shell), **shell}


def _composed(directory: Path, files: tuple[Path, ...], read: _Read, named: NamedServices) -> Discovered:
    def running(service: str) -> Mapping[str, str] | None:
        return environment_of(read.project, service) if read.project else None

    place = Files(", ".join(map(str, files)), directory / files[0].parent)
    found = composed(place, read.text, read.environment, named, running)
    values = {**found.values, "compose": {"files": [str(file) for file in files], **found.values["compose"]}}
    findings = list(found.findings)
    host = read.environment.get("POSTGRES_HOST", "")
    if host in read.text.services:
        values["site"]["access"] = "compose"
        findings.append(ok("site.access", f"POSTGRES_HOST={host} is a service: it is for the"
                           " containers, this command goes through Docker Compose"))  # fmt: skip
    if read.env_file_given:
        values["compose"]["env_file"] = ".env"  # Compose looks next to its first file
    return replace(found, values=values, findings=tuple(findings))


def _direct(directory: Path, environment: Mapping[str, str]) -> Discovered:
    manage = find_manage(directory, environment)
    values: Values = {"database": {}, "media": {}}
    findings: list[Finding] = []
    if manage:
        values["django"] = {"manage": list(manage.command), "dir": _below(manage.directory, directory)}
        findings += _asked(manage, environment, values)
    findings += _services(directory, values)
    if not environment.get("MEDIA_ROOT") and "root" not in values["media"]:
        findings.append(warning("site.media", "the place of the media is unknown", "set MEDIA_ROOT in .env"))
    if host := environment.get("POSTGRES_HOST") or values["database"].get("host"):
        findings.insert(0, ok("site.direct", f"the database is reached directly, at {host}"))
        return Discovered(values, tuple(findings), reached=True)
    unknown = error("site.unknown", "the way to reach the site's database is unknown: no Compose file,"
                    " no POSTGRES_HOST in .env or the environment, no manage.py that prints its settings",
                    "run it in the site's project directory (--directory), or set POSTGRES_HOST in .env")  # fmt: skip
    return Discovered(values, (*findings, unknown))


def _services(directory: Path, values: Values) -> Iterator[Finding]:
    """Take the services of this machine that run the code of the site for those that a restore stops and starts."""
    if commands := stop_and_start(directory.absolute()):
        stop, start = commands
        values["services"] = {"stop": [stop], "start": [start]}
        yield ok("site.services", f"a restore stops and starts the services whose code is here: {shlex.join(stop)};"
                 f" {shlex.join(start)}")  # fmt: skip


def _asked(manage: Manage, environment: Mapping[str, str], values: Values) -> Iterator[Finding]:
    settings = try_ask(manage, environment)
    where = manage.directory / "manage.py"
    if not isinstance(settings, SiteSettings):
        yield warning("site.django", f"{where} is there, but its settings cannot be read: {settings}",
                      "correct [django] manage: the Python of the site's virtual environment")  # fmt: skip
        return
    if settings.is_postgres:
        port = int(settings.port) if settings.port.isdecimal() else 5432
        values["database"] = {
            "name": settings.name,
            "user": settings.user,
            "host": settings.host or _SOCKET,
            "port": port,
            **settings.options,
        }
    if settings.media:
        values["media"]["root"] = settings.media
    yield ok("site.django", f"the settings were read with {where}")
    if not settings.app:
        yield warning("site.app", "the site has no management command backup: validate sees less",
                      'install korrigo-backup there; INSTALLED_APPS needs "korrigo_backup.djangoapp"')  # fmt: skip


def _below(path: Path, directory: Path) -> str | None:
    return None if path == directory or path.samefile(directory) else str(path.relative_to(directory))


def _needed(values: Values, environment: Mapping[str, str]) -> Values:
    """Leave out settings that the environment sets, which wins anyway, and those with their default value."""
    usual = defaults()
    given = {place for variable, place in VARIABLES.items() if environment.get(variable)}
    kept = {
        section: {
            key: value
            for key, value in keys.items()
            if value not in (None, "") and (section, key) not in given and value != usual[section][key]
        }
        for section, keys in values.items()
    }
    return {section: keys for section, keys in kept.items() if keys}
