"""Find out about the site from a project's Compose files, and from its containers if there are any."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from korrigo_backup.compose.build import media_names, with_build
from korrigo_backup.compose.postgres_images import login, login_of_application, variables
from korrigo_backup.core.finding import Finding, error, ok, warning
from korrigo_backup.errors import UsageError
from korrigo_backup.setup import compose_roles as roles
from korrigo_backup.site.health import DEFAULT_PATH, probe
from korrigo_backup.system.dotenv import parse_dotenv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from korrigo_backup.compose.file import ComposeText
    from korrigo_backup.compose.service import ServiceText

_HEALTH = re.compile(r"http://(?P<host>localhost|127\.0\.0\.1)(?::(?P<port>\d+))?(?P<path>/[\w./-]*)")
CANDIDATES = "site.candidates"
"""The finding that is a question: several services may be the database."""

_LARGEST_NAME = 4096
"""Bytes of a secret that holds a name."""

Values = dict[str, dict[str, object]]


@dataclass(frozen=True)
class NamedServices:
    """The services that a person has named; None where the files are to tell.

    `former` are those of the present configuration; a name that is no service any more is passed over.
    """

    database: str | None = None
    backend: str | None = None
    former: NamedServices | None = None


@dataclass(frozen=True)
class Discovered:
    """The settings, by section and key; the findings, in words; whether the site's database can be reached.

    `candidates` are the possible database services if no rule decides between them.
    """

    values: Values = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    reached: bool = False
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Files:
    """The project's files, as they are named in messages, and the directory of the first file."""

    shown: str
    home: Path


def composed(
    files: Files,
    text: ComposeText,
    environment: Mapping[str, str],
    named: NamedServices,
    running: Callable[[str], Mapping[str, str] | None],
) -> Discovered:
    """Return the settings of the project. `running` returns the environment of a service's container, None without one.

    Raises UsageError if a named service is not in the project.
    """
    services = {name: _whole(one, files.home, environment) for name, one in text.services.items()}
    servers = roles.database_candidates(services)
    former = named.former or NamedServices()
    backend = _named(services, (named.backend, former.backend), "--backend", files)
    backend = backend or roles.choose_backend(services, servers).service
    host = environment.get("POSTGRES_HOST", "")
    given = _named(services, (named.database, former.database), "--db", files)
    given = given or next((one for one in servers if host in {one.name, *one.hosts}), None)
    choice = roles.ServiceChoice(given) if given else roles.choose_database(services, servers, backend)
    values: Values = {"site": {}, "compose": {}, "database": {}}
    findings = [*_unread(text, files)]
    candidates: tuple[str, ...] = ()
    if choice.service is None:
        findings.append(error("site.compose", f"{files.shown}: none of {', '.join(sorted(services))} is PostgreSQL",
                              "korrigo-backup init --db SERVICE names it; or set POSTGRES_HOST"))  # fmt: skip
    elif choice.open:
        candidates = (choice.service.name, *choice.others)
        findings.append(_question(files, candidates))
    else:
        findings += _database(files, choice, text, values, running(choice.service.name), backend)
    if backend is None:
        values["schedule"] = {"media": "weekly", "weekly": "never"}
        findings.append(warning("site.backend", f"{files.shown}: no service looks like Django's",
                                "korrigo-backup init --backend SERVICE names it; without it the database alone is"
                                " backed up"))  # fmt: skip
    else:
        values["compose"]["backend"] = backend.name
        findings += [*_media_inside(backend, services, files, values), *_health(backend, services.values(), values)]
        if choice.service and not choice.open:
            findings += _writers(services, choice.service, backend, values)
    if profiles := _profiles((choice.service, backend), environment):
        values["compose"]["profiles"] = list(profiles)
    return Discovered(values, tuple(findings), choice.service is not None and not choice.open, candidates)


def _whole(one: ServiceText, home: Path, environment: Mapping[str, str]) -> ServiceText:
    """Return a service with the variables of its `env_file` below its own, and with the facts in its build context."""
    from_files: dict[str, str] = {}
    for name in one.env_files:
        from_files |= parse_dotenv(home / name, environment).values
    return with_build(replace(one, environment={**from_files, **one.environment}), home)


def _named(
    services: Mapping[str, ServiceText], names: tuple[str | None, str | None], option: str, files: Files
) -> ServiceText | None:
    typed, former = names
    if typed is None or typed in services:
        return services.get(typed or former or "")
    hint = f"{option} takes the name of a service: {', '.join(sorted(services))}"
    raise UsageError(f"{files.shown} has no service {typed!r}", hint=hint)


