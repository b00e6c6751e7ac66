"""The first of many names, for a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMED = 5
"""The number of names in a line of a check."""


def first_of(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """Return at most `most` names, and the count of the others: `a, b and 3 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return separator.join(names[:most]) + more


def listed(names: Sequence[str]) -> str:
    """Return the first `NAMED` names, and the count of the others."""
    return first_of(names, NAMED)
