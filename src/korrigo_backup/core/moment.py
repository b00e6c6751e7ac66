"""Times in files: with their zone, and of years that can be calculated with in every zone.

Another time would be compared with the others wherever backups are listed, and break the whole list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_YEARS = range(1970, 9000)


def require_moment(moment: datetime | None) -> None:
    """Raise ValueError for a time without a zone, or of no year that a backup can be of; None is no time."""
    if moment is None:
        return
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    if not is_possible(moment):
        raise ValueError(f"{moment.isoformat()} is no year of a backup")


def is_possible(moment: datetime) -> bool:
    """Return whether a time is in a year that a backup can have."""
    return moment.year in _YEARS
