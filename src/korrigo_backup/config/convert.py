"""Raw values by section and key, turned into a configuration; mistakes are named by their place, in plain words."""

from __future__ import annotations

import difflib
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, get_args, get_origin, get_type_hints

import msgspec

from korrigo_backup.config.model import SECTIONS, Configuration
from korrigo_backup.config.values import Section, WrongEntryError, decoded
from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from korrigo_backup.config.values import Reader

Place = tuple[str, ...]
"""Section and key; in a list of sections, the position and the key in it follow."""

_TYPES = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list",
          "object": "a table", "null": ""}  # fmt: skip
"""The names of msgspec for types, in words."""


class WrongValueError(ValueError):
    """A value that its key does not take; `place` names the key."""

    def __init__(self, place: Place, words: str) -> None:
        super().__init__(words)
        self.place = place
        self.words = words


def convert(tree: Mapping[str, object]) -> Configuration:
    """Return the configuration that raw values by section and key give.

    Raises UsageError for an unknown key, with the known ones, and WrongValueError.
    """
    for place, known in _unknown(Configuration, tree, ()):  # first: a misspelt key hides the key that it stands for
        near = difflib.get_close_matches(place[-1], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}"
        raise UsageError(f"the configuration has an unknown key {'.'.join(place)!r}", hint=hint)
    try:
        return msgspec.convert(_read(Configuration, tree, ()), Configuration, dec_hook=decoded)
    except msgspec.ValidationError as problem:
        raise _explained(str(problem)) from None


def _parts(model: type[Section]) -> Mapping[str, type[Section]]:
    single = SECTIONS if model is Configuration else {**model.parts, **model.lists}
    return {**single, **model.named}


def _tables(model: type[Section], key: str, value: object, place: Place) -> list[tuple[Place, Mapping[str, object]]]:
    """Return the tables of a value that is a section, or a list or table of sections; none if it is of another type."""
    if key in model.named:
        by_name = value if isinstance(value, dict) else {}
        return [((*place, key, name), one) for name, one in by_name.items() if isinstance(one, dict)]
    if key in model.lists:
        listed = value if isinstance(value, list) else []
        return [((*place, key, str(index)), one) for index, one in enumerate(listed) if isinstance(one, dict)]
    return [((*place, key), value)] if isinstance(value, dict) else []


def _unknown(model: type[Section], values: Mapping[str, object], place: Place) -> Iterator[tuple[Place, Iterable[str]]]:
    """Yield the place of each unknown key, with the known keys."""
    known = model.__struct_fields__
    yield from (((*place, key), known) for key in values if key not in known)
    for key, part in _parts(model).items():
        for where, inner in _tables(model, key, values.get(key), place):
            yield from _unknown(part, inner, where)


def _read(model: type[Section], values: Mapping[str, object], place: Place) -> dict[str, object]:
    """Return values as the readers of their sections read them; raises WrongValueError."""
    done: dict[str, object] = {}
    parts = _parts(model)
    unset = _without_default(model)
    for key, value in values.items():
        if value == "" and key in unset:
            continue  # as an empty variable
        done[key] = value
        if reader := model.readers.get(key):
            done[key] = _applied(reader, value, (*place, key))
        elif part := parts.get(key):
            found = _tables(model, key, value, place)
            tables = [_read(part, inner, where) for where, inner in found]
            if key in model.named and isinstance(value, dict) and len(tables) == len(value):
                done[key] = {where[-1]: table for (where, _), table in zip(found, tables, strict=True)}
            elif isinstance(value, dict) and tables and key not in model.named:
                (done[key],) = tables
            elif isinstance(value, list) and len(tables) == len(value):
                done[key] = tables
    return done


def _without_default(model: type[Section]) -> frozenset[str]:
    """Return the keys whose default is that they are not set."""
    defaults = model.__struct_defaults__
    named = zip(reversed(model.__struct_fields__), reversed(defaults), strict=False)
    return frozenset(key for key, default in named if default is None)


def _applied(reader: Reader, value: object, place: Place) -> object:
    try:
        return reader(value)
    except WrongEntryError as problem:
        raise WrongValueError((*place, problem.key), str(problem)) from None
    except ValueError as problem:
        words = str(problem)
        raise WrongValueError(place, words[:1].lower() + words[1:]) from None


def _explained(words: str) -> WrongValueError:
    """Return the error for one of msgspec, which ends in its place."""
    words, _, path = words.rpartition(" - at `")
    place = tuple(re.findall(r"[\w-]+", path.partition("$")[2]))
    if words.startswith("Invalid enum value") and (choices := _choices(place)):
        return WrongValueError(place, f"must be one of {', '.join(choices)}")
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", words):
        return WrongValueError((*place, missing[1]), "is missing")
    plain = re.sub(r"`([^`]+)`", lambda found: _in_words(found[1]), words)
    plain = (
        re.sub(r"(?<=[<>=] )(-?\d+)\.0$", r"\1", plain).replace("matching regex", "that matches").replace("\\\\", "\\")
    )
    return WrongValueError(place, re.sub(r"^Expected", "must be", plain))


def _in_words(types: str) -> str:
    return " or ".join(filter(None, (_TYPES.get(one, one) for one in types.split(" | "))))


def _choices(place: Place) -> tuple[str, ...]:
    """Return the values that a key with fixed choices takes, in the order of their definition."""
    model: type[Section] = Configuration
    for key in place:
        if inner := _parts(model).get(key):
            model = inner
        elif key in model.__struct_fields__:
            return tuple(_choices_of(get_type_hints(model)[key]))
    return ()


def _choices_of(hint: object) -> Iterator[str]:
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    elif isinstance(hint, type) and issubclass(hint, StrEnum):
        yield from (str(one) for one in hint)
    else:
        for inner in get_args(hint):
            yield from _choices_of(inner)
