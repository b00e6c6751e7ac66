"""The document of a private Compose project: the site's own services, without a way to the site or out of the machine.

A service keeps only the keys in `_KEPT`. All else that a Compose file can say is left out: ports, labels that a proxy
on this machine reads, networks, devices, restart policies, the volumes of the site.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from korrigo_backup.compose.private_mounts import Fresh, PrivateOptions, private_mounts
from korrigo_backup.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PLACE_LABEL = "korrigo-backup.place"
"""The label of all that belongs to a private project; its value is the name of that project."""

SITE_LABEL = "korrigo-backup.place-of"
"""The label beside it; its value is the name of the site's own project."""

_KEPT = frozenset({
    "command", "configs", "entrypoint", "environment", "group_add", "healthcheck", "init", "platform", "read_only",
    "secrets", "shm_size", "stop_grace_period", "stop_signal", "sysctls", "tmpfs", "tty", "ulimits", "user",
    "working_dir",
})  # fmt: skip

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
    fresh = Fresh.of(services, options)
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
    fresh: Fresh,
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
        "volumes": list(private_mounts(name, body, options, fresh)),
    }
    if options.code and (name == options.backend or image == options.images.get(options.backend)):
        made["volumes"] = options.code.mounted(made["volumes"], options.is_file)
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
