"""Words of a translation that agree with a number: `{rows} [ramenée|ramenées]`, for one and for several.

The number before the words decides, else the first after them. 0 is singular, as in French.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w+)\}")
_QUANTITY = re.compile(r"\d[\d,]*(?: [a-z]+){0,3}(?: of [\w.]+)?")
_NUMBER = re.compile(r"(\d[\d,\u202f]*)(?![\w.:/-])")
_AGREEING = re.compile(r"\[([^\[\]|{}]*)\|([^\[\]|{}]*)\]")


def agrees(translation: str) -> bool:
    """Return whether a translation has words for one and for several."""
    return bool(_AGREEING.search(translation))


def is_quantity(value: str) -> bool:
    """Return whether an English value is a number, alone or with its noun."""
    return bool(_QUANTITY.fullmatch(value))


def agreeing(translation: str, values: Mapping[str, str]) -> str:
    """Return a translation with the words for one or for several, as its numbers are; French 0 is singular."""
    if not _AGREEING.search(translation):
        return translation
    numbers = [
        (match.start(), int(re.sub(r"\D", "", number[1])))
        for match in PLACEHOLDER.finditer(translation)
        if match[1] and (number := _NUMBER.match(values.get(match[1], "")))
    ]

    def chosen(words: re.Match[str]) -> str:
        before = [number for at, number in numbers if at < words.start()]
        number = (before[-1:] or [number for _, number in numbers[:1]] or [2])[0]
        return words[1] if number < 2 else words[2]  # noqa: PLR2004 - one and several

    return _AGREEING.sub(chosen, translation)
