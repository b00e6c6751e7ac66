"""Compose files read as text, where no engine has to be there: which services they name, and what these are.

Only what is written is known: an `include` or an `extends` is not followed. What a running project says wins over this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from korrigo_backup.errors import UsageError
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_LARGEST = 1024 * 1024
"""Bytes; a hundred services take a tenth."""

_LOOPBACK = ("", "0.0.0.0", "127.0.0.1")  # noqa: S104 - read, not bound to
_HOST_PUBLISHED_TARGET = 3
"""Parts of a port that is published."""

_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::?(?P<kind>[-?+])(?P<word>[^{}]*))?\}|(?P<plain>\w+)|(?P<dollar>\$))")


@dataclass(frozen=True)
class Volume:
    """A mount of a service as it is written: `source` is a volume's name or a path, "" for an anonymous one."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class ServiceText:
    """One service. Values of `environment` may be secrets: they are never shown.

    `ports` says under which port of this machine each port of the container is reached; `health` is the command of
    the health check.
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


@dataclass(frozen=True)
class ComposeText:
    """What the files of a project say together; of two that name a service, the later one's words are added.

    `secret_files` are those that `secrets:` and `configs:` take their values from.
    """

    project: str | None
    services: Mapping[str, ServiceText]
    secret_files: tuple[str, ...] = ()

    @property
    def settings_files(self) -> tuple[str, ...]:
        """The files that hold settings of the services, as written: relative to the directory of the first file."""
        named = [path for service in self.services.values() for path in service.env_files]
        return tuple(dict.fromkeys((*named, *self.secret_files)))


def read(files: Iterable[Path], environment: Mapping[str, str]) -> ComposeText:
    """Return what `files` say, with variables filled from `environment` as Compose fills them.

    Raises UsageError for a file that is no YAML, or in which services are not what they should be.
    """
    project: str | None = None
    services: dict[str, ServiceText] = {}
    secret_files: list[str] = []
    for path in files:
        document = _loaded(path)
        name = document.get("name")
        project = filled(name, environment) if isinstance(name, str) else project
        for service in _services(document, path, environment):
            services[service.name] = _merged(services.get(service.name), service)
        for section in ("secrets", "configs"):
            secret_files += _secret_files(document.get(section), environment)
    return ComposeText(project, services, tuple(secret_files))


def filled(text: str, environment: Mapping[str, str]) -> str:
    """Return `text` with `$NAME`, `${NAME}`, `${NAME:-word}`, `${NAME:?why}`, `${NAME:+word}` filled; `$$` is `$`."""

    def one(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        value = environment.get(match["braced"] or match["plain"], "")
        if match["kind"] == "+":
            return match["word"] if value else ""
        return value or (match["word"] if match["kind"] == "-" else "")

    return _VARIABLE.sub(one, text)


def _loaded(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - a library for two verbs, not to be loaded by all

    loader: Any = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("!", _untagged)  # Compose's own !reset and !override
    try:
        with explained(f"read {path}"), path.open("rb") as file:
            document = yaml.load(file.read(_LARGEST), Loader=loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(  # its words may quote the file, in which secrets stand
            f"{path}{where}: not valid YAML", hint="docker compose config names the mistake"
        ) from None
    if not isinstance(document, dict):
        raise UsageError(f"{path} is not a Compose file: there is no `services:` in it", hint="name the right one")
    return document


def _untagged(loader: Any, suffix: str, node: Any) -> Any:
    del suffix
    if node.id == "mapping":
        return loader.construct_mapping(node, deep=True)
    return loader.construct_sequence(node, deep=True) if node.id == "sequence" else None


def _services(document: dict[str, Any], path: Path, environment: Mapping[str, str]) -> Iterator[ServiceText]:
    services = document.get("services") or {}
    if not isinstance(services, dict):
        raise UsageError(
            f"{path}: `services` is not a mapping of names", hint="docker compose config names the mistake"
        )
    for name, body in services.items():
        if not isinstance(body, dict):
            raise UsageError(f"{path}: the service {name!s:.60} is not a mapping", hint="docker compose config")
        yield ServiceText(
            name=_scalar(name),
            image=filled(_scalar(body.get("image")), environment),
            command=" ".join(_words(body.get("command"))),
            build="build" in body,
            volumes=tuple(_volumes(body.get("volumes"), environment)),
            environment=dict(_variables(body.get("environment"), environment)),
            env_files=tuple(_paths(body.get("env_file"), environment)),
            depends_on=frozenset(_words(body.get("depends_on"))),
            ports=dict(_ports(body.get("ports"), environment)),
            health=_health(body.get("healthcheck")),
        )


def _secret_files(value: Any, environment: Mapping[str, str]) -> Iterator[str]:
    for body in value.values() if isinstance(value, dict) else []:
        if isinstance(body, dict):
            yield from _paths(body.get("file"), environment)


def _scalar(value: Any) -> str:
    """Return a value as text; of what is no scalar nothing, for it may be as deep as its aliases make it."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [_scalar(word) for word in value] if isinstance(value, (list, dict)) else []


def _volumes(value: Any, environment: Mapping[str, str]) -> Iterator[Volume]:
    for entry in value if isinstance(value, list) else []:
        if isinstance(entry, dict):
            source, target = _scalar(entry.get("source")), _scalar(entry.get("target"))
            yield Volume(filled(source, environment), filled(target, environment), entry.get("read_only") is True)
        else:
            parts = filled(_scalar(entry), environment).split(":")
            source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
            yield Volume(source, target, "ro" in ",".join(parts[2:]).split(","))


def _ports(value: Any, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the ports of the container that this machine's loopback answers for, each with its number here."""
    for entry in value if isinstance(value, list) else []:
        if isinstance(entry, dict):
            parts = [_scalar(entry.get(key)) for key in ("host_ip", "published", "target")]
        else:
            parts = ["", *filled(_scalar(entry), environment).partition("/")[0].split(":")][-3:]
        if len(parts) == _HOST_PUBLISHED_TARGET and parts[0] in _LOOPBACK and parts[1].isdecimal():
            yield parts[2], parts[1]


def _health(value: Any) -> str:
    return " ".join(_words(value.get("test"))) if isinstance(value, dict) else ""


def _variables(value: Any, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    pairs = value.items() if isinstance(value, dict) else [_pair(line) for line in _words(value)]
    for name, given in pairs:
        text = environment.get(_scalar(name), "") if given is None else filled(_scalar(given), environment)
        yield _scalar(name), text


def _pair(line: str) -> tuple[str, str | None]:
    name, equals, value = line.partition("=")
    return name, value if equals else None


def _paths(value: Any, environment: Mapping[str, str]) -> Iterator[str]:
    for entry in value if isinstance(value, list) else [value]:
        path = entry.get("path") if isinstance(entry, dict) else entry
        if isinstance(path, str):
            yield filled(path, environment)


def _merged(earlier: ServiceText | None, later: ServiceText) -> ServiceText:
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
    )
