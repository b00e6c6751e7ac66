"""The machine's own time zone, which Django replaces in the process by its setting TIME_ZONE.

Names of backups carry local time of the site's machine, the same for a shell script and for Django. Settings overwrite
the variable TZ when they load, so it is read from the environment the process was started with; without it the
machine's /etc/localtime decides, and UTC where there is neither.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_STARTED_WITH = Path("/proc/self/environ")
_MACHINE = Path("/etc/localtime")


def machine_zone(environ: Path = _STARTED_WITH, machine: Path = _MACHINE) -> tzinfo:
    """Return the zone that the process was started in."""
    name = _variable(environ)
    if name:
        return _named(name.removeprefix(":"))
    return _from_file(machine)


def _variable(environ: Path) -> str:
    try:
        entries = environ.read_bytes().split(b"\0")
    except OSError:
        return ""
    return next((entry[3:].decode(errors="replace") for entry in entries if entry.startswith(b"TZ=")), "")


def _named(name: str) -> tzinfo:
    if name.startswith("/"):
        return _from_file(Path(name))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC  # as the C library does with a name it does not know


def _from_file(path: Path) -> tzinfo:
    try:
        with path.open("rb") as file:
            return ZoneInfo.from_file(file, key=str(path))
    except (OSError, ValueError):
        return UTC
