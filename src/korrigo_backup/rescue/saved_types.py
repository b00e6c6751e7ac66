"""Columns whose live type may hold less than the type of the backup: their values are loaded as text, too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHOLE = ("smallint", "integer", "bigint")
_ANY_TEXT = frozenset({"text", "character varying"})
_TEXT = re.compile(r"(character varying|character)\((\d+)\)")
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_WIDER = frozenset({("real", "double precision"), ("json", "jsonb")})


def narrowed(saved: Mapping[str, str], live: Mapping[str, str]) -> dict[str, str]:
    """Return the saved types of the columns whose live type may hold less, by column.

    Only columns of both are compared. A type of a schema is the same without its schema.
    """
    return {
        name: saved[name]
        for name, kind in live.items()
        if name in saved and not _holds(saved[name].rpartition(".")[2], kind.rpartition(".")[2])
    }


def _holds(saved: str, live: str) -> bool:
    """Return whether each value of a type is the same in another type, or refused by it."""
    if saved == live or (saved, live) in _WIDER or live == "uuid":  # a text that is no UUID is refused
        return True
    if live in _ANY_TEXT:
        return saved != "boolean"  # a dump has t and f, which the site's own texts are not
    if saved in _WHOLE:
        return live in {*_WHOLE, "numeric"}
    if (was := _TEXT.fullmatch(saved)) and (now := _TEXT.fullmatch(live)):
        return was[1] == now[1] == "character varying" and int(was[2]) <= int(now[2])
    if was := _NUMERIC.fullmatch(saved):
        now = _NUMERIC.fullmatch(live)
        return live == "numeric" or (now is not None and int(was[2]) <= int(now[2]))
    return False
