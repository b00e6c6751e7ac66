"""When the backup directory will be full: sizes fitted by a line, and simulated with the removals by retention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from math import ceil
from statistics import linear_regression
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.retention.policy import Rule

HORIZON_DAYS = 730
"""Days to look ahead: further than a line through a few weeks can predict."""

ENOUGH = 4
"""Backups of a kind from which on a line is drawn through their sizes."""

ENOUGH_DAYS = 2.0
"""Days that they must span: several backups of one afternoon do not show the growth in a month."""

_WANTED = 2
"""Free space without which a backup is refused (runbook 2.2), as a multiple of the last backup's size."""

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Growth:
    """The backups that a rule counts together: (created, bytes), newest first; and that rule."""

    sizes: Sequence[tuple[datetime, int]]
    rule: Rule

    @property
    def span(self) -> float:
        """Days from the oldest to the newest."""
        return (self.sizes[0][0] - self.sizes[-1][0]) / _DAY if self.sizes else 0.0

    @property
    def known(self) -> bool:
        """Whether there are enough of them for a forecast."""
        return len(self.sizes) >= ENOUGH and self.span >= ENOUGH_DAYS

    @property
    def a_day(self) -> float:
        """How many are made a day."""
        return (len(self.sizes) - 1) / self.span

    @property
    def keep_days(self) -> int:
        """For how many days a backup stays, 0 for ever.

        Backups kept by number or calendar are counted as that many days longer: slightly too long.
        """
        rule = self.rule
        also = rule.last + rule.daily + rule.weekly + rule.monthly + rule.yearly
        return 0 if rule.off else min(HORIZON_DAYS, ceil(rule.days + also / self.a_day))

    def future(self, now: datetime) -> list[float]:
        """Return the change of the bytes taken, for each of the next days, if things go on as they did.

        The same number a day, of sizes on the line through those there are, each removed when its days are over.
        """
        days = [(created - now) / _DAY for created, _ in self.sizes]
        line = linear_regression(days, [size for _, size in self.sizes])
        made = [max(0.0, line.intercept + line.slope * day) * self.a_day for day in range(1, HORIZON_DAYS + 1)]
        gone = [0.0] * HORIZON_DAYS
        if keep := self.keep_days:
            for day, (_, size) in zip(days, self.sizes, strict=True):
                if day + keep < HORIZON_DAYS:
                    gone[max(0, int(day + keep))] += size
            gone = [old + new for old, new in zip(gone, [0.0] * keep + made, strict=False)]
        return list(accumulate(new - old for new, old in zip(made, gone, strict=False)))


@dataclass(frozen=True)
class Forecast:
    """Days until a backup would be refused, None for beyond the horizon; `known` is False without enough history."""

    known: bool
    days: int | None = None


def days_until_full(growths: Sequence[Growth], *, free: int, now: datetime) -> Forecast:
    """Return when less is free than the next backup needs, which is twice its size.

    The size of a kind with too few backups is taken as constant; if no kind has enough, the result is unknown.
    """
    known = [growth for growth in growths if growth.known]
    if not known:
        return Forecast(known=False)
    room = free - _WANTED * max(growth.sizes[0][1] for growth in known)
    if room < 0:
        return Forecast(known=True, days=0)
    for day, taken in enumerate(map(sum, zip(*(growth.future(now) for growth in known), strict=True)), start=1):
        if taken > room:
            return Forecast(known=True, days=day)
    return Forecast(known=True)
