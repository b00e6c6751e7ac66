"""Whether the clock can be believed before anything is removed for its age."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SET_BACK = timedelta(hours=1)
"""As much later than now a backup may seem to be: two machines whose clocks differ."""

SILENCE = timedelta(days=10)
"""Longer than the usual pause between two runs (a week, and some days): either no run took place, or the clock jumped.
"""

OFTEN_ENOUGH = 5
"""From so many pauses on, three times the median of them is a usual pause, too: some sites run once a month."""

SETTLED = timedelta(days=30)
"""After so long of regular runs since a silence the clock is believed again: people would have noticed by then."""


def doubt(moments: Iterable[datetime], now: datetime, confirmed: datetime | None = None) -> str | None:
    """Return why the time `now` is not believed, None if it is.

    `moments` are the times of all known events: backups, runs in the journal. `confirmed` is the last time at which a
    person confirmed the clock. A clock that was set forward looks like a long silence, and all earlier backups look
    old; a clock that was set back puts the newest backups in the future.
    """
    known = sorted({now, *moments}, reverse=True)
    if known[0] - now > SET_BACK:
        return f"the clock is at {now:%Y-%m-%d %H:%M}, but a backup or run is dated {known[0]:%Y-%m-%d %H:%M}"
    pauses = [later - earlier for later, earlier in pairwise(known)]
    usual = max(SILENCE, 3 * sorted(pauses)[len(pauses) // 2]) if len(pauses) >= OFTEN_ENOUGH else SILENCE
    for later, earlier in pairwise(known):
        if later - earlier > usual:
            if now - later > SETTLED or (confirmed and confirmed >= later):
                return None
            return (
                f"there was no run between {earlier:%Y-%m-%d} and {later:%Y-%m-%d}:"
                " either the site was off, or the clock has jumped"
            )
    return None
