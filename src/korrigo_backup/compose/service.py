"""A service of a Compose file: its body, as YAML has it, becomes a record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from korrigo_backup.core.interpolation import interpolate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LOOPBACK = ("", "0.0.0.0", "127.0.0.1")  # noqa: S104 - read, not bound to
_HOST_PUBLISHED_TARGET = 3
"""Parts of a port that is published."""

_SECRETS = PurePosixPath("/run/secrets")


@dataclass(frozen=True)
class Volume:
    """A mount of a service as it is written: `source` is a volume's name or a path, "" for an anonymous volume."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class ServiceText:
    """A service. Values of `environment` may be secrets: they are never shown.

    `command` holds the entry point too. `context` and `dockerfile` are the places from which the image is built.
    `ports` maps ports of the container to those of this machine; `health` is the command of the health check. `secrets`
    names the secret that stands in each file of the container. `hosts` are the names that other services reach it by.
    `base`, `program`, `manage` and `code` come from the build context and the mounts (`compose_build`).
    """

    name: str
    image: str = ""
    command: str = ""
    build: bool = False
    volumes: tuple[Volume, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    env_files: tuple[str, ...] = ()
    depends_on: frozenset[str] = frozenset()
    ports: Mapping[str, str] = field(default_factory=dict)
    health: str = ""
    context: str = ""
    dockerfile: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)
    hosts: frozenset[str] = frozenset()
    profiles: tuple[str, ...] = ()
    base: str = ""
    program: str = ""
    manage: bool = False
    code: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Around:
    """The surroundings of a Compose file: the variables, and the directory that its paths begin at.

    `prefix` leads there from the directory of the project's first file; it is "." for the files of the project itself.
    """

    environment: Mapping[str, str] = field(repr=False)
    prefix: Path = Path()

    def fill(self, text: str) -> str:
        """Return `text` with its variables replaced; a variable without a value, also a required one, becomes ""."""
        return filled(text, self.environment)

    def path(self, text: str) -> str:
        """Return a path of the file as seen from the directory of the project's first file; `text` where it is that."""
        return text if self.prefix == Path() else str(self.prefix / text)


def filled(text: str, environment: Mapping[str, str]) -> str:
    """Return `text` with its variables replaced from `environment`; a missing variable becomes ""."""
    return interpolate(text, environment.get, strict=False).text


def service(name: str, body: dict[str, Any], around: Around) -> ServiceText:
    """Return the service `name` in `body`; a value of a wrong form is ignored."""
    context, dockerfile = _build(body.get("build"), around)
    words = (*_words(body.get("entrypoint")), *_words(body.get("command")))
    return ServiceText(
        name=name,
        image=around.fill(scalar(body.get("image"))),
        command=around.fill(" ".join(words)),
        build="build" in body,
        volumes=tuple(_volumes(body.get("volumes"), around)),
        environment=dict(_variables(body.get("environment"), around)),
        env_files=tuple(around.path(path) for path in paths(body.get("env_file"), around)),
        depends_on=frozenset((*_words(body.get("depends_on")), *_linked(body.get("links")))),
        ports=dict(_ports(body.get("ports"), around)),
        health=_health(body.get("healthcheck")),
        context=context,
        dockerfile=dockerfile,
        secrets=dict(_secrets(body.get("secrets"))),
        hosts=frozenset(_hosts(body, around)),
        profiles=tuple(around.fill(word) for word in _words(body.get("profiles"))),
    )


def merged(earlier: ServiceText | None, later: ServiceText) -> ServiceText:
    """Return the combined service of two files, or of a service and the service that it extends."""
    if earlier is None:
        return later
    volumes = {volume.target: volume for volume in (*earlier.volumes, *later.volumes)}
    return ServiceText(
        name=later.name,
        image=later.image or earlier.image,
        command=later.command or earlier.command,
        build=later.build or earlier.build,
        volumes=tuple(volumes.values()),
        environment={**earlier.environment, **later.environment},
        env_files=(*earlier.env_files, *later.env_files),
        depends_on=earlier.depends_on | later.depends_on,
        ports={**earlier.ports, **later.ports},
        health=later.health or earlier.health,
        context=later.context or earlier.context,
        dockerfile=later.dockerfile or earlier.dockerfile,
        secrets={**earlier.secrets, **later.secrets},
        hosts=earlier.hosts | later.hosts,
        profiles=later.profiles or earlier.profiles,
        base=later.base or earlier.base,
        program=later.program or earlier.program,
        manage=later.manage or earlier.manage,
        code=earlier.code | later.code,
    )


