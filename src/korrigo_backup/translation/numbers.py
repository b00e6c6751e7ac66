"""Numbers as the readers of a language write them, in a text for people; names, versions and commands stay."""

from __future__ import annotations

import re

NARROW_SPACE = "\u202f"
"""The French sign between thousands."""

_THOUSANDS = re.compile(r"(?<![\w.,/:-])\d{1,3}(?:,\d{3})+(?![\w/:-]|[.,]\w)")
_DECIMAL = re.compile(
    r"(?<![\w.,/:-])(\d+)\.(\d+)(?=[KMGT]\b|[ \u00a0\u202f]?%|[ \u00a0\u202f](?:s|h|min|MB|GB|Mo|Go|[KMGT])\b)"
)


def in_french(text: str) -> str:
    """Return a text with 1,234 as 1\u202f234, and with 1.5 s and 2.5M as 1,5 s and 2,5M."""
    if "," in text:
        text = _THOUSANDS.sub(lambda found: found[0].replace(",", NARROW_SPACE), text)
    return _DECIMAL.sub(r"\1,\2", text) if "." in text else text
