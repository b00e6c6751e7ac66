"""What a project's directory tells about its site: Compose files, `.env`, Django. Nothing is changed, no secret shown.

The result is what a configuration has to set; what the defaults or the environment say already is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.config.load import VARIABLES, read_dotenv
from korrigo_backup.config.model import Configuration
from korrigo_backup.domain.finding import Finding, error, ok, warning
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.site import compose_file
from korrigo_backup.site.django_settings import SiteSettings, find_manage, try_ask
from korrigo_backup.site.services import await_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from korrigo_backup.site.compose_file import ComposeText, ServiceText
    from korrigo_backup.site.django_settings import Manage

COMPOSE_FILES = (
    "infra/docker/docker-compose.prod.yml",
    *(f"{place}{name}"
      for place in ("", "docker/", "deploy/", "infra/", "infra/docker/")
      for name in ("docker-compose.prod.yml", "docker-compose.prod.yaml", "docker-compose.production.yml",
                   "compose.prod.yaml", "compose.prod.yml", "compose.production.yml", "production.yml",
                   "compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")),
)  # fmt: skip
"""Where a Compose file is looked for: the runbook's place, then production before all else, then what Compose reads."""

_OVERRIDES = {"compose.yaml": "compose.override.yaml", "compose.yml": "compose.override.yml",
              "docker-compose.yaml": "docker-compose.override.yaml",
              "docker-compose.yml": "docker-compose.override.yml"}  # fmt: skip
"""What Compose reads too, unless a file is named to it, which we do."""

_POSTGRES_IMAGE = re.compile(r"(^|[/_-])(postgres|postgresql|postgis|timescaledb|pgvector)\b", re.IGNORECASE)
_POSTGRES_DATA = "/var/lib/postgresql"
_SERVES = re.compile(r"gunicorn|uvicorn|daphne|hypercorn|granian|manage\.py|/start\b", re.IGNORECASE)
_SERVES_NOT = re.compile(r"celery|worker|\bbeat\b|flower|nginx|traefik|caddy|redis|rabbit|mail|postgres", re.IGNORECASE)
_BACKENDS = ("backend", "web", "django", "app", "api", "server")
_DATABASES = ("db", "postgres", "postgresql", "database")
_MEDIA = re.compile(r"(^|/)(media|mediafiles|uploads)/?$")
_HEALTH = re.compile(r"http://(?P<host>localhost|127\.0\.0\.1)(?::(?P<port>\d+))?(?P<path>/[\w./-]*)")
_SOCKET = "/var/run/postgresql"
"""Where libpq looks when Django's HOST is empty, on Debian."""

Values = dict[str, dict[str, object]]


@dataclass(frozen=True)
class Discovered:
    """What has to be set, by section and key; what was found, in words; whether the site's database can be reached."""

    values: Values = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    reached: bool = False


def discover(directory: Path, environment: Mapping[str, str]) -> Discovered:
    """Return what `directory` tells; `environment` is that of `.env` and of the process together.

    Raises UsageError for a Compose file that cannot be read: the one thing that must be right before all else.
    """
    files = compose_files(directory, environment)
    host = environment.get("POSTGRES_HOST")
    text = compose_file.read([directory / file for file in files], environment) if files else None
    if text and (not host or host in text.services):
        found = _composed(directory, files, text, environment)
    else:
        found = _direct(directory, environment)
    named = text.project if text and text.project else directory.absolute().name
    named = named if named.isprintable() else ""  # bytes that are no text cannot be written
    values = {**found.values, "site": {"name": named, **found.values.get("site", {})}}
    return Discovered(_needed(values, environment), found.findings, found.reached)


