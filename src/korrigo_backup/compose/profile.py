"""The needs of a Compose project on its machine, as Compose itself reads its files: `docker compose config`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from korrigo_backup.compose.file import images_written
from korrigo_backup.compose.running import resolved
from korrigo_backup.system.dotenv import read_dotenv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from korrigo_backup.compose.project import Project

_DEFAULT_REGISTRY = "docker.io"

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)[^}]*\}|\$(?P<plain>\w+)")


class _Mount(msgspec.Struct, frozen=True):
    type: str = "volume"
    source: str = ""
    target: str = ""
    read_only: bool = False


class _Service(msgspec.Struct, frozen=True):
    image: str | None = None
    build: Any = None
    volumes: tuple[_Mount, ...] = ()
    profiles: tuple[str, ...] | None = None


class _Outside(msgspec.Struct, frozen=True):
    """A network or a volume."""

    name: str = ""
    external: bool = False
    driver_opts: dict[str, str] | None = None


class _Document(msgspec.Struct, frozen=True):
    services: dict[str, _Service] = {}
    networks: dict[str, _Outside] = {}
    volumes: dict[str, _Outside] = {}


@dataclass(frozen=True)
class Bind:
    """A path of this machine that services mount, also as a volume that lies there.

    `writable` if a service may write there.
    """

    path: Path
    services: tuple[str, ...]
    writable: bool


@dataclass(frozen=True)
class Profile:
    """The machine that a project's files describe.

    `networks` and `volumes` are the names of those that Compose expects to be there. `images` has the image of each
    service that has no build.
    """

    binds: tuple[Bind, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)

    @property
    def registries(self) -> tuple[str, ...]:
        """The registries other than Docker Hub from which the images come."""
        found = {registry_of(image) for image in self.images.values()}
        return tuple(sorted(found - {_DEFAULT_REGISTRY}))


def profile(project: Project) -> Profile | None:
    """Return the needs of the project, None if Compose gives no answer: no Compose, or a file that is missing."""
    document = resolved(project)
    if document is None:
        return None
    try:
        found = msgspec.convert(document, _Document)
    except msgspec.ValidationError:
        return None
    return Profile(
        binds=tuple(_binds(found)),
        networks=_external(found.networks),
        volumes=_external(found.volumes),
        images={name: one.image for name, one in sorted(found.services.items()) if one.image and not one.build},
    )


def registry_of(image: str) -> str:
    """Return the registry in an image's name: its first part, where that has a dot or a port, or is localhost."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else _DEFAULT_REGISTRY


def variables_of(project: Project, running: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the files that select the images that run, given the image of each service.

    A variable that was set in a shell when the containers were made stands in no file. Its value follows from the name
    of the image, if that fits the text in the file in a single way. Variables that have this value here are left out.
    """
    variables: dict[str, str] = {}
    for name, written in images_written(project.files).items():
        if name in running:
            variables |= _variables(written, running[name])
    settings = project.env_file or (project.files[0].parent / ".env" if project.files else None)
    known = {**(read_dotenv(settings) if settings and settings.is_file() else {}), **project.environment}
    return {name: value for name, value in variables.items() if known.get(name) != value}


def _variables(written: str, image: str) -> dict[str, str]:
    longest, shortest = (re.fullmatch(_pattern(written, some), image) for some in (".*", ".*?"))
    if longest is None or shortest is None or longest.groupdict() != shortest.groupdict():
        return {}
    return longest.groupdict()


def _pattern(written: str, some: str) -> str:
    """Return the expression that a text with variables in it is, each a group that takes `some` characters."""
    pattern, at, names = "", 0, set[str]()
    for found in _VARIABLE.finditer(written):
        name = found["name"] or found["plain"]
        pattern += re.escape(written[at : found.start()])
        pattern += f"(?P={name})" if name in names else f"(?P<{name}>{some})"
        names.add(name)
        at = found.end()
    return pattern + re.escape(written[at:])


def _binds(found: _Document) -> Iterator[Bind]:
    devices = {key: place for key, one in found.volumes.items() if (place := _device(one))}
    mounted: dict[str, list[tuple[str, bool]]] = {}
    for name, one in found.services.items():
        for mount in one.volumes:
            source = mount.source if mount.type == "bind" else devices.get(mount.source)
            if source:
                mounted.setdefault(source, []).append((name, not mount.read_only))
    for source, users in sorted(mounted.items()):
        names = tuple(sorted({name for name, _ in users}))
        yield Bind(Path(source), names, any(writable for _, writable in users))


def _device(volume: _Outside) -> str | None:
    """Return the directory that a volume of the local driver lies in, None for a volume that the engine keeps."""
    options = volume.driver_opts or {}
    return options.get("device") if "bind" in options.get("o", "").split(",") else None


def _external(named: Mapping[str, _Outside]) -> tuple[str, ...]:
    return tuple(sorted({one.name or key for key, one in named.items() if one.external}))
