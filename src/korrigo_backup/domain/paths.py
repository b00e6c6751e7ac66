"""Paths below the media root, and words of people: how they are ordered and shown.

Bytes that are not UTF-8 are surrogate escapes.
"""

from __future__ import annotations


def order(path: str) -> tuple[bytes, ...]:
    """Return the key by which walks, archives and lists of paths are sorted: the parts of the path as bytes."""
    return tuple(path.encode("utf-8", "surrogateescape").split(b"/"))


def printable(path: str) -> str:
    """Return a path as it can be shown anywhere: bytes that are not UTF-8 and control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in readable(path))


def readable(text: str) -> str:
    """Return text that may hold a name as UTF-8 can hold it: bytes that are not UTF-8, half characters, escaped."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # from JSON, which can write half a character
        return text.encode("utf-8", "backslashreplace").decode()


def on_one_line(text: str) -> str:
    """Return what somebody typed as it can stand in a table: white space is one blank, control characters escaped."""
    return printable(" ".join(text.split()))
