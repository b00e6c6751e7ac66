"""The document of a private Compose project: the site's own services, without a way to the site or out of the machine.

A service keeps only the keys in `_KEPT`. All else that a Compose file can say is left out: ports, labels that a proxy
on this machine reads, networks, devices, restart policies, the volumes of the site.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from korrigo_backup.compose.postgres_images import DATA_DIRECTORIES
from korrigo_backup.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

PLACE_LABEL = "korrigo-backup.place"
"""The label of all that belongs to a private project; its value is the name of that project."""

SITE_LABEL = "korrigo-backup.place-of"
"""The label beside it; its value is the name of the site's own project."""

_KEPT = frozenset({
    "command", "configs", "entrypoint", "environment", "group_add", "healthcheck", "init", "platform", "read_only",
    "secrets", "shm_size", "stop_grace_period", "stop_signal", "sysctls", "tmpfs", "tty", "ulimits", "user",
    "working_dir",
})  # fmt: skip

_SYSTEM = ("/dev", "/proc", "/run", "/sys", "/var/run")
"""Directories of this machine with sockets and devices: a container that has them reaches the engine."""

_DONE = "service_completed_successfully"
"""The condition of a service that does its work once, before the service that depends on it."""

_HOST = re.compile(r"^[\w.-]+$")

_CUT_OFF = {
    "EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
    "DJANGO_EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
    "EMAIL_HOST": "127.0.0.1",
    "EMAIL_URL": "dummymail://",
    "SENTRY_DSN": "",
}
_BROKERS = ("BROKER_URL", "CELERY_BROKER", "CELERY_RESULT_BACKEND")
_NO_BROKER = "memory://"

MEMORY = "2g"
_PROCESSES = 1024


@dataclass(frozen=True)
class PrivateOptions:
    """The choices for a private project.

    `database` and `backend` are services of the site, `others` the services that are wanted besides those that the
    backend needs. `media` is the directory of the media in the backend's container, None for a site without media.
    `images` are the images that run now, by service. With `media_read_only` no service writes to the media. `is_code`
    returns whether a directory of this machine holds code, `is_file` whether a path there is a file.
    """

    name: str
    database: str
    backend: str
    media: str | None
    images: Mapping[str, str]
    is_code: Callable[[str], bool]
    is_file: Callable[[str], bool]
    others: tuple[str, ...] = ()
    media_read_only: bool = False


@dataclass
class _Fresh:
    """The volumes of the private project: a volume for each source of data that the site mounts."""

    data: frozenset[str]
    """The directories of this machine that services of the site write to."""
    media: str
    """The directory of this machine that holds the media, "" if they are in a volume."""
    keys: dict[str, str] = field(default_factory=dict)

    def key(self, source: str) -> str:
        """Return the key of the fresh volume that stands for a source."""
        return self.keys.setdefault(source, f"fresh-{len(self.keys)}")

    def is_data(self, source: str) -> bool:
        """Return whether a path is, holds or lies in a directory that the site writes to."""
        path = PurePosixPath(source)
        return any(path.is_relative_to(one) or PurePosixPath(one).is_relative_to(path) for one in self.data)


def private_document(document: Mapping[str, Any], options: PrivateOptions) -> dict[str, Any]:
    """Return the document of the private project, from the output of `docker compose config --format json`.

    Raises Refused if the document lacks the database or the backend.
    """
    services: dict[str, dict[str, Any]] = document.get("services") or {}
    for name in (options.database, options.backend):
        if name not in services:
            raise Refused(
                f"the Compose files have no service {name}",
                hint="correct [compose] db and backend in the configuration",
            )
    kept = needed_services(services, options)
    media = _media_source(services[options.backend], options)
    fresh = _Fresh(frozenset((*_written(services, options), *filter(None, (media,)))), media)
    labels = {PLACE_LABEL: options.name, SITE_LABEL: str(document.get("name", ""))}
    bodies = {name: _service(name, services, kept, options, fresh) | {"labels": labels} for name in kept}
    made = {
        "name": options.name,
        "services": bodies,
        "networks": {"default": {"internal": True, "labels": labels}},
        "volumes": {key: {"labels": labels} for key in sorted(fresh.keys.values())},
    }
    for section in ("secrets", "configs"):
        used = {one["source"] for body in bodies.values() for one in body.get(section) or () if "source" in one}
        made[section] = {key: one for key, one in (document.get(section) or {}).items() if key in used}
    return made


