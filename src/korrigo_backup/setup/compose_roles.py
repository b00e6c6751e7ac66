"""Choose the database, the backend and the media directory of a Compose project.

All rules here read only the text of the files (`ComposeText`), so each rule is a test without a container.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from korrigo_backup.compose.postgres_images import DATA_DIRECTORIES, is_other_program, is_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from korrigo_backup.compose.service import ServiceText, Volume

_SERVES = re.compile(r"gunicorn|uvicorn|daphne|hypercorn|granian|uwsgi|waitress|runserver|mod_wsgi|wsgi|/start\b",
                     re.IGNORECASE)  # fmt: skip
_WORKS = re.compile(
    r"celery|rqworker|rqscheduler|\brq\b|rundramatiq|dramatiq|run_huey|huey|qcluster|procrastinate|sidekiq"
    r"|(?<![-.\w/])(worker|beat|scheduler|cron|crond|flower|consumer|housekeeping|npm|yarn|pnpm)(?![-\w])"
    r"|\bmigrate\W*$",
    re.IGNORECASE,
)
_BACKENDS = ("backend", "django", "web", "webserver", "app", "api", "server", "back", "site", "wsgi", "asgi", "uwsgi",
             "www", "website", "application")  # fmt: skip
"""Words in the name of a service that runs Django, the strongest first."""

_PROGRAMS = frozenset((
    "adminer", "alpine", "apache", "bash", "busybox", "caddy", "certbot", "clickhouse", "elasticsearch",
    "gotenberg", "grafana", "haproxy", "httpd", "jaeger", "kafka", "keydb", "letsencrypt", "loki", "maildev",
    "mailhog", "mailpit", "mariadb", "memcached", "metabase", "minio", "mongo", "mongodb", "mysql", "nginx",
    "node", "npm", "opensearch", "pgadmin", "pgbouncer", "portainer", "postfix", "prometheus", "rabbit",
    "rabbitmq", "redis", "s3", "selenium", "smtp", "tika", "traefik", "valkey", "vite", "watchtower",
    "webpack", "zookeeper",
))  # fmt: skip
"""Words in the name of an image, or of a service, of a program other than the site's."""

_TASKS = frozenset((
    "async", "backup", "backups", "beat", "broker", "cache", "consumer", "cron", "dashboard", "docs",
    "dramatiq", "event", "events", "exporter", "flower", "front", "frontend", "gateway", "housekeeping",
    "huey", "init", "initializer", "mail", "migrate", "migration", "migrations", "migrator", "proxy", "queue",
    "rq", "scheduler", "sidekiq", "static", "storybook", "streaming", "test", "tests", "ui", "worker",
    "workers",
))  # fmt: skip
"""Words in the name of a service that does something else than to serve the site."""

_BESIDE_PART = re.compile(r"celery|worker|beat$|proxy|^rabbit|^nginx|^elastic|^redis|exporter|backup|fixer")
_DATABASES = ("db", "postgres", "postgresql", "database", "pg", "pgsql", "sql")
_COPIES = frozenset(("replica", "slave", "standby", "readonly", "test", "tests", "ci", "secondary", "staging", "old"))
_HOST_KEY = re.compile(r"(^|_)(database|db|postgres|postgresql|pg|sql)_?(url|host|hostname|server|address|dsn)?$"
                       r"|DATABASE_URL|_DSN$|DBHOST", re.IGNORECASE)  # fmt: skip
_DJANGO = re.compile(r"^DJANGO_|^ALLOWED_HOSTS$|django\.db\.backends|^SECRET_KEY$")
_MEDIA_KEY = re.compile(r"(^|_)(MEDIA_ROOT|MEDIA_DIR|MEDIA_PATH|UPLOADS?_(DIR|ROOT|PATH))$")
_MEDIA_NAME = re.compile(r"^(media|mediafiles|media[-_]?(files|root|data|volume)|(public|user|site)[-_]?media|medias"
                         r"|uploads?|uploaded([-_]?files)?|user[-_]?uploads|file[-_]?uploads|attachments|system)$",
                         re.IGNORECASE)  # fmt: skip