def scalar(value: Any) -> str:
    """Return a value as text, "" if it is no scalar: it may be as deep as its aliases make it."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def paths(value: Any, around: Around) -> Iterator[str]:
    """Yield the paths of a value that is a path, a list of paths, or of mappings with a `path`; as they are written."""
    for entry in value if isinstance(value, list) else [value]:
        path = entry.get("path") if isinstance(entry, dict) else entry
        if isinstance(path, str):
            yield around.fill(path)


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [scalar(word) for word in value] if isinstance(value, (list, dict)) else []


def _linked(value: Any) -> Iterator[str]:
    """Yield the services of `links`, which may have an alias behind a colon."""
    for word in _words(value):
        yield word.partition(":")[0]


def _hosts(body: dict[str, Any], around: Around) -> Iterator[str]:
    for key in ("container_name", "hostname"):
        if name := around.fill(scalar(body.get(key))):
            yield name
    networks = body.get("networks")
    for network in networks.values() if isinstance(networks, dict) else []:
        if isinstance(network, dict):
            yield from _words(network.get("aliases"))


def _build(value: Any, around: Around) -> tuple[str, str]:
    """Return the build context and the Dockerfile in it, "" if the image is not built from a directory."""
    given = value if isinstance(value, dict) else {"context": value}
    context = around.fill(scalar(given.get("context"))) or ("." if isinstance(value, dict) else "")
    return (around.path(context) if context else ""), around.fill(scalar(given.get("dockerfile")))


def _volumes(value: Any, around: Around) -> Iterator[Volume]:
    for entry in value if isinstance(value, list) else []:
        if isinstance(entry, dict):
            source, target = scalar(entry.get("source")), scalar(entry.get("target"))
            yield Volume(around.fill(source), around.fill(target), entry.get("read_only") is True)
        else:
            parts = around.fill(scalar(entry)).split(":")
            source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
            yield Volume(source, target, "ro" in ",".join(parts[2:]).split(","))


def _ports(value: Any, around: Around) -> Iterator[tuple[str, str]]:
    """Yield the ports of the container that this machine's loopback answers for, each with its number here."""
    for entry in value if isinstance(value, list) else []:
        if isinstance(entry, dict):
            parts = [scalar(entry.get(key)) for key in ("host_ip", "published", "target")]
        else:
            parts = ["", *around.fill(scalar(entry)).partition("/")[0].split(":")][-3:]
        if len(parts) == _HOST_PUBLISHED_TARGET and parts[0] in _LOOPBACK and parts[1].isdecimal():
            yield parts[2], parts[1]


def _health(value: Any) -> str:
    return " ".join(_words(value.get("test"))) if isinstance(value, dict) else ""


def _variables(value: Any, around: Around) -> Iterator[tuple[str, str]]:
    pairs = value.items() if isinstance(value, dict) else [_pair(line) for line in _words(value)]
    for name, given in pairs:
        key = scalar(name)
        yield key, around.environment.get(key, "") if given is None else around.fill(scalar(given))


def _pair(line: str) -> tuple[str, str | None]:
    name, equals, value = line.partition("=")
    return name, value if equals else None


def _secrets(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the file of each secret in the container, and the secret's name."""
    for entry in value if isinstance(value, list) else []:
        source = scalar(entry.get("source")) if isinstance(entry, dict) else scalar(entry)
        target = scalar(entry.get("target")) if isinstance(entry, dict) else ""
        yield str(_SECRETS / (target or source)), source
