"""Durations as people type them: 90s, 30m, 2h, 7d."""

from __future__ import annotations

import re

from korrigo_backup.errors import UsageError

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """Return the seconds of a duration; UsageError if it is invalid, or longer than a year."""
    match = re.fullmatch(r"([0-9]{1,8})([smhd]?)", text.strip(), re.ASCII)
    value = int(match[1]) * _UNITS[match[2]] if match else None
    if value is None or value > 366 * 86400:
        raise UsageError(f"{text} is not a duration", hint="write it as 90s, 30m, 2h or 7d")
    return float(value)
