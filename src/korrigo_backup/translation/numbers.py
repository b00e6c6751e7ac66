"""Numbers as a French reader writes them: 24 943 975 bytes, 3,5 s, 6 %."""

from __future__ import annotations

import re

_UNIT = r"(?=[ \u202f]?(?:ms|s|min|h|[KMGT])\b|\u202f?%| octets| fois)"
_THOUSANDS = re.compile(r"(?<![\w.,/:=;-])\d{1,3}(?:,\d{3})+(?![\w,/]|[.:-]\w)")
_DECIMAL = re.compile(rf"(?<![\w.,/:=;-])(\d+)\.(\d+){_UNIT}")
_PERCENT = re.compile(r"(?<![\w.,/:=;-])(\d+(?:[.,]\d+)?)%(?!\w)")
_CELL = re.compile(r"\d+\.\d+ ?(?:ms|s|min|h|[KMGT])")


def french_numbers(translated: str, english: str) -> str:
    """Return a translation with the numbers of its text as in French: U+202F in thousands, a comma, `6 %`.

    A text that was not translated stays as it is, as the runbook's lines do, unless it is one number with its unit.
    A number after a sign such as `=` or `/`, or without a unit behind its point, is data or a version, and stays, too.
    """
    if translated == english and not _CELL.fullmatch(english):
        return translated
    translated = _THOUSANDS.sub(lambda found: found[0].replace(",", "\u202f"), translated)
    return _PERCENT.sub("\\1\u202f%", _DECIMAL.sub(r"\1,\2", translated))
