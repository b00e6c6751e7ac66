"""Findings about a media tree and its backups: mounts inside of it, links that lead out of it, files that are gone."""

from __future__ import annotations

MOUNTS_HINT = "they are in the backup; before a restore of the media, umount them"

_SHOWN = 3


def mounts_inside(mounts: tuple[str, ...]) -> str:
    """Return the words for file systems that are mounted inside the media tree."""
    return f"{len(mounts)} file systems are mounted inside the media tree: {listed(mounts)}"


def listed(names: tuple[str, ...]) -> str:
    """Return the first names of many, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
