"""The lines of a run's progress: a finished English text in parts, each translated, fitted into the columns."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.core.paths import printable
from korrigo_backup.core.size import human
from korrigo_backup.system.progress import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from korrigo_backup.system.progress import Work

    Translator = Callable[[str], str]

BAR = 10
"""Columns of a bar."""

_ITEM_AT_LEAST = 10
_RATE = 9
"""Columns of the longest rate, and of what is between it and the next part."""

_BETWEEN = "  "
_CUT = "…"
NARROW = 60
"""Columns of a terminal that does not give its width."""

_LONGEST_PATH = 120
"""Columns of a file's name in a line without a terminal."""


@dataclass(frozen=True)
class Bar:
    """A bar of `BAR` columns, of which a fraction is filled."""

    fraction: float


Line = list[str | Bar]
"""The parts of a line, with `_BETWEEN` between them."""


@dataclass(frozen=True)
class RunPosition:
    """The place of a run among its steps. `of` is their number in a former run, None if there was none."""

    step: int = 0
    of: int | None = None
    elapsed: float = 0.0
    left: float | None = None


def terminal_lines(
    place: RunPosition, works: Sequence[tuple[Work, float | None]], columns: int, translate: Translator
) -> list[Line]:
    """Return the lines for a terminal of so many columns: the run, then each work with its rate in bytes a second."""
    head = _BETWEEN.join([*_steps(place, translate), clock(place.elapsed), *_left(place, translate)])
    return [[cut(head, columns)], *(_work_line(work, rate, columns, translate) for work, rate in works)]


def plain_line(place: RunPosition, works: Sequence[tuple[Work, float | None]], translate: Translator) -> str:
    """Return one line of any width, for a log."""
    parts = [*_steps(place, translate), clock(place.elapsed)]
    for work, rate in works:
        item = cut(_item(work), _LONGEST_PATH)
        numbers = [_percent(work), _sizes(work), _count(work, translate), _rate(rate), item]
        parts.append(" ".join([translate(work.name), *filter(None, numbers)]))
    return ", ".join([*parts, *_left(place, translate)])


def clock(seconds: float) -> str:
    """Return a duration as 0:07, 12:30 or 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def width(text: str) -> int:
    """Return the columns of a text on a terminal."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, columns: int) -> str:
    """Return a text that fits the columns: of a longer one its begin and its end."""
    if width(text) <= columns:
        return text
    if columns < 1:
        return ""
    end = _fitting(reversed(text), (columns - 1) // 2)[::-1]
    return _fitting(text, columns - 1 - width(end)) + _CUT + end


def _fitting(letters: Iterable[str], columns: int) -> str:
    taken = ""
    for letter in letters:
        columns -= _columns(letter)
        if columns < 0:
            break
        taken += letter
    return taken


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _work_line(work: Work, rate: float | None, columns: int, translate: Translator) -> Line:
    """Return the line of a work. Where room is short, its bar goes first, then rate, item and count."""
    name = cut(translate(work.name), columns)
    optional: dict[str, str | Bar] = {
        "sizes": _sizes(work),
        "percent": _percent(work),
        "count": _count(work, translate),
        "item": cut(_item(work), _ITEM_AT_LEAST),
        "rate": _rate(rate),
        "bar": _bar(work) or "",
    }
    room, shown = columns - width(name), dict[str, str | Bar]()
    for part, text in optional.items():
        spare = 0 if part != "bar" or rate else _RATE  # a bar that a rate would push out is not begun
        if text and _width(text) + len(_BETWEEN) + spare <= room:
            shown[part] = text
            room -= _width(text) + len(_BETWEEN)
    if "item" in shown:
        shown["item"] = cut(_item(work), room + _width(shown["item"]))
    order = ("bar", "percent", "sizes", "count", "rate", "item")
    return [name, *(shown[part] for part in order if part in shown)]


def _width(part: str | Bar) -> int:
    return BAR if isinstance(part, Bar) else width(part)


def _steps(place: RunPosition, translate: Translator) -> list[str]:
    if not place.step:
        return []
    return [translate(f"step {place.step} of {place.of}" if place.of else f"step no. {place.step}")]


def _left(place: RunPosition, translate: Translator) -> list[str]:
    return [] if place.left is None else [translate(f"time left: {clock(place.left)}")]


def _fraction(work: Work) -> float | None:
    if work.whole:
        return min(work.size / work.whole, 1.0)
    if work.number and work.whole is None and not work.size:
        return min(work.count / work.number, 1.0)
    return None


def _bar(work: Work) -> Bar | None:
    fraction = _fraction(work)
    return None if fraction is None else Bar(fraction)


def _percent(work: Work) -> str:
    fraction = _fraction(work)
    if fraction is None or (work.is_estimate and work.size > (work.whole or 0)):
        return ""
    return f"{int(fraction * 100)} %"


def _sizes(work: Work) -> str:
    if not work.size and work.whole is None:
        return ""
    if work.whole is None or (work.is_estimate and work.size > work.whole):
        return human(work.size)
    return f"{human(work.size)}/{'~' if work.is_estimate else ''}{human(work.whole)}"


def _count(work: Work, translate: Translator) -> str:
    if work.unit is None or (not work.count and work.number is None):
        return ""
    if work.number is None or work.count > work.number:
        found = f"tables: {work.count} so far" if work.unit is Unit.TABLES else f"files: {work.count} so far"
    else:
        done, number = work.count, work.number
        found = f"tables: {done} of {number}" if work.unit is Unit.TABLES else f"files: {done} of {number}"
    return translate(found)


def _rate(rate: float | None) -> str:
    return "" if not rate else f"{human(int(rate))}/s"


def _item(work: Work) -> str:
    name = work.item
    return printable(name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name)
