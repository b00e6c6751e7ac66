"""The needs of a site's containers on their machine: for the recovery kit, and for `doctor`."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.compose.profile import profile, variables_of
from korrigo_backup.compose.project import COMPOSE_SECONDS
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.kit.archive import LARGEST_FILE
from korrigo_backup.kit.readme import Needs
from korrigo_backup.system.files import explained
from korrigo_backup.system.run import Command, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from korrigo_backup.compose.container import Container
    from korrigo_backup.compose.profile import Bind, Profile
    from korrigo_backup.compose.project import Project

_MOST_FILES = 1000
_MOST_BYTES = 16 * 1024 * 1024
"""Of a mounted directory; a larger directory holds data, not settings."""


@dataclass(frozen=True)
class Machine:
    """The machine's part of a kit: `files` belong into it, `needs` can only be met by commands."""

    files: tuple[Path, ...] = ()
    needs: Needs = field(default_factory=Needs)


_SYSTEM = ("/dev", "/lib", "/proc", "/run", "/sys", "/usr", "/var/run", "/etc/ssl", "/etc/pki")
_SYSTEM_FILES = frozenset(
    f"/etc/{name}" for name in ("group", "hosts", "localtime", "machine-id", "os-release", "passwd", "resolv.conf",
                                "shadow", "timezone")
)  # fmt: skip
"""Paths that containers borrow from their machine."""


class _Network(msgspec.Struct, frozen=True, rename="pascal"):
    driver: str = "bridge"
    internal: bool = False
    attachable: bool = False


def machine_of(project: Project) -> Machine:
    """Return the needs of the project on this machine; empty if Compose does not list them.

    Files and small directories that are mounted for reading alone are settings and belong into the kit. Directories
    that services write to are data, and large directories are code or data: the kit names both.
    """
    found = profile(project)
    if found is None:
        return Machine()
    with explained("look at the mounts of the containers"):
        files, directories, left_out = _mounted(found)
    images = _images(project)
    return Machine(
        files,
        Needs(
            networks=tuple((*_options(project, name), name) for name in found.networks),
            volumes=found.volumes,
            directories=directories,
            left_out=left_out,
            registries=found.registries,
            variables=_unsaved(project, found, images),
            images=tuple(sorted(images.items())),
        ),
    )


def _mounted(found: Profile) -> tuple[tuple[Path, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the files for the kit, the directories to be made, and the mounted paths that cannot be taken along.

    The latter are too large or not readable.
    """
    files, directories, left_out = list[Path](), list[str](), list[str]()
    for bind in found.binds:
        if _of_the_system(bind.path):
            continue
        inside = _settings(bind)
        if bind.path.is_dir() and (bind.writable or not inside):
            directories.append(str(bind.path))
        if inside is None:
            left_out.append(str(bind.path))
        else:
            files += inside
    return tuple(files), tuple(directories), tuple(left_out)


def _of_the_system(path: Path) -> bool:
    """Return whether a path belongs to the operating system, so that another machine has it."""
    return str(path) in _SYSTEM_FILES or any(path.is_relative_to(one) for one in _SYSTEM)


def _settings(bind: Bind) -> tuple[Path, ...] | None:
    """Return the files of a mount that are settings, none of data, None where they cannot be put into a kit."""
    if bind.path.is_file():
        small = bind.path.stat().st_size <= LARGEST_FILE and os.access(bind.path, os.R_OK)
        return (bind.path,) if small else None
    if not bind.path.is_dir():
        return () if bind.path.exists() else None
    return () if bind.writable else _settings_in(bind.path)


def machine_findings(project: Project, containers: Sequence[Container]) -> Iterator[Finding]:
    """Yield the objects that the files name and the machine lacks, and the services that run another image."""
    found = profile(project)
    if found is None:
        return
    lacking = [bind for bind in found.binds if not bind.path.exists()]
    if lacking:
        names = first_of([str(bind.path) for bind in lacking])
        yield warning("compose.mounts", f"{len(lacking)} mounted paths are not there: {names}",
                      "bring them back before the next docker compose up: it makes a directory of each")  # fmt: skip
    for kind, wanted in (("network", found.networks), ("volume", found.volumes)):
        for name in wanted:
            if _inspected(project, kind, name) is None:
                yield warning("compose.outside", f"the external {kind} {name} is not there",
                              f"docker {kind} create {name}")  # fmt: skip
    yield from _other_images(project, found, containers)


def _other_images(project: Project, found: Profile, containers: Sequence[Container]) -> Iterator[Finding]:
    running = {one.service: one.image_name for one in containers if one.running}
    other = _other(found, running)
    if not other:
        return
    named = ", ".join(f"{name} ({image})" for name, image in sorted(other.items()))
    variables = " ".join(f"{name}={value}" for name, value in _unsaved(project, found, running))
    hint = f"put {variables} into .env" if variables else "write the image that runs into the Compose file"
    yield warning("compose.images", f"other images run than the Compose files name: {named}",
                  f"{hint}; the next docker compose up would start other code")  # fmt: skip


def _unsaved(project: Project, found: Profile, running: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the variables that select the images that run, if the files alone name other images."""
    other = _other(found, running)
    return tuple(sorted(variables_of(project, other).items())) if other else ()


def _other(found: Profile, running: Mapping[str, str]) -> dict[str, str]:
    return {name: image for name, image in running.items() if found.images.get(name, image) != image}


def _images(project: Project) -> dict[str, str]:
    try:
        return {one.service: one.image_name for one in project.containers()}
    except KorrigoBackupError:
        return {}  # no engine answers: the kit is made of the files alone


def _settings_in(directory: Path) -> tuple[Path, ...] | None:
    """Return the regular files below a directory, None where they are too many or too large, or cannot be read."""
    files, size, readable = list[Path](), 0, os.access(directory, os.R_OK | os.X_OK)
    for path in sorted(directory.rglob("*")):
        info = path.lstat()
        if stat.S_ISREG(info.st_mode) and path.suffix != ".pyc":
            files.append(path)
            size += info.st_size
            readable = readable and os.access(path, os.R_OK)
        if not readable or len(files) > _MOST_FILES or size > _MOST_BYTES or info.st_size > LARGEST_FILE:
            return None
    return tuple(files)


def _options(project: Project, network: str) -> tuple[str, ...]:
    found = _inspected(project, "network", network)
    if not found:
        return ()
    one = msgspec.convert(found, _Network)
    words = ("--driver", one.driver) if one.driver != "bridge" else ()
    return (*words, *(("--internal",) if one.internal else ()), *(("--attachable",) if one.attachable else ()))


def _inspected(project: Project, kind: str, name: str) -> dict[str, object] | None:
    """Return the engine's description of a network or volume, None if it does not exist."""
    done = run(Command(("docker", kind, "inspect", name), project.environment), timeout=COMPOSE_SECONDS)
    found = msgspec.json.decode(done.stdout) if done.status == 0 else []
    return found[0] if found else None
