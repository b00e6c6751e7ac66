"""Read `.env` files from the disk, by the rules of Docker Compose (core/dotenv.py)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from korrigo_backup.core.dotenv import Dotenv, Fault, parse
from korrigo_backup.core.variables import VARIABLES
from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NOTHING: Mapping[str, str] = MappingProxyType({})


def read_dotenv(path: Path, environment: Mapping[str, str] = _NOTHING) -> dict[str, str]:
    """Return the variables of a `.env` file as Docker Compose reads it; a foreign line is left out.

    A variable in a value is taken from `environment` first. Raises UsageError for a line that sets one of VARIABLES
    and cannot be read: its value decides what is backed up.
    """
    found = parse_dotenv(path, environment)
    for problem in found.problems:
        if problem.name in VARIABLES and problem.fault is not Fault.UNSET:
            raise UsageError(
                f"{path}, line {problem.line}: {problem.name} cannot be read: {problem.fault}",
                hint="correct that line; put a value with quotation marks, $ or # in it between single quotation marks",
            )
    return dict(found.values)


def parse_dotenv(path: Path, environment: Mapping[str, str] = _NOTHING) -> Dotenv:
    """Return the settings of a `.env` file and its lines that give none; UsageError when it is no readable text."""
    try:
        text = path.read_bytes().decode() if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"cannot read {path}: {problem}", hint="check its mode; it is UTF-8 text") from None
    return parse(text, environment)
