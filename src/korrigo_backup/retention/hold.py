"""Holds: artifacts that may not be removed, with reason, holder and end (contract K3)."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.moment import require_moment

if TYPE_CHECKING:
    from collections.abc import Iterable


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold. `name` is that of an artifact or of a previous copy; `until` None has no end. Times are UTC."""

    name: str
    reason: str
    holder: str
    since: datetime
    until: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse a time that cannot be compared with others (ValueError, to a decoder ValidationError)."""
        require_moment(self.since)
        require_moment(self.until)

    def stands(self, now: datetime) -> bool:
        """Return whether the hold is in force at `now`."""
        return self.until is None or now < self.until

    def described(self) -> str:
        """Return the holder, the last day in this machine's zone, and the reason."""
        end = f" until {self.until.astimezone():%Y-%m-%d}" if self.until else ""
        return f"held by {self.holder}{end}: {self.reason}"


def standing(holds: Iterable[Hold], now: datetime) -> dict[str, Hold]:
    """Return the holds that stand at `now` by the name they hold; of two on the same name, the longer."""
    found: dict[str, Hold] = {}
    for hold in holds:
        if hold.stands(now) and (hold.name not in found or _longer(hold, found[hold.name])):
            found[hold.name] = hold
    return found


def _longer(one: Hold, other: Hold) -> bool:
    return other.until is not None and (one.until is None or one.until > other.until)