def needed_services(services: Mapping[str, dict[str, Any]], options: PrivateOptions) -> tuple[str, ...]:
    """Return the services of the private project, each after those that it depends on.

    These are the database, the backend, the services that the backend depends on or names in its environment, and the
    wanted others. Services of the backend's image send and schedule; only one that ends before the backend starts is
    kept, because it prepares the backend.
    """
    image = _image(options.backend, services[options.backend], options)
    ordered: list[str] = []

    def add(name: str, *, wanted: bool) -> None:
        if name in ordered or name not in services:
            return
        if not wanted and _image(name, services[name], options) == image:
            return
        for other, condition in _needs(name, services):
            if other != name:
                add(other, wanted=condition == _DONE or other in {options.database, options.backend})
        if name not in ordered:
            ordered.append(name)

    for name in (options.database, options.backend, *options.others):
        add(name, wanted=True)
    return tuple(ordered)


def tasks(document: Mapping[str, Any], backend: str) -> tuple[str, ...]:
    """Return the services that are to end with success before the backend starts."""
    body = (document.get("services") or {}).get(backend) or {}
    return tuple(name for name, condition in _depends(body) if condition == _DONE)


def entrances(document: Mapping[str, Any], backend: str, images: Mapping[str, str]) -> tuple[str, ...]:
    """Return the services through which visitors reach the backend: they publish a port and depend on it."""
    services: dict[str, dict[str, Any]] = document.get("services") or {}
    own = images.get(backend)
    return tuple(
        name
        for name, body in services.items()
        if name != backend
        and inner_ports(document, name)
        and any(other == backend for other, _ in _depends(body))
        and (own is None or images.get(name) != own)
    )


def inner_ports(document: Mapping[str, Any], service: str) -> tuple[int, ...]:
    """Return the TCP ports that a service of the site publishes or exposes, as its container has them."""
    body = (document.get("services") or {}).get(service) or {}
    found = [one.get("target") for one in body.get("ports") or () if one.get("protocol", "tcp") == "tcp"]
    found += [int(text) for one in body.get("expose") or () if (text := str(one).partition("/")[0]).isdecimal()]
    return tuple(dict.fromkeys(port for port in found if isinstance(port, int)))


def _needs(name: str, services: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the services that a service depends on, then those that its environment names as a host."""
    body = services[name]
    yield from _depends(body)
    hosts = {host: other for other, one in services.items() for host in _names(other, one)}
    for value in (body.get("environment") or {}).values():
        if value is not None and (other := hosts.get(_host(str(value)))):
            yield other, ""


def _depends(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, how in (body.get("depends_on") or {}).items():
        yield name, str((how or {}).get("condition", ""))
    for link in body.get("links") or ():
        yield str(link).partition(":")[0], ""


def _host(value: str) -> str:
    """Return the host in an address, or a value that may be a host; "" for another value."""
    if "://" in value:
        try:
            return urlsplit(value).hostname or ""
        except ValueError:
            return ""
    return value.partition(":")[0] if _HOST.match(value.partition(":")[0]) else ""


def _names(name: str, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names by which other services of the site reach a service."""
    yield name
    for key in ("container_name", "hostname"):
        if body.get(key):
            yield str(body[key])
    networks = body.get("networks")
    for network in networks.values() if isinstance(networks, dict) else ():
        yield from map(str, (network or {}).get("aliases") or ())


def _image(name: str, body: Mapping[str, Any], options: PrivateOptions) -> str:
    return options.images.get(name) or str(body.get("image") or body.get("build") or name)


def _service(
    name: str,
    services: Mapping[str, dict[str, Any]],
    kept: Iterable[str],
    options: PrivateOptions,
    fresh: _Fresh,
) -> dict[str, Any]:
    body = services[name]
    made = {key: value for key, value in body.items() if key in _KEPT and value is not None}
    image = options.images.get(name) or body.get("image")
    if not image:
        raise Refused(
            f"the image of the service {name} is unknown: it has no container, and the Compose files name no image",
            hint="start the site once (docker compose up -d), or name the image in the Compose file",
        )
    linked = {
        alias for other in kept for link in services[other].get("links") or () if (alias := _alias(str(link), name))
    }
    aliases = sorted({*_names(name, body), *linked} - {name})
    made |= {
        "image": image,
        "pull_policy": "never",
        "restart": "no",
        "networks": {"default": {"aliases": aliases} if aliases else None},
        "dns": ["127.0.0.1"],
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "2"}},
        "mem_limit": _memory(body),
        "cpu_shares": 256,
        "pids_limit": _PROCESSES,
        "oom_score_adj": 500,
        "volumes": list(_mounts(name, body, options, fresh)),
    }
    if name != options.database:
        made["environment"] = _environment(body, services, kept, options)
    return made


