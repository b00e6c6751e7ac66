"""SQL text: identifiers and literals quoted by rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def identifier(name: str) -> str:
    """Return `name` as a quoted identifier. A NUL cannot be in an identifier (ValueError)."""
    if "\0" in name:
        raise ValueError("an SQL identifier cannot hold a NUL character")
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return `text` as a string literal that means the same with any standard_conforming_strings."""
    if "\0" in text:
        raise ValueError("an SQL string cannot hold a NUL character")
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def json_numbers(numbers: Iterable[str]) -> str:
    """Return the expression of a JSON array of expressions of whole numbers.

    A function, as json_build_array is, takes at most a hundred arguments; a site may have more tables or columns.
    """
    return f"to_json(ARRAY[{', '.join(numbers)}]::bigint[])"
