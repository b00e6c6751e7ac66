"""JSON for people and programs: an object is indented, each element of a list stands on its own line.

A manifest of 24,000 tables stays a third smaller than with every value on its own line, and `grep` finds a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEP = "  "


def lay_out(content: Mapping[str, object]) -> bytes:
    """Return `content` as JSON, UTF-8, ending in a newline."""
    return _object(content, "\n").encode() + b"\n"


def _object(content: Mapping[str, object], line: str) -> str:
    inside = line + _STEP
    lines = [f"{inside}{_text(str(key))}: {_value(value, inside)}" for key, value in content.items()]
    return "{" + ",".join(lines) + (line if lines else "") + "}"


def _value(value: object, line: str) -> str:
    if isinstance(value, dict):
        return _object(value, line)
    if isinstance(value, list | tuple) and value:
        inside = line + _STEP
        return "[" + ",".join(inside + _text(element) for element in value) + line + "]"
    return _text(value)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
