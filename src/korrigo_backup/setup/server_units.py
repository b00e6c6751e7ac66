"""The services of this machine that run the code of a site: units of systemd and programs of supervisor."""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

UNITS = Path("/etc/systemd/system")
PROGRAMS = Path("/etc/supervisor/conf.d")
_OURS = "korrigo-backup"
_UNIT_KEYS = re.compile(r"^(WorkingDirectory|ExecStart|EnvironmentFile)=(.*)$", re.MULTILINE)
_PARTS_OF_SHARED = 2
"""Parts of a path like / or /srv."""

_LARGEST = 64 * 1024
"""Bytes of a unit; a larger file is none that a person wrote."""


def stop_and_start(
    directory: Path, units: Path = UNITS, programs: Path = PROGRAMS
) -> tuple[list[str], list[str]] | None:
    """Return the commands that stop and start the services whose code is in `directory`, None if there is no service.

    A user other than root goes through sudo, without a question.
    """
    found = [("systemctl", name) for name in _units(directory, units)]
    manager = "systemctl"
    if not found:
        manager, found = "supervisorctl", [("supervisorctl", name) for name in _programs(directory, programs)]
    if not found:
        return None
    names = [name for _, name in found]
    before = [] if os.geteuid() == 0 else ["sudo", "-n"]
    return [*before, manager, "stop", *names], [*before, manager, "start", *names]


def _units(directory: Path, units: Path) -> Iterator[str]:
    for path in _files(units, "*.service"):
        values = [value for _, value in _UNIT_KEYS.findall(_text(path))]
        if not path.name.startswith(_OURS) and "@" not in path.name and any(_names(directory, one) for one in values):
            yield path.name


def _programs(directory: Path, programs: Path) -> Iterator[str]:
    for path in _files(programs, "*.conf"):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(_text(path))
        except configparser.Error:
            continue
        for section in parser.sections():
            values = [parser.get(section, key, fallback="") for key in ("directory", "command")]
            if section.startswith("program:") and any(_names(directory, one) for one in values):
                yield section.removeprefix("program:")


def _files(place: Path, pattern: str) -> list[Path]:
    try:
        return sorted(path for path in place.glob(pattern) if path.is_file())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST)
    except OSError:
        return ""


def _names(directory: Path, text: str) -> bool:
    """Return whether a text names the directory or a path below it.

    In a home directory, and in one like /srv, stand also the services of other sites: there only the directory itself
    counts, and the manage.py in it.
    """
    below = r"/?(?:manage\.py)?" if _is_shared(directory) else "(?:/.*)?"
    return re.search(rf"(?:^|[\s=\"':@-]){re.escape(str(directory))}{below}(?:[\s\"':;]|$)", text) is not None


def _is_shared(directory: Path) -> bool:
    at_root = len(directory.parts) <= _PARTS_OF_SHARED
    return at_root or directory.parent == Path("/home") or directory == Path("~").expanduser()
