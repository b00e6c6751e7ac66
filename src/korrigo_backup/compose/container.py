"""The containers of a Compose project, from the output of `docker inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LABEL = "com.docker.compose."
"""How the labels begin that Compose puts on all that it makes."""

_CHECK_EVERY = 30 * 10**9
_CHECK_RETRIES = 3
"""Docker's defaults of a health check: its interval and its timeout in nanoseconds, and failures until unhealthy."""

_SHELL = ("/bin/sh", "-c")
"""The shell of an image that names none."""

_NEVER = datetime(1, 1, 1, tzinfo=UTC)
"""The engine's time of a start that has not been."""


class ContainerMount(msgspec.Struct, frozen=True, rename="pascal"):
    """Where a container has a volume or a directory: `source` on the engine's machine, `destination` inside."""

    type: str
    source: str
    destination: str
    name: str = ""
    rw: bool = msgspec.field(default=True, name="RW")


class _Health(msgspec.Struct, frozen=True, rename="pascal"):
    status: str


class _State(msgspec.Struct, frozen=True, rename="pascal"):
    running: bool
    status: str
    started_at: datetime
    exit_code: int
    health: _Health | None = None


class _Check(msgspec.Struct, frozen=True, rename="pascal"):
    """Nanoseconds; 0 stands for the engine's default."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0

    @property
    def limit(self) -> float:
        """The seconds after which the engine itself calls a container unhealthy that never answered."""
        each = (self.interval or _CHECK_EVERY) + (self.timeout or _CHECK_EVERY)
        return (self.start_period + (self.retries or _CHECK_RETRIES) * each) / 1e9

    def command(self, shell: tuple[str, ...]) -> tuple[str, ...]:
        """Return the words that the engine runs in the container, with the image's shell for a script."""
        kind, *words = self.test or ("NONE",)
        if kind == "CMD-SHELL":
            return (*(shell or _SHELL), *words)
        return tuple(words) if kind == "CMD" else ()


class _ContainerConfig(msgspec.Struct, frozen=True, rename="pascal"):
    labels: dict[str, str]
    healthcheck: _Check | None = None
    image: str = ""
    shell: tuple[str, ...] | None = None


class _Binding(msgspec.Struct, frozen=True, rename="pascal"):
    host_ip: str = ""
    host_port: str = ""


class _Endpoint(msgspec.Struct, frozen=True, rename="pascal"):
    address: str = msgspec.field(default="", name="IPAddress")


class _ContainerNetwork(msgspec.Struct, frozen=True, rename="pascal"):
    ports: dict[str, tuple[_Binding, ...] | None] | None = None
    networks: dict[str, _Endpoint] | None = None


class _InspectedContainer(msgspec.Struct, frozen=True, rename="pascal"):
    id: str
    state: _State
    config: _ContainerConfig
    image: str = ""
    network_settings: _ContainerNetwork = _ContainerNetwork()
    mounts: tuple[ContainerMount, ...] = ()


@dataclass(frozen=True)
class Port:
    """A TCP port of a container that is published: address and number on the engine's machine, number `inside`."""

    host: str
    outside: int
    inside: int


@dataclass(frozen=True)
class Container:
    """A container of the project. `health` is None where no check is defined.

    `started` is the engine's time of its last start, `exit_code` that of its last end, 0 before it. `check` is the text
    of its health check, `probe` the command that this runs inside, within `patience` seconds, and `limit` the seconds
    that it gives the container to become healthy, None without a check. `image` identifies the image.
    """

    id: str
    service: str
    running: bool
    status: str
    health: str | None
    depends_on: frozenset[str]
    mounts: tuple[ContainerMount, ...]
    started: datetime = _NEVER
    exit_code: int = 0
    check: str = ""
    limit: float | None = None
    ports: tuple[Port, ...] = ()
    image_name: str = ""
    project: str = ""
    directory: str = ""
    files: tuple[str, ...] = ()
    """The image as it is named; the project, its directory and its Compose files, which the container was made from."""
    probe: tuple[str, ...] = ()
    patience: float = 0.0
    image: str = ""
    addresses: tuple[str, ...] = ()
    """The addresses of the container in its networks, by which the engine's machine reaches it."""


def decode_containers(inspected: bytes) -> tuple[Container, ...]:
    """Return the containers of the JSON that `docker inspect` prints; those of one-off runs are left out."""
    found = msgspec.json.decode(inspected, type=tuple[_InspectedContainer, ...])
    return tuple(_container(one) for one in found if one.config.labels.get(f"{LABEL}oneoff") != "True")


def mount_of(mounts: Sequence[ContainerMount], directory: str) -> ContainerMount | None:
    """Return the mount that holds `directory` of a container: the mount there, else the nearest above it."""
    holding = [one for one in mounts if PurePosixPath(directory).is_relative_to(one.destination)]
    return max(holding, key=lambda one: len(PurePosixPath(one.destination).parts), default=None)


def writers(containers: Sequence[Container], *, database: str, media: str | None) -> frozenset[str]:
    """Return the services that can write to database or media, or that serve such a service (contract T3).

    Those that depend on the database, directly or through others, and those that have the directory `media` mounted for
    writing, also from a volume that holds more than it, and under another name. Containers of Compose v1 have no label
    with their dependencies: there every service but the database's and those without a mount in common is found by the
    mounts alone, so name them in the configuration.
    """
    held = {mount.source for one in containers if media and (mount := mount_of(one.mounts, media))}
    found = {one.service for one in containers if any(mount.source in held and mount.rw for mount in one.mounts)}
    grown = True
    while grown:
        more = {one.service for one in containers if one.depends_on & (found | {database})} - found
        grown = bool(more)
        found |= more
    return frozenset(found - {database})


def _container(one: _InspectedContainer) -> Container:
    labels = one.config.labels
    depends, check = labels.get(f"{LABEL}depends_on", ""), one.config.healthcheck
    return Container(
        id=one.id,
        service=labels.get(f"{LABEL}service", ""),
        running=one.state.running,
        status=one.state.status,
        started=one.state.started_at,
        exit_code=one.state.exit_code,
        check=" ".join(check.test) if check else "",
        limit=check.limit if check and one.state.health else None,
        probe=check.command(one.config.shell or ()) if check and one.state.health else (),
        patience=(check.timeout or _CHECK_EVERY) / 1e9 if check else 0.0,
        image=one.image,
        addresses=tuple(at.address for at in (one.network_settings.networks or {}).values() if at.address),
        ports=tuple(_published(one.network_settings.ports or {})),
        image_name=one.config.image,
        project=labels.get(f"{LABEL}project", ""),
        directory=labels.get(f"{LABEL}project.working_dir", ""),
        files=tuple(filter(None, labels.get(f"{LABEL}project.config_files", "").split(","))),
        health=one.state.health.status if one.state.health else None,
        depends_on=frozenset(word.split(":")[0] for word in depends.split(",") if word),
        mounts=one.mounts,
    )


def _published(ports: Mapping[str, tuple[_Binding, ...] | None]) -> Iterator[Port]:
    for name, bindings in sorted(ports.items()):
        inside, _, protocol = name.partition("/")
        for one in bindings or () if protocol == "tcp" else ():
            if one.host_port.isdecimal():
                yield Port(one.host_ip, int(one.host_port), int(inside))
