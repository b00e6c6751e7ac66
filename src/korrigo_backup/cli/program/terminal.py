"""The terminal: whether a stream is one, its width, its colours, and tables that fit it."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

_LEAST = 20
"""Columns that a wrapped last cell needs; with less room a row is printed as a paragraph."""


class Colour(StrEnum):
    """The colours, as the codes of a terminal."""

    BAD = "31;1"
    WARNING = "33"
    GOOD = "32"
    HINT = "36"


_MARKS = (("❌", Colour.BAD), ("⚠", Colour.WARNING), ("✅", Colour.GOOD), ("⛔", Colour.BAD))
_LABELS = (
    ("error:", Colour.BAD),
    ("erreur :", Colour.BAD),
    ("warning:", Colour.WARNING),
    ("avertissement :", Colour.WARNING),
    ("hint:", Colour.HINT),
    ("conseil :", Colour.HINT),
)
"""In English and in French."""


def has_colours(stream: TextIO) -> bool:
    """Return whether colours go to a stream: a terminal that knows them, and no NO_COLOR (https://no-color.org)."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(text: str, stream: TextIO) -> str:
    """Return a text as a stream shows it: lines with a mark and the labels of errors have colours on a terminal."""
    if not has_colours(stream):
        return text
    return "\n".join(map(_line, text.split("\n")))


def width(stream: TextIO) -> int | None:
    """Return the columns of a terminal, None for another stream: there a line is never broken."""
    if not stream.isatty():
        return None
    from shutil import get_terminal_size  # noqa: PLC0415 - a pipe needs none of it

    return get_terminal_size().columns


def table_lines(header_cells: Sequence[str], rows: Sequence[Sequence[str]], limit: int | None) -> Iterator[str]:
    """Yield the lines of a table, its header first: the first column is text, the others numbers or short words.

    If it is wider than `limit` columns, the last column is wrapped, or each row is a paragraph below its first cell.
    No cell is cut.
    """
    widths = [max(len(row[i]) for row in [header_cells, *rows]) for i in range(len(header_cells))]
    room = None if limit is None else limit - sum(widths[:-1]) - 2 * (len(widths) - 1)
    if room is None or room >= widths[-1]:
        for row in [header_cells, *rows]:
            yield "  ".join(_aligned(row, widths)).rstrip()
    elif room >= _LEAST:
        for row in [header_cells, *rows]:
            yield from _wrapped(row, widths, room)
    else:
        for row in rows:
            yield row[0]
            named = zip(header_cells[1:], row[1:], strict=True)
            text = ", ".join(f"{name.strip().lower()} {cell}" for name, cell in named if cell)
            yield from (f"  {line}" for line in _lines_of(text, (limit or 0) - 2))


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(size) for cell, size in zip(row[1:], widths[1:], strict=True))]


def _wrapped(row: Sequence[str], widths: Sequence[int], room: int) -> Iterator[str]:
    before = "".join(f"{cell}  " for cell in _aligned(row[:-1], widths[:-1]))
    first, *others = _lines_of(row[-1], room) or [""]
    yield f"{before}{first}".rstrip()
    for line in others:
        yield " " * len(before) + line


def _lines_of(text: str, columns: int) -> list[str]:
    from textwrap import wrap  # noqa: PLC0415 - only a table that is too wide needs it

    return wrap(text, columns)


def _line(line: str) -> str:
    for mark, colour in _MARKS:
        if line.startswith(mark):
            return _painted(line, colour)
    bare = line.lstrip()
    for label, colour in _LABELS:
        if bare.startswith(label):
            return line.replace(label, _painted(label, colour), 1)
    return line


def _painted(text: str, colour: Colour) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"
