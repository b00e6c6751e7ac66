"""The copies of the data in words: the places, the disks, and what the rule 3-2-1 still asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted

if TYPE_CHECKING:
    from korrigo_backup.status.model import Copies

_PLACES, _SUPPORTS = 3, 2
"""The rule 3-2-1: three places, two supports, one of them off site."""


def describe_copies(copies: Copies) -> str:
    """Return in plain words in how many places the data are, and what the rule 3-2-1 still asks for."""
    where = "the live site only" if copies.places < 2 else f"{counted(copies.places, 'place')} (the live site counts)"  # noqa: PLR2004
    kinds = {None: "it is not known on how many disks", 1: "all on one disk"}.get(
        copies.supports, f"on {copies.supports} disks or services"
    )
    missing = [
        word
        for word, is_there in (
            ("a third place", copies.places >= _PLACES),
            ("a second disk or service", copies.supports is None or copies.supports >= _SUPPORTS),
            ("a place off site", copies.off_site > 0),
        )
        if not is_there
    ]
    return f"{where}, {kinds}; missing: {', '.join(missing)}" if missing else f"{where}, {kinds}, one off site"
