"""Decide which columns name media files, from samples of their values and the files that are there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

_PATH = re.compile(r"(?=.*[/.])[^\x00-\x1f]{3,1024}")
_ENDING = re.compile(r"\.\w{1,5}$")
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*:|//")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

LIKE = 0.95
"""The share of a column's values that must look like paths: each value of a path column is taken for a path."""

HITS = 0.5
"""The share of those that must name a file: a site may have lost some."""

_KEYS = 4
"""Different keys at one place of a JSON document, above which the place stands for every key."""

_DEEPEST = 20

Step = str | None
"""A step into a JSON value: a key, or None for every element of an array."""


@dataclass
class Tally:
    """How many strings of a place were seen, look like a path, and name a file."""

    seen: int = 0
    alike: int = 0
    hits: int = 0
    files: set[str] = field(default_factory=set)

    @property
    def is_media(self) -> bool:
        """Whether these values name media files. A single bare name may be chance, a path below a directory is not."""
        enough = len(self.files) > 1 or any("/" in file for file in self.files)
        return enough and self.alike >= LIKE * self.seen and self.hits >= HITS * self.alike

    def add(self, other: Tally) -> None:
        """Add the counts of another place."""
        self.seen, self.alike, self.hits = self.seen + other.seen, self.alike + other.alike, self.hits + other.hits
        self.files |= other.files


@dataclass(frozen=True)
class Proposal:
    """An entry for `[media] columns`, and how many of the sampled values name a file."""

    entry: str
    sampled: int
    hits: int


def is_alike(value: str) -> bool:
    """Return whether a value looks like the path of a file: with a directory or an ending, no address, one line."""
    if not _PATH.fullmatch(value) or _ADDRESS.match(value) or value != value.strip():
        return False
    return bool(_ENDING.search(value)) or ("/" in value and " " not in value and not value.endswith("/"))


def relative(value: str, roots: Iterable[str]) -> str:
    """Return a value as `references.named_files` takes it: relative to the first of `roots` that it begins with."""
    for root in roots:
        head = "/" + root.strip("/") + "/"
        value = re.sub("/+", "/", value)
        value = value.removeprefix(head)
    return value


def strings(value: object, place: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Yield each string of a JSON value that is not empty, with the way to it."""
    if isinstance(value, str):
        if value:
            yield place, value
    elif len(place) > _DEEPEST:
        return
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner, (*place, None))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(inner, (*place, key))


def propose(column: str, samples: Sequence[object], roots: Sequence[str], files: Container[str]) -> list[Proposal]:
    """Return the entries for a column.

    `column` is its name as `[media] columns` has it, `samples` are values, `files` the paths that are there. Where
    every string of a JSON column names a file the column itself is proposed, else the ways to those that do.
    """
    places: dict[tuple[Step, ...], Tally] = {}
    for place, value in (found for sample in samples for found in strings(sample)):
        tally = places.setdefault(place, Tally())
        tally.seen += 1
        if is_alike(value):
            tally.alike += 1
            path = relative(value, roots)
            if path in files:
                tally.hits += 1
                tally.files.add(path)
    whole = Tally()
    for tally in places.values():
        whole.add(tally)
    if whole.is_media:
        return [Proposal(column, whole.seen, whole.hits)]
    return [
        Proposal(f"{column}:{_json_path(place)}", tally.seen, tally.hits)
        for place, tally in sorted(_gathered(places).items(), key=lambda one: _json_path(one[0]))
        if place and tally.is_media
    ]


_ANY = "*"


def _gathered(places: dict[tuple[Step, ...], Tally]) -> dict[tuple[Step, ...], Tally]:
    """Return the places, merged where they differ only in a key with many values."""
    keys: dict[tuple[Step, ...], set[str]] = {}
    for place in places:
        for depth, step in enumerate(place):
            if step is not None:
                keys.setdefault(_around(place, depth), set()).add(step)
    found: dict[tuple[Step, ...], Tally] = {}
    for place, tally in places.items():
        wide = tuple(
            _ANY if len(keys.get(_around(place, depth), ())) > _KEYS else step for depth, step in enumerate(place)
        )
        found.setdefault(wide, Tally()).add(tally)
    return found


def _around(place: tuple[Step, ...], depth: int) -> tuple[Step, ...]:
    """Return the common part of places that differ in a single key."""
    return (str(depth), *place[:depth], None, *place[depth + 1 :]) if place[depth] is not None else ()


def _json_path(place: tuple[Step, ...]) -> str:
    """Return the SQL/JSON path that leads to a place."""
    written = "$"
    for step in place:
        if step is None:
            written += "[*]"
        elif step == _ANY or _PLAIN_KEY.fullmatch(step):
            written += f".{step}"
        else:
            written += f".{json.dumps(step)}"
    return written
