"""SQL text: identifiers and literals quoted by rule."""

from __future__ import annotations


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