_MEDIA_SOURCE = re.compile(r"(^|[-_./])(media|mediafiles|uploads?|uploaded)($|[-_./])", re.IGNORECASE)
_NO_MEDIA = re.compile(
    r"static|config|conf$|\bconf\.d|settings|logs?$|/log/|cache|tmp|backups?|dumps?|socket|\.sock$|/run/|/etc/|node_modules"
    r"|fixtures|locale|certs?|ssl|secrets?|scripts|reports|consume|export|templates|/src$|venv|pip|\.(py|conf|ya?ml|"
    r"toml|env|json|ini|sh|txt|crt|key|pem)$|entrypoint|localtime|timezone|sqlite|index|search|initdb",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ServiceChoice:
    """The chosen service, and equally good others; with `open` no rule decides between them."""

    service: ServiceText | None
    others: tuple[str, ...] = ()
    open: bool = False


@dataclass(frozen=True)
class MediaChoice:
    """The media directory inside the backend's container; `guessed` if it is the only possible directory."""

    directory: str
    guessed: bool = False


def database_candidates(services: Mapping[str, ServiceText]) -> tuple[ServiceText, ...]:
    """Return the services that are a PostgreSQL server: by their image, its build, or where they keep data."""
    return tuple(one for one in services.values() if _is_database(one))


def choose_backend(services: Mapping[str, ServiceText], databases: Iterable[ServiceText]) -> ServiceChoice:
    """Return the service that runs Django: by command, build, name, variables; workers and proxies are none."""
    servers = tuple(databases)
    scores = {one.name: _backend_score(one, services, servers) for one in services.values() if one not in servers}
    best = max(scores.values(), default=0)
    if best <= 1:
        return ServiceChoice(None)
    leading = [services[name] for name, score in scores.items() if score == best]
    chosen = min(leading, key=lambda one: _place(one.name, _BACKENDS))
    return ServiceChoice(chosen, tuple(one.name for one in leading if one is not chosen))


def choose_database(
    services: Mapping[str, ServiceText], candidates: tuple[ServiceText, ...], backend: ServiceText | None
) -> ServiceChoice:
    """Return the server that the backend uses; where several are as good by every rule, the choice is open."""
    if not candidates:
        return ServiceChoice(None)
    ranks = {one.name: _database_rank(one, services, backend) for one in candidates}
    best = max(ranks.values())
    leading = [one for one in candidates if ranks[one.name] == best]
    others = tuple(one.name for one in candidates if one is not leading[0])
    return ServiceChoice(leading[0], others, open=len(leading) > 1)


def choose_media(
    backend: ServiceText, services: Mapping[str, ServiceText], names: Iterable[str] = ()
) -> MediaChoice | None:
    """Return the media directory inside the backend's container, None if no rule finds it.

    `names` are the last parts of MEDIA_ROOT in the site's settings, if they could be read.
    """
    if place := _stated_media(backend, tuple(names)):
        return MediaChoice(place)
    mounts = [one for one in backend.volumes if one.target.startswith("/")]
    named = [one for one in mounts if _MEDIA_NAME.search(PurePosixPath(one.target).name)]
    named += [one for one in mounts if one not in named and _MEDIA_SOURCE.search(one.source)
              and not _NO_MEDIA.search(one.target)]  # fmt: skip
    if named:
        return MediaChoice(_plain(min(named, key=lambda one: one.read_only).target))
    left = [one for one in mounts if not one.read_only and one.target not in backend.code and _could_be_media(one)]
    shared = [one for one in left if any(_mounts(other, one) for other in services.values() if other is not backend)]
    for group in (shared, left):
        if len({_plain(one.target) for one in group}) == 1:
            return MediaChoice(_plain(group[0].target), guessed=True)
    return None


def silent_writers(
    services: Mapping[str, ServiceText], database: ServiceText, backend: ServiceText, media: str | None
) -> tuple[str, ...]:
    """Return all services that write, if some of them cannot be recognised from the project, else none.

    A restore stops the services that depend on the database or can write to the media. A service that names the
    database in its variables alone, and runs the backend's image or is a worker, is not among these.
    """
    known = {database.name}
    while more := {one.name for one in services.values() if one.depends_on & known} - known:
        known |= more
    known |= {one.name for one in services.values() if _writes_media(one, media)}
    silent = {
        one.name
        for one in services.values()
        if one.name not in known and _mention(one, database) and (_same_code(one, backend) or is_worker(one))
    }
    everyone = (known | silent) - {database.name}
    return tuple(name for name in services if name in everyone) if silent else ()


def is_worker(one: ServiceText) -> bool:
    """Return whether a service works in the background: celery, rq, huey, dramatiq, a scheduler, a cron."""
    return bool(_WORKS.search(one.command)) or any("worker" in word or "beat" in word for word in _tokens(one.name))


def image_of(one: ServiceText) -> str:
    """Return the image whose rules a database service follows: its own, else the image that it is built from."""
    return one.base if is_server(one.base) and not is_server(one.image) else one.image


def _is_database(one: ServiceText) -> bool:
    if is_other_program(one.image) or _serves(one):
        return False
    if is_server(one.image) or is_server(one.base):
        return True
    holds = any(not volume.read_only and volume.target.startswith(DATA_DIRECTORIES) for volume in one.volumes)
    built = one.build and not one.base and is_server(one.dockerfile.rpartition("/")[0] or one.context)
    return holds or (built and any(word in _DATABASES for word in _tokens(one.name)))


def _serves(one: ServiceText) -> bool:
    return bool(_SERVES.search(one.command or one.program))


def _backend_score(one: ServiceText, services: Mapping[str, ServiceText], databases: tuple[ServiceText, ...]) -> int:
    if _is_beside(one):
        return 0
    needed = _needs(one, services)
    variables = [*one.environment, *one.environment.values()]
    return sum((
        4 * _serves(one),
        3 * ("manage.py" in one.command or one.manage),
        2 * any(word in _BACKENDS for word in _tokens(one.name)),
        2 * any(_DJANGO.search(word) for word in variables),
        2 * any(server.name in one.depends_on or bool(_mention(one, server)) for server in databases),
        any(server.name in needed for server in databases),
        any(_MEDIA_NAME.search(PurePosixPath(volume.target).name) for volume in one.volumes if not volume.read_only),
        one.build,
    ))  # fmt: skip


def _is_beside(one: ServiceText) -> bool:
    """Return whether a service is none that runs the site: a worker, a proxy, a cache, a front end."""
    if _serves(one) and not re.search(r"celery|flower", one.command, re.IGNORECASE):
        return False
    image = re.sub(r"[:@].*", "", one.image.rsplit("/", 1)[-1])
    words = (*_tokens(one.name), *_tokens(image))
    programs = any(word in _PROGRAMS or _BESIDE_PART.search(word) for word in words)
    return programs or not _TASKS.isdisjoint(_tokens(one.name)) or bool(_WORKS.search(one.command))


def _database_rank(
    one: ServiceText, services: Mapping[str, ServiceText], backend: ServiceText | None
) -> tuple[int, ...]:
    words = _tokens(one.name)
    copy = any(word in _COPIES for word in words)
    name = len(_DATABASES) - min((_place(word, _DATABASES) for word in words), default=len(_DATABASES))
    official = bool(re.search(r"(^|/)postgres(:|@|$)", one.image))
    if backend is None:
        used = sum(one.name in other.depends_on for other in services.values())
        return (0, 0, 0, int(not copy), int(bool(used)), int(name > 0), int(official))
    return (
        _mention(backend, one),
        int(one.name in backend.depends_on),
        int(one.name in _needs(backend, services)),
        int(not copy),
        0,
        int(name > 0),
        0,
    )


def _mention(one: ServiceText, server: ServiceText) -> int:
    """Return 2 when a variable that is the database's address names `server`, 1 when another variable does, else 0."""
    hosts = "|".join(re.escape(host) for host in {server.name, *server.hosts})
    named = re.compile(rf"^(?:{hosts})(?::\d+)?$|[@/](?:{hosts})[:/?]|['\"]HOST['\"]\s*:\s*['\"](?:{hosts})['\"]"
                       rf"|\bhost=(?:{hosts})\b")  # fmt: skip
    keys = [key for key, value in one.environment.items() if named.search(value)]
    return 2 if any(_HOST_KEY.search(key) for key in keys) else int(bool(keys))


def _needs(one: ServiceText, services: Mapping[str, ServiceText]) -> set[str]:
    """Return the services that `one` depends on, directly or through others."""
    found: set[str] = set()
    todo = set(one.depends_on)
    while todo:
        name = todo.pop()
        found.add(name)
        todo |= (services[name].depends_on if name in services else frozenset()) - found
    return found


def _stated_media(backend: ServiceText, names: tuple[str, ...]) -> str | None:
    """Return the directory that a variable of the backend, or the settings' own words, name; it lies in a mount."""
    targets = [_plain(one.target) for one in backend.volumes if one.target.startswith("/")]
    for key, value in backend.environment.items():
        path = _plain(value)
        if _MEDIA_KEY.search(key) and any(path == one or path.startswith(f"{one}/") for one in targets):
            return path
    return next((one for name in names for one in targets if PurePosixPath(one).name == name), None)


def _could_be_media(volume: Volume) -> bool:
    code = volume.source in (".", "./", "..", "../", "../..") or _plain(volume.target) in ("/app", "/code", "/src")
    return not code and not _NO_MEDIA.search(volume.target) and not _NO_MEDIA.search(volume.source.rsplit("/", 1)[-1])


def _mounts(other: ServiceText, volume: Volume) -> bool:
    return bool(volume.source) and any(one.source == volume.source for one in other.volumes)


def _writes_media(one: ServiceText, media: str | None) -> bool:
    return any(_plain(volume.target) == media and not volume.read_only for volume in one.volumes)


def _same_code(one: ServiceText, backend: ServiceText) -> bool:
    image = bool(one.image) and one.image == backend.image
    return image or (bool(one.context) and (one.context, one.dockerfile) == (backend.context, backend.dockerfile))


def _plain(path: str) -> str:
    return path.rstrip("/") or path


def _tokens(name: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[^a-z]+", name.lower()) if word)


def _place(name: str, order: tuple[str, ...]) -> int:
    words = (name, *_tokens(name))
    return min((order.index(word) for word in words if word in order), default=len(order))
