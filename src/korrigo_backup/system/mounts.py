"""Mount points, as the kernel lists them: also a bind mount, whose device is that of the directory around it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TABLE = "/proc/self/mountinfo"
_ESCAPED = re.compile(r"\\([0-7]{3})")
_POINT, _LEAST = 4, 7
"""Place of the mount point among the fields of a line, and the fewest fields of a line."""


@dataclass(frozen=True)
class MountPoint:
    """A mounted file system: its mount point, its type, and the device or share that it comes from."""

    point: str
    type: str
    source: str


def mounts() -> list[MountPoint]:
    """Return every mount of this process's view, in the kernel's order; none where the kernel lists none."""
    try:
        with open(_TABLE, encoding="utf-8", errors="surrogateescape") as table:  # noqa: PTH123 - a path of the kernel's
            return [found for line in table if (found := _parsed(line))]
    except OSError:
        return []


def mounts_below(path: Path) -> list[str]:
    """Return the mount points inside a directory, relative to it and sorted; the directory itself is none of them."""
    prefix = os.path.realpath(path).rstrip("/") + "/"
    return sorted({one.point[len(prefix) :] for one in mounts() if one.point.startswith(prefix)})


def is_mount(path: Path) -> bool:
    """Return whether a file system is mounted at `path`."""
    place = os.path.realpath(path)
    return any(one.point == place for one in mounts())


def file_system_of(path: Path) -> str:
    """Return type and source of the file system that holds `path` (`nfs4 nas:/uploads`), empty where unknown."""
    place = os.path.realpath(path)
    holding = [one for one in mounts() if place == one.point or place.startswith(one.point.rstrip("/") + "/")]
    if not holding:
        return ""
    longest = max(len(one.point) for one in holding)
    last = [one for one in holding if len(one.point) == longest][-1]  # a later mount covers an earlier mount
    return f"{last.type} {last.source}"


def _parsed(line: str) -> MountPoint | None:
    fields = line.rstrip("\n").split(" ")
    if len(fields) < _LEAST or "-" not in fields[_LEAST - 1 :]:
        return None
    own = fields.index("-", _LEAST - 1)
    of_type, source = (*fields[own + 1 : own + 3], "", "")[:2]
    return MountPoint(_unescaped(fields[_POINT]), of_type, _unescaped(source))


def _unescaped(text: str) -> str:
    """Undo the kernel's escapes for space, tab, line break and backslash."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
