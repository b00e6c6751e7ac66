"""The text of a Django fixture: a JSON array of objects, read one object at a time.

Our own have one object a line; Korrigo's former command and `dumpdata` write any layout. Either way the whole file is
never in memory.
"""

from __future__ import annotations

import codecs
import json
from itertools import chain
from typing import IO, TYPE_CHECKING

import msgspec

from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OPENING = b"[\n"
SEPARATOR = b",\n"
CLOSING = b"\n]\n"

LARGEST_LINE = 1 << 30
"""Bytes of an object on its line; PostgreSQL holds no larger value."""

LARGEST_LOOSE = 1 << 26
"""Characters of an object in a file of another layout, where the end of a broken object cannot be seen."""

_SPACE = " \t\r\n"
_LOOK = 4096
"""Bytes from which the layout of a file is derived for messages."""


class FixtureHeader(msgspec.Struct):
    """The keys that every object of a fixture has, of any model."""

    model: str
    fields: msgspec.Raw


HEADER = msgspec.json.Decoder(FixtureHeader)
HEADERS = msgspec.json.Decoder(list[FixtureHeader])


def indented(value: bytes, spaces: int) -> bytes:
    """Return the JSON text of an object with each field on a line of its own; the text of a value stays as it is."""
    outer = _LAYER.decode(value)
    outer["fields"] = msgspec.Raw(_layer(_LAYER.decode(outer["fields"]), " " * spaces, 2))
    return _layer(outer, " " * spaces, 1)


_LAYER = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _layer(values: Mapping[str, msgspec.Raw | bytes], indent: str, depth: int) -> bytes:
    edge = ("\n" + indent * depth).encode()
    lines = [msgspec.json.encode(name) + b": " + bytes(value) for name, value in values.items()]
    return b"{" + edge + (b"," + edge).join(lines) + edge.removesuffix(indent.encode()) + b"}"


def objects(chunks: Iterable[bytes], source: str) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the JSON text of each object of a fixture.

    The number is the line in a file of ours (counted from 1), else the object's place in the array. An object's
    text may still be wrong JSON; the array around it is right when this ends. Raises ProofFailed.
    """
    stream = iter(chunks)
    start = next(stream, b"")
    for chunk in stream:
        start += chunk
        if b"\n" in start[len(OPENING) :]:
            break
    whole = chain((start,), stream)
    return _by_line(whole, source) if _is_ours(start) else _by_value(whole, source)


def is_ours(file: IO[bytes]) -> bool:
    """Return whether a fixture has one object a line; the file is left at its start."""
    file.seek(0)
    start = file.read(_LOOK)
    file.seek(0)
    return _is_ours(start)


def _is_ours(start: bytes) -> bool:
    first = start[len(OPENING) :].split(b"\n", 1)[0]
    return start.startswith(OPENING) and (first == b"]" or (first[:1] == b"{" and first[1:].lstrip()[:1] == b'"'))


def _by_line(chunks: Iterable[bytes], source: str) -> Iterator[tuple[int, bytes]]:
    lines = enumerate(_lines(chunks, source), start=1)
    next(lines)  # the opening bracket
    closed, comma = False, True
    for number, line in lines:
        if closed and line:
            raise _damaged(source, f"line {number}: the file goes on after the end of the array")
        if line in {b"]", b""}:
            closed = closed or (line == b"]" and (not comma or number == 2))  # noqa: PLR2004 - the first line
            continue
        if not comma:
            raise _damaged(source, f"line {number}: a comma is missing before it")
        comma = line.endswith(b",")
        yield number, line[:-1] if comma else line
    if not closed:
        raise _damaged(source, "the end of the array is missing: the file is cut")


def _lines(chunks: Iterable[bytes], source: str) -> Iterator[bytes]:
    pending: list[bytes] = []
    size = 0
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        pending.append(first)
        size += len(first)
        if others:
            yield b"".join(pending)
            yield from others[:-1]
            pending, size = [others[-1]], len(others[-1])
        elif size > LARGEST_LINE:
            raise _damaged(source, f"a line is longer than {LARGEST_LINE} bytes")
    yield b"".join(pending)


def _by_value(chunks: Iterable[bytes], source: str) -> Iterator[tuple[int, bytes]]:
    text = _Text(chunks, source)
    if text.next_sign() != "[":
        raise _damaged(source, "it is not a JSON array")
    number, sign = 0, text.next_sign()
    while sign == "{":
        number += 1
        yield number, text.take_value()
        sign = text.next_sign()
        if sign == ",":
            sign = text.next_sign()
            if sign != "{":
                raise _damaged(source, f"after object {number} another was announced")
            continue
        break
    if sign != "]":
        raise _damaged(
            source, f"after object {number} the array has no next object and no end: the file is cut or altered"
        )
    if text.next_sign():
        raise _damaged(source, "the file goes on after the end of the array")


class _Text:
    """The text of a file, of which only the object at hand is kept."""

    def __init__(self, chunks: Iterable[bytes], source: str) -> None:
        self._chunks = iter(chunks)
        self._source = source
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0

    def next_sign(self) -> str:
        """Return the next character that is not space and step over it, unless it opens an object; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                sign = self._text[self._at]
                self._at += sign != "{"
                return sign
            if not self._more(1):
                return ""

    def take_value(self) -> bytes:
        """Return the text of the object that begins here."""
        while True:
            try:
                _, end = self._scan(self._text, self._at)
            except ValueError as problem:
                if not self._more(len(self._text) - self._at):
                    raise _damaged(self._source, f"it is cut or is not JSON: {problem}") from None
            except RecursionError:
                raise _damaged(self._source, "an object is nested too deeply") from None
            else:
                value, self._at = self._text[self._at : end], end
                return value.encode()

    def _more(self, wanted: int) -> bool:
        parts = [self._text[self._at :]]
        self._text, self._at = parts[0], 0
        if len(parts[0]) > LARGEST_LOOSE:
            return False
        got = 0
        for chunk in self._chunks:
            try:
                parts.append(self._decode(chunk))
            except UnicodeDecodeError as problem:
                raise _damaged(self._source, f"it is not UTF-8: {problem}") from None
            got += len(parts[-1])
            if got >= wanted:
                break
        self._text = "".join(parts)
        return got > 0


def _damaged(source: str, what: str) -> ProofFailed:
    return ProofFailed(
        f"{source}: {what}",
        hint="the backup is damaged: use another (korrigo-backup list); the site is unchanged",
    )
