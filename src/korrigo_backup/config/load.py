"""Load the configuration: from the defaults, the TOML file, `.env`, our own settings file, the environment.

Each of these wins over those before it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from korrigo_backup.config.convert import WrongValueError, convert
from korrigo_backup.config.place import FILE_NAME
from korrigo_backup.core.dotenv import Fault, Problem
from korrigo_backup.core.variables import VARIABLES
from korrigo_backup.errors import UsageError
from korrigo_backup.system.dotenv import parse_dotenv, read_dotenv

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from korrigo_backup.config.model import Configuration

_LARGEST = 1024 * 1024
"""Bytes: more than any configuration, less than a device would return."""


DOTENV = ".env"
OWN_DOTENV = "korrigo-backup.env"
"""A file for our own variables: `.env` is the site's, and its deployment may write it anew."""

OWN_PREFIX = "KORRIGO_BACKUP_"
_RUNBOOK = ("BACKUP_DIR", "BACKUP_RETENTION_DAYS")
"""The runbook's variables that only this program uses."""

_NOTHING: Mapping[str, str] = MappingProxyType({})

Tree = dict[str, dict[str, object]]


def load(directory: Path, environ: Mapping[str, str], file: Path | None = None) -> Configuration:
    """Return the configuration for commands run in `directory`.

    `file` names the TOML file; without it `korrigo-backup.toml` in `directory` is read if it is there.
    Raises UsageError, naming the source, for a file that cannot be read, an unknown key or a wrong value.
    """
    tree = read_toml(file or directory / FILE_NAME, required=file is not None)
    sources: dict[tuple[str, ...], str] = {}
    sources |= {(section, key): "the TOML file" for section, keys in tree.items() for key in keys}
    files = [(values, str(directory / name)) for name, values in _files(directory, environ)]
    for values, source in (*files, (environ, "the environment")):
        for variable, (section, key) in VARIABLES.items():
            if value := values.get(variable):
                if key != "password":  # it goes to the server alone, byte by byte
                    _require_text(value, f"{variable} in {source}")
                tree.setdefault(section, {})[key] = value
                sources[section, key] = f"{variable} in {source}"
    try:
        return convert(tree)
    except WrongValueError as problem:
        source = sources.get(problem.place[:2], "the configuration")
        raise UsageError(
            f"{source}: {'.'.join(problem.place)}: {problem.words}", hint="correct the value, then run it again"
        ) from None


def surroundings(directory: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `.env`, of our own file and of the environment; the later source wins."""
    found: dict[str, str] = {}
    for _, values in _files(directory, environ):
        found |= {name: value for name, value in values.items() if value or name not in found}
    return {**found, **environ}


def _files(directory: Path, environ: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
    """Return the variables of `.env` and those of our own file, in which those of `.env` may be named."""
    site = read_dotenv(directory / DOTENV, environ)
    return [(DOTENV, site), (OWN_DOTENV, read_dotenv(directory / OWN_DOTENV, {**site, **environ}))]


_HEADER = re.compile(r"^[ \t]*\[[ \t]*([A-Za-z0-9_.-]+)[ \t]*\]", re.MULTILINE)
"""The line with which a section begins."""


def read_toml(path: Path, *, required: bool) -> Tree:
    """Return a TOML file by section and key, {} if it is missing and not required; UsageError otherwise."""
    if not required and not path.exists():
        return {}
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise UsageError(f"{path} is too large for a configuration", hint="name the TOML file")
        tree = tomllib.loads(raw.decode())
    except OSError as problem:
        raise UsageError(
            f"cannot read the configuration {path}: {problem.strerror}", hint="check its path and its mode"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        names = _HEADER.findall(raw.decode(errors="replace"))
        twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
        hint = f"one section [{twice}] holds all its settings: move the lines there" if twice else "correct that line"
        raise UsageError(f"{path} is not valid TOML: {problem}", hint=hint) from None
    for section, keys in tree.items():
        if not isinstance(keys, dict):
            raise UsageError(
                f"{path}: {section!r} stands outside a section",
                hint="put it below a section, for example [database]",
            )
    return tree


def dotenv_problems(directory: Path, environment: Mapping[str, str]) -> tuple[Problem, ...]:
    """Return the lines of both settings files that are left out, and those of VARIABLES that lost a reference."""
    site, found = parse_dotenv(directory / DOTENV, environment), []
    own = parse_dotenv(directory / OWN_DOTENV, {**site.values, **environment})
    for name, read in ((DOTENV, site), (OWN_DOTENV, own)):
        lost = (one for one in read.problems if one.fault is not Fault.UNSET or one.name in VARIABLES)
        found += [replace(one, file=name) for one in lost]
    return tuple(found)


def own_variables(path: Path, environment: Mapping[str, str] = _NOTHING) -> dict[str, str]:
    """Return the variables of a settings file that this program alone reads, as far as they are not empty."""
    return {
        name: value
        for name, value in read_dotenv(path, environment).items()
        if value and (name in _RUNBOOK or name.startswith(OWN_PREFIX))
    }


def _require_text(value: str, source: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{source} is not UTF-8 text", hint="use a name in UTF-8") from None
