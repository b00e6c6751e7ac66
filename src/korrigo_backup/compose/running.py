"""The description of a Compose project and its containers by the programs and the engine themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from korrigo_backup.compose.project import Project, find_program
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.system.run import Command, run, which

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from korrigo_backup.core.secret import Secret

_SECONDS = 20.0
"""Seconds for a question; init goes on by the files alone where the engine needs longer."""


class _ImageConfig(msgspec.Struct, frozen=True, rename="pascal"):
    env: tuple[str, ...] = ()


class _InspectedImage(msgspec.Struct, frozen=True, rename="pascal"):
    config: _ImageConfig


def project_here(
    files: tuple[Path, ...], env_file: Path | None, environment: Mapping[str, str | Secret]
) -> Project | None:
    """Return the project as Compose is called on this machine, None where there is no Compose."""
    if which("docker") is None and which("docker-compose") is None:
        return None
    try:
        program = find_program(environment)
    except KorrigoBackupError:
        return None
    return Project(program, files, environment, env_file=env_file)


def resolved(project: Project) -> dict[str, Any] | None:
    """Return the project as Compose itself reads it, None if Compose fails.

    Compose merges the files, follows `include` and `extends`, and fills variables; a dollar sign is doubled in it.
    """
    words = ("--profile", "*", "config", "--format", "json", "--no-consistency")
    done = run(project.command(*words), timeout=_SECONDS)
    if done.status:
        return None
    try:
        found = msgspec.json.decode(done.stdout)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def environment_of(project: Project, service: str) -> dict[str, str] | None:
    """Return the environment of a service's container, a running container first; None where there is none.

    The values may be secrets.
    """
    try:
        container = project.container(service)
    except KorrigoBackupError:
        return None
    done = run(Command(("docker", "inspect", container.id), project.environment), timeout=_SECONDS)
    if done.status:
        return None
    found = msgspec.json.decode(done.stdout, type=tuple[_InspectedImage, ...])
    pairs = (entry.partition("=") for one in found for entry in one.config.env)
    return {name: value for name, _, value in pairs}