def compose_files(directory: Path, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the Compose files, relative to `directory`: those that COMPOSE_FILE names, else the first usual one."""
    if given := environment.get("COMPOSE_FILE"):
        named = tuple(Path(name) for name in given.split(environment.get("COMPOSE_PATH_SEPARATOR") or ":") if name)
        return named if all((directory / name).is_file() for name in named) else ()
    for name in COMPOSE_FILES:
        path = Path(name)
        if (directory / path).is_file():
            override = path.with_name(_OVERRIDES.get(path.name, path.name))
            return (path, override) if override != path and (directory / override).is_file() else (path,)
    return ()


def database_service(text: ComposeText) -> ServiceText | None:
    """Return the service that is a PostgreSQL server, by its image, else by where it keeps its data."""
    by_image = [one for one in text.services.values() if _POSTGRES_IMAGE.search(one.image)]
    by_data = [one for one in text.services.values()
               if any(volume.target.startswith(_POSTGRES_DATA) for volume in one.volumes)]  # fmt: skip
    return _preferred(by_data or by_image, _DATABASES)


def backend_service(text: ComposeText, database: str) -> ServiceText | None:
    """Return the service that runs Django: by its command, its name, its variables; workers and proxies are none."""
    scores = {one.name: _score(one, database) for one in text.services.values() if one.name != database}
    best = max(scores.values(), default=0)
    return _preferred([text.services[name] for name, score in scores.items() if score == best > 1], _BACKENDS)


def media_directory(backend: ServiceText) -> str | None:
    """Return the media directory inside the backend's container, None when nothing tells."""
    targets = [volume.target.rstrip("/") for volume in backend.volumes]
    if (told := backend.environment.get("MEDIA_ROOT", "").rstrip("/")) in targets:
        return told
    return next((target for target in targets if _MEDIA.search(target)), None)


def _score(one: ServiceText, database: str) -> int:
    if _SERVES_NOT.search(f"{one.name} {one.image} {one.command}"):
        return 0
    return sum((
        3 * bool(_SERVES.search(one.command)),
        2 * (one.name in _BACKENDS),
        2 * any(name.startswith("DJANGO_") for name in one.environment),
        any(_MEDIA.search(volume.target) and not volume.read_only for volume in one.volumes),
        database in one.depends_on,
        one.build,
    ))  # fmt: skip


def _preferred(candidates: list[ServiceText], names: Iterable[str]) -> ServiceText | None:
    by_name = {one.name: one for one in candidates}
    return next((by_name[name] for name in names if name in by_name), next(iter(candidates), None))


def _composed(
    directory: Path, files: tuple[Path, ...], text: ComposeText, environment: Mapping[str, str]
) -> Discovered:
    shown = ", ".join(map(str, files))
    db = database_service(text)
    backend = backend_service(text, db.name if db else "")
    values: Values = {"site": {}, "compose": {"files": [str(file) for file in files]}, "database": {}}
    findings: list[Finding] = []
    if db is None:
        findings.append(error("site.compose", f"{shown}: none of {', '.join(sorted(text.services))} is PostgreSQL",
                              "name the database's service in [compose] db, or set POSTGRES_HOST"))  # fmt: skip
    else:
        values["compose"]["db"] = db.name
        values["database"] = dict(_credentials(directory / files[0].parent, db))
        findings.append(ok("site.compose", f"{shown}: the database is the service {db.name} ({db.image or 'built'})"))
    if backend is None:
        findings.append(warning("site.backend", f"{shown}: no service looks like Django's",
                                "name it in [compose] backend; the database is backed up without it"))  # fmt: skip
    else:
        values["compose"]["backend"] = backend.name
        findings += [*_media_inside(backend, values), *_health(backend, values)]
    if environment.get("POSTGRES_HOST") in text.services:
        values["site"]["access"] = "compose"
        findings.append(ok("site.access", f"POSTGRES_HOST={environment['POSTGRES_HOST']} is a service: it is for the"
                           " containers, this command goes through Docker Compose"))  # fmt: skip
    beside = directory / files[0].parent / ".env"
    if (directory / ".env").is_file() and not beside.exists():
        values["compose"]["env_file"] = ".env"  # Compose looks beside its first file
    return Discovered(values, tuple(findings), reached=db is not None)


def _media_inside(backend: ServiceText, values: Values) -> Iterator[Finding]:
    media = media_directory(backend)
    if media is None:
        yield warning("site.media", f"no volume of the service {backend.name} looks like the media directory",
                      "set [compose] media to the directory inside its container")  # fmt: skip
        return
    values["compose"]["media"] = media
    yield ok("site.media", f"the media are in {media} of the service {backend.name}")


def health_address(backend: ServiceText) -> str | None:
    """Return the address on this machine that the container's own health check asks, None when that is not published.

    The name stays the one that the check uses: the site may answer to no other (ALLOWED_HOSTS).
    """
    asked = _HEALTH.search(backend.health)
    port = backend.ports.get(asked["port"] or "80") if asked else None
    return f"http://{asked['host']}:{port}{asked['path']}" if asked and port else None


def _health(backend: ServiceText, values: Values) -> Iterator[Finding]:
    url = health_address(backend)
    if url is None:
        return
    try:
        await_url(url, 0)
    except KorrigoBackupError:
        return  # a restore is rolled back when it does not answer: it is set only where it does
    values["services"] = {"health_url": url}
    yield ok("site.health", f"{url} answers: a restore waits for it")


def _credentials(beside: Path, db: ServiceText) -> Iterator[tuple[str, str]]:
    """Yield name and user of the database as its container is told them; the official image takes one for the other."""
    told = dict(db.environment)
    for name in db.env_files:
        told = {**read_dotenv(beside / name), **told}
    user = told.get("POSTGRES_USER")
    if database := told.get("POSTGRES_DB") or user:
        yield "name", database
    if user:
        yield "user", user


def _direct(directory: Path, environment: Mapping[str, str]) -> Discovered:
    manage = find_manage(directory, environment)
    values: Values = {"database": {}, "media": {}}
    findings: list[Finding] = []
    if manage:
        values["django"] = {"manage": list(manage.command), "dir": _below(manage.directory, directory)}
        findings += _asked(manage, environment, values)
    if not environment.get("MEDIA_ROOT") and "root" not in values["media"]:
        findings.append(warning("site.media", "nothing tells where the media are", "set MEDIA_ROOT in .env"))
    if host := environment.get("POSTGRES_HOST") or values["database"].get("host"):
        findings.insert(0, ok("site.direct", f"the database is reached directly, at {host}"))
        return Discovered(values, tuple(findings), reached=True)
    unknown = error("site.unknown", "nothing here tells how the site's database is reached: no Compose file,"
                    " no POSTGRES_HOST in .env or the environment, no manage.py that tells it",
                    "run it in the site's project directory (--directory), or set POSTGRES_HOST in .env")  # fmt: skip
    return Discovered(values, (*findings, unknown))


def _asked(manage: Manage, environment: Mapping[str, str], values: Values) -> Iterator[Finding]:
    told = try_ask(manage, environment)
    where = manage.directory / "manage.py"
    if not isinstance(told, SiteSettings):
        yield warning("site.django", f"{where} is there, and does not tell its settings: {told}",
                      "correct [django] manage: the Python of the site's virtual environment")  # fmt: skip
        return
    if told.is_postgres:
        port = int(told.port) if told.port.isdecimal() else 5432
        values["database"] = {"name": told.name, "user": told.user, "host": told.host or _SOCKET, "port": port}
    if told.media:
        values["media"]["root"] = told.media
    yield ok("site.django", f"{where} tells its settings")
    if not told.app:
        yield warning("site.app", "the site has no management command backup: validate sees less",
                      'pip install korrigo-backup there; INSTALLED_APPS needs "korrigo_backup.djangoapp"')  # fmt: skip


def _below(path: Path, directory: Path) -> str | None:
    return None if path == directory or path.samefile(directory) else str(path.relative_to(directory))


def _needed(values: Values, environment: Mapping[str, str]) -> Values:
    """Leave out what the environment sets, which wins anyway, and what the defaults say."""
    defaults = Configuration().model_dump(mode="json")
    told = {place for variable, place in VARIABLES.items() if environment.get(variable)}
    kept = {
        section: {
            key: value
            for key, value in keys.items()
            if value not in (None, "") and (section, key) not in told and value != defaults[section][key]
        }
        for section, keys in values.items()
    }
    return {section: keys for section, keys in kept.items() if keys}