def _alias(link: str, name: str) -> str:
    service, _, alias = link.partition(":")
    return alias if service == name else ""


def _memory(body: Mapping[str, Any]) -> Any:
    limits = ((body.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    return body.get("mem_limit") or limits.get("memory") or MEMORY


def _environment(
    body: Mapping[str, Any],
    services: Mapping[str, dict[str, Any]],
    kept: Iterable[str],
    options: PrivateOptions,
) -> dict[str, Any]:
    """Return the environment without a way to mail servers and brokers; it names the place, so that a site can see it.

    A broker that is a service of the private project is used: there nobody takes the tasks.
    """
    here = {host for name in kept for host in _names(name, services[name])}
    made = {key: value for key, value in (body.get("environment") or {}).items() if value is not None}
    for key, value in made.items():
        if any(word in key for word in _BROKERS) and _host(str(value)) not in here:
            made[key] = _NO_BROKER
        if key.endswith("ALLOWED_HOSTS") and value:
            made[key] = f"{value},localhost,127.0.0.1"
    return {**made, **_CUT_OFF, "KORRIGO_BACKUP_PLACE": options.name}


def _written(services: Mapping[str, dict[str, Any]], options: PrivateOptions) -> Iterator[str]:
    """Yield the directories of this machine that services of the site write to, as far as they are no code."""
    for body in services.values():
        for mount in body.get("volumes") or ():
            source = str(mount.get("source") or "")
            if mount.get("type") != "bind" or mount.get("read_only") or not source or options.is_file(source):
                continue
            if not options.is_code(source):
                yield source


def _media_source(body: Mapping[str, Any], options: PrivateOptions) -> str:
    """Return the directory of this machine that holds the media of the site, "" if they are in a volume."""
    media = PurePosixPath(options.media or "/")
    holding = [one for one in body.get("volumes") or () if media.is_relative_to(one.get("target") or "/")]
    nearest = max(holding, key=lambda one: len(PurePosixPath(one["target"]).parts), default=None)
    if options.media is None or nearest is None or nearest.get("type") != "bind":
        return ""
    return str(PurePosixPath(nearest["source"]) / media.relative_to(nearest["target"]))


def _mounts(name: str, body: Mapping[str, Any], options: PrivateOptions, fresh: _Fresh) -> Iterator[dict[str, Any]]:
    """Yield the mounts of a service: code and settings read-only, a fresh volume for all data."""
    media = options.media if name == options.backend else None
    held = False
    for mount in body.get("volumes") or ():
        made = _mount(mount, options, fresh, is_database=name == options.database)
        if made is None:
            continue
        if media and made["type"] == "volume" and PurePosixPath(media).is_relative_to(made["target"]):
            held = True
        yield _without_writing(made, options)
    if media and not held:
        yield _without_writing(
            {"type": "volume", "source": fresh.key(fresh.media or "media"), "target": media}, options
        )


def _without_writing(mount: dict[str, Any], options: PrivateOptions) -> dict[str, Any]:
    holds = bool(options.media) and PurePosixPath(options.media or "").is_relative_to(mount["target"])
    return {**mount, "read_only": True} if options.media_read_only and holds else mount


def _mount(
    mount: Mapping[str, Any], options: PrivateOptions, fresh: _Fresh, *, is_database: bool
) -> dict[str, Any] | None:
    source, target = str(mount.get("source") or ""), str(mount.get("target") or "")
    read_only = {"read_only": True} if mount.get("read_only") else {}
    match mount.get("type"):
        case "tmpfs":
            return {"type": "tmpfs", "target": target}
        case "volume":
            return {"type": "volume", "source": fresh.key(f"volume {source or target}"), "target": target, **read_only}
        case "bind":
            path = PurePosixPath(source)
            if source == "/" or any(path.is_relative_to(one) for one in _SYSTEM):
                return None
            is_data = is_database and any(PurePosixPath(target).is_relative_to(one) for one in DATA_DIRECTORIES)
            if is_data or _is_data(source, options, fresh):
                return {"type": "volume", "source": fresh.key(source), "target": target, **read_only}
            return {"type": "bind", "source": source, "target": target, "read_only": True}
        case _:
            return None


def _is_data(source: str, options: PrivateOptions, fresh: _Fresh) -> bool:
    if source == fresh.media:
        return True
    return not options.is_file(source) and not options.is_code(source) and fresh.is_data(source)
