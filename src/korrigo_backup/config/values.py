"""Values of the configuration: the base class of its sections, limits of numbers, and readers of raw values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from korrigo_backup.core.secret import Secret

Reader = Callable[[object], object]
"""Returns a raw value as its key takes it; raises ValueError in words. The type is checked afterwards."""

Words = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
Count = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section: unknown keys are refused, values never change after loading.

    `readers` are applied to raw values by key; a number and a switch always have one. `parts` are the sections inside
    of this one, `lists` those of which there may be several, `named` those that stand in a table by name.
    """

    readers: ClassVar[Mapping[str, Reader]] = {}
    parts: ClassVar[Mapping[str, type[Section]]] = {}
    lists: ClassVar[Mapping[str, type[Section]]] = {}
    named: ClassVar[Mapping[str, type[Section]]] = {}


class WrongEntryError(ValueError):
    """An entry of a table that its reader does not take; `key` names the entry."""

    def __init__(self, key: str, words: str) -> None:
        super().__init__(words)
        self.key = key


def decoded(kind: type, value: object) -> object:
    """Return a path or a secret from text, as msgspec's `dec_hook`. `~` in a path is the home directory.

    No shell sees to `~` in an environment file or in TOML. Raises ValueError in words.
    """
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 - msgspec names the place of a ValueError
    return Secret(value) if kind is Secret else _path(value)


def encoded(value: object) -> object:
    """Return a path or a secret as text, as msgspec's `enc_hook`; a secret stays hidden."""
    return str(value)


def label(value: object) -> object:
    """Read a name that is written in manifests, tables and messages."""
    if isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise ValueError("must be a name, without control characters")
    return value


def number(value: object) -> object:
    """Read a number, also as text between blanks, with a sign, and with zeros in front, as variables have it."""
    if isinstance(value, str):
        text = value.strip()
        try:
            value = int(text) if re.fullmatch(r"[+-]?\d+(_\d+)*", text, re.ASCII) else float(text)
        except ValueError:  # thousands of digits, too, in words of Python's own
            raise ValueError("must be a number, not other text") from None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def switch(value: object) -> object:
    """Read true or false, also as 1 or 0 and as text."""
    if isinstance(value, str):
        return _SWITCH.get(value.lower(), value)
    return bool(value) if isinstance(value, (int, float)) and value in {0, 1} else value


_SWITCH = dict.fromkeys(("yes", "on", "y", "t", "true", "1"), True)
_SWITCH |= dict.fromkeys(("no", "off", "n", "f", "false", "0"), False)


def _path(value: str) -> Path:
    if not value:
        raise ValueError("must not be empty")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("has ~ and no such home directory") from None
