"""The first of many names, for a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FEW = 3
"""The number of names in a sentence of a finding or an error."""

NAMED = 5
"""The number of names in a line of a check."""


def first_of(
    names: Sequence[str], most: int = FEW, separator: str = ", ", *, count: int | None = None, least: bool = False
) -> str:
    """Return at most `most` names, and the number of the others: `a, b and 3 more`.

    `count` is the number of all where `names` are only the first of them. With `least` there are more than `names`:
    `a, b and more than 3 more`, without the last name, which shows only that there are more.
    """
    left = (len(names) if count is None else count) - min(most, len(names)) - least
    more = f" and {'more than ' * least}{left} more" if left > 0 else ""
    return separator.join(names[:most]) + more


def listed(names: Sequence[str]) -> str:
    """Return the first `NAMED` names, and the count of the others."""
    return first_of(names, NAMED)
