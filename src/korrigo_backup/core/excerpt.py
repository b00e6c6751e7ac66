"""The first of many names, for a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMED = 5
"""The number of names in a line of a check."""


def first_of(names: Sequence[str], most: int, separator: str = ", ", *, count: int | None = None) -> str:
    """Return at most `most` names, and the number of the others: `a, b and 3 more`.

    `count` is the number of all where `names` are only the first of them.
    """
    left = (len(names) if count is None else count) - min(most, len(names))
    return separator.join(names[:most]) + (f" and {left} more" if left > 0 else "")


def listed(names: Sequence[str]) -> str:
    """Return the first `NAMED` names, and the count of the others."""
    return first_of(names, NAMED)
