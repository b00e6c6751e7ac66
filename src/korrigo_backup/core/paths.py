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


def leads_out(path: str, target: str) -> bool:
    """Return whether a symbolic link at `path`, relative to a tree, names something outside of the tree by its text."""
    if target.startswith("/"):
        return True
    depth = path.count("/")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in {"", "."}:
            depth += 1
        if depth < 0:
            return True
    return False


def stays_inside(path: str, target: str) -> bool:
    """Return whether a link at `path` stays in the tree also when its target goes through links that stay in it.

    Steps up may only come first, where no directory above is a link.
    """
    parts = [part for part in target.split("/") if part not in {"", "."}]
    up = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    return not target.startswith("/") and up <= path.count("/") and ".." not in parts[up:]


def on_one_line(text: str) -> str:
    """Return a typed text in a form for a table: white space becomes one blank, control characters are escaped."""
    return printable(" ".join(text.split()))
