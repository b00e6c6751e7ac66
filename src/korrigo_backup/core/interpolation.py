"""Variables in a text, replaced as Docker Compose replaces them (compose-spec, "Interpolation")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Lookup = Callable[[str], str | None]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")


class MissingVariable(ValueError):
    """A reference `${NAME:?reason}` to a variable without a value. The message quotes no text of the file."""


@dataclass(frozen=True)
class Interpolated:
    """The text with its variables replaced. `unset` is True if a variable had no value and became an empty text."""

    text: str
    unset: bool = False


def interpolate(text: str, lookup: Lookup, *, strict: bool = True) -> Interpolated:
    """Return `text` with `$NAME`, `${NAME}` and the forms with `-`, `:-`, `?`, `:?`, `+`, `:+` replaced; `$$` is `$`.

    The word after an operator may hold variables too. A `$` that begins no reference stays as it is, although Compose
    would refuse it. `lookup` returns None for a variable that is not set. Raises MissingVariable if a variable that
    must have a value has none; unless `strict`, such a variable becomes an empty text.
    """
    done: list[str] = []
    unset = False
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        done.append(text[at:dollar])
        value, at = _reference(text, dollar, lookup, strict=strict)
        unset |= value.unset
        done.append(value.text)
    done.append(text[at:])
    return Interpolated("".join(done), unset)


def _reference(text: str, dollar: int, lookup: Lookup, *, strict: bool) -> tuple[Interpolated, int]:
    """Return the value of the reference at `dollar`, and the place behind it."""
    if text.startswith("$$", dollar):
        return Interpolated("$"), dollar + 2
    if plain := _NAME.match(text, dollar + 1):
        return _plain(lookup(plain[0])), plain.end()
    name = _NAME.match(text, dollar + 2) if text.startswith("${", dollar) else None
    end = _closing(text, dollar + 1) if name else -1
    if name is None or end < 0:
        return Interpolated("$"), dollar + 1
    rest = text[name.end() : end]
    if not rest:
        return _plain(lookup(name[0])), end + 1
    operator = _OPERATOR.match(rest)
    if operator is None:
        return Interpolated("$"), dollar + 1
    return _decided(lookup(name[0]), operator[0], rest[operator.end() :], lookup, strict=strict), end + 1


def _plain(value: str | None) -> Interpolated:
    return Interpolated(value or "", unset=value is None)


def _decided(value: str | None, operator: str, word: str, lookup: Lookup, *, strict: bool) -> Interpolated:
    is_there = bool(value) if operator.startswith(":") else value is not None
    match operator[-1]:
        case "-":
            return Interpolated(value or "") if is_there else interpolate(word, lookup, strict=strict)
        case "+":
            return interpolate(word, lookup, strict=strict) if is_there else Interpolated(value or "")
        case _:
            if strict and not is_there:
                raise MissingVariable
            return Interpolated(value or "")


def _closing(text: str, brace: int) -> int:
    """Return the place of the brace that closes the brace at `brace`, -1 where there is none."""
    depth = 0
    for place in range(brace, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return -1
