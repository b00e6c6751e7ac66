"""The mounts of a private Compose project: code and settings read-only, a fresh volume for all data of the site."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from korrigo_backup.compose.postgres_images import DATA_DIRECTORIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_SYSTEM = ("/dev", "/proc", "/run", "/sys", "/var/run")
"""Directories of this machine with sockets and devices: a container that has them reaches the engine."""

_SOCKET = ".sock"
"""The ending of a socket: also a mount that is read-only lets a container talk to the program behind it."""


@dataclass(frozen=True)
class CodeOver:
    """Code of this machine over that of a container: `paths` by the path there, below the directory `home`."""

    home: str
    paths: Mapping[str, str]

    def replaces(self, mount: Mapping[str, Any], is_file: Callable[[str], bool]) -> bool:
        """Return whether a mount of the private project is a directory of the code that this code replaces."""
        is_below = PurePosixPath(mount["target"]).is_relative_to(self.home)
        return mount["type"] == "bind" and is_below and not is_file(mount["source"])

    def mounted(self, mounts: Iterable[dict[str, Any]], is_file: Callable[[str], bool]) -> list[dict[str, Any]]:
        """Return the mounts with this code, read-only; the engine makes no directory for a path that is missing."""
        own = {"read_only": True, "bind": {"create_host_path": False}}
        return [
            *(one for one in mounts if not self.replaces(one, is_file)),
            *({"type": "bind", "source": here, "target": there, **own} for there, here in self.paths.items()),
        ]


@dataclass(frozen=True)
class PrivateOptions:
    """The choices for a private project.

    `database` and `backend` are services of the site, `others` the services that are wanted besides those that the
    backend needs. `media` is the directory of the media in the backend's container, None for a site without media.
    `images` are the images that run now, by service. With `media_read_only` no service writes to the media. `is_code`
    returns whether a directory of this machine holds code, `is_file` whether a path there is a file. `code` is mounted
    over the backend's own code.
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
    code: CodeOver | None = None


@dataclass
class Fresh:
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

    @classmethod
    def of(cls, services: Mapping[str, dict[str, Any]], options: PrivateOptions) -> Fresh:
        """Return the fresh volumes of a private project, none asked for yet."""
        media = _media_source(services[options.backend], options)
        return cls(frozenset((*_written(services, options), *filter(None, (media,)))), media)


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


def private_mounts(
    name: str, body: Mapping[str, Any], options: PrivateOptions, fresh: Fresh
) -> Iterator[dict[str, Any]]:
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
    mount: Mapping[str, Any], options: PrivateOptions, fresh: Fresh, *, is_database: bool
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
            if source == "/" or path.suffix == _SOCKET or any(path.is_relative_to(one) for one in _SYSTEM):
                return None
            is_data = is_database and any(PurePosixPath(target).is_relative_to(one) for one in DATA_DIRECTORIES)
            if is_data or _is_data(source, options, fresh):
                return {"type": "volume", "source": fresh.key(source), "target": target, **read_only}
            return {"type": "bind", "source": source, "target": target, "read_only": True}
        case _:
            return None


def _is_data(source: str, options: PrivateOptions, fresh: Fresh) -> bool:
    if source == fresh.media:
        return True
    return not options.is_file(source) and not options.is_code(source) and fresh.is_data(source)
