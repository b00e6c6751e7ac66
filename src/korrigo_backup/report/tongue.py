"""Words and numbers of a report in two languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_NARROW_SPACE = "\u202f"
"""The French sign between thousands."""


@dataclass(frozen=True)
class Tongue:
    """A language, `fr` or `en`: called with both texts, it returns its own."""

    lang: str

    def __call__(self, english: str, french: str) -> str:
        """Return the text in this language."""
        return french if self.lang == "fr" else english

    def count(self, number: int | None) -> str:
        """Return a number with its thousands, or that it is not known."""
        return self("not known", "inconnu") if number is None else self(f"{number:,}", _french(number))

    def duration(self, seconds: float | None) -> str:
        """Return a time in the unit that people use: 1.3 s, 18 min, 26 h, 3 days."""
        if seconds is None:
            return self("not measured", "non mesuré")
        if seconds < 10:  # noqa: PLR2004 - below, tenths count
            return f"{seconds:.1f} s"
        if seconds < 2 * _MINUTE:
            return f"{seconds:.0f} s"
        if seconds < 2 * _HOUR:
            return f"{seconds / _MINUTE:.0f} min"
        if seconds < 3 * _DAY:
            return f"{seconds / _HOUR:.1f} h".replace(".0 h", " h")
        return f"{seconds / _DAY:.0f} {self('days', 'jours')}"


def in_french(number: int, words: str) -> str:
    """Return a number with French words in the singular; from 2 on each of them gets an s."""
    return f"{_french(number)} {words if number in {0, 1} else ' '.join(f'{word}s' for word in words.split())}"


def _french(number: int) -> str:
    return f"{number:,}".replace(",", _NARROW_SPACE)


def day(moment: datetime) -> str:
    """Return the day of this machine's clock: 2026-02-04."""
    return f"{moment.astimezone():%Y-%m-%d}"


def minute(moment: datetime) -> str:
    """Return day and time of this machine's clock: 2026-02-04 03:00."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