def _profiles(chosen: tuple[ServiceText | None, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the profiles that Compose needs as options so that it knows the chosen services."""
    active = {word.strip() for word in environment.get("COMPOSE_PROFILES", "").split(",")}
    asleep = [one.profiles[0] for one in chosen if one and one.profiles and not active & set(one.profiles)]
    return tuple(dict.fromkeys(asleep))


def _question(files: Files, candidates: tuple[str, ...]) -> Finding:
    message = (
        f"{files.shown}: {' and '.join(candidates)} are PostgreSQL, and it is not clear which is the site's database"
    )
    return error("site.candidates", message, f"korrigo-backup init --db {candidates[0]}, or --db {candidates[1]}")


def _unread(text: ComposeText, files: Files) -> Iterator[Finding]:
    for name in text.unread:
        yield warning("site.include", f"{files.shown}: {name}, which it includes or extends, is not here",
                      "docker compose config shows the whole project; name its services in [compose]")  # fmt: skip


def _database(
    files: Files,
    choice: roles.ServiceChoice,
    text: ComposeText,
    values: Values,
    inside: Mapping[str, str] | None,
    backend: ServiceText | None,
) -> Iterator[Finding]:
    db = choice.service
    if db is None:
        return
    values["compose"]["db"] = db.name
    settings = dict(inside) if inside is not None else _with_secrets(db, text, files.home)
    found = login(roles.image_of(db), settings)
    if not found.is_named and backend and (theirs := login_of_application(backend.environment, found)):
        found = theirs
    values["database"] = {"name": found.database, "user": found.user}
    source = "from its container" if inside is not None else db.image or db.base or "built"
    yield ok("site.compose", f"{files.shown}: the database is the service {db.name} ({source}):"
             f" {found.database}, role {found.user}")  # fmt: skip
    if not found.is_named:
        yield warning("site.default_database", f"{files.shown}: no variable names the database: {found.database} is the"
                      " default of the image, where a site's tables seldom are",
                      "set [database] name and user to those of the site's settings, or POSTGRES_DB and POSTGRES_USER"
                      " in .env")  # fmt: skip
    if choice.others:
        others = ", ".join(choice.others)
        yield warning("site.databases", f"{files.shown}: PostgreSQL too, and not backed up: {others}",
                      "if the site's database is among these: korrigo-backup init --db SERVICE; that of another site"
                      " has its own configuration")  # fmt: skip


def _with_secrets(db: ServiceText, text: ComposeText, home: Path) -> dict[str, str]:
    """Return the variables of a server's container, those that stand in a file (`POSTGRES_DB_FILE`) read from there."""
    settings = dict(db.environment)
    for name in variables(roles.image_of(db)):
        place = settings.get(f"{name}_FILE", "")
        secret = text.secrets.get(db.secrets.get(place, place.rsplit("/", 1)[-1]))
        if place and secret and not settings.get(name):
            settings[name] = _name_in(home / secret)
    return settings


def _name_in(path: Path) -> str:
    """Return the first line of a small file, "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            lines = file.read(_LARGEST_NAME).decode().splitlines() if path.is_file() else []
    except (OSError, UnicodeDecodeError):
        return ""
    return lines[0] if lines else ""


def _media_inside(
    backend: ServiceText, services: Mapping[str, ServiceText], files: Files, values: Values
) -> Iterator[Finding]:
    media = roles.choose_media(backend, services, media_names(backend, files.home))
    if media is None:
        yield warning("site.media", f"no volume of the service {backend.name} looks like the media directory",
                      "set [compose] media to the directory inside its container")  # fmt: skip
        return
    values["compose"]["media"] = media.directory
    if media.guessed:
        yield warning("site.media", f"{media.directory} of the service {backend.name} is taken for the media directory:"
                      " it is the only volume that could be", "compare it with MEDIA_ROOT of the site's settings, and"
                      " correct [compose] media where that is another directory")  # fmt: skip
    else:
        yield ok("site.media", f"the media are in {media.directory} of the service {backend.name}")


def _writers(
    services: Mapping[str, ServiceText], db: ServiceText, backend: ServiceText, values: Values
) -> Iterator[Finding]:
    media = values["compose"].get("media")
    names = roles.silent_writers(services, db, backend, media if isinstance(media, str) else None)
    if names:
        values["compose"]["stop"] = list(names)
        yield ok(
            "site.writers", f"a restore stops {', '.join(names)}: not all of them declare that they depend on {db.name}"
        )


def health_addresses(backend: ServiceText, services: Iterable[ServiceText]) -> Iterator[str]:
    """Yield addresses on this machine at which the site's health may answer.

    First the published port that the backend's own check asks, then every published port, a proxy's too. The host name
    stays that of the check: the site may answer to no other (ALLOWED_HOSTS).
    """
    asked = _HEALTH.search(backend.health)
    host, path = (asked["host"], asked["path"]) if asked else ("localhost", DEFAULT_PATH)
    own = backend.ports.get(asked["port"] or "80") if asked else None
    ports = [own] if own else []
    ports += [port for one in (backend, *services) for port in one.ports.values()]
    yield from dict.fromkeys(f"http://{host}:{port}{path}" for port in ports)


def _health(backend: ServiceText, services: Iterable[ServiceText], values: Values) -> Iterator[Finding]:
    for url in health_addresses(backend, services):
        if probe(url) is None:
            values["services"] = {"health_url": url}
            yield ok("site.health", f"{url} answers: a restore waits for it")
            return
