"""The listing of a media archive: one line a file, as `sha256sum` writes and `sha256sum -c` reads.

A line is the SHA-256, two spaces and the path as it stands in the archive; a path that holds a backslash or a line
break is escaped and its line begins with a backslash (coreutils' rule).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.system.streams import ByteSource

_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"))
_SHA256_DIGITS = 64
_PIECE = 64 * 1024
_LONGEST = 32 * 1024
"""Bytes of a line; a path has at most 4,096, each escaped to two."""


def line(sha256: str, path: str) -> bytes:
    """Return the line of a member."""
    escaped = path
    for character, escape in _ESCAPES:
        escaped = escaped.replace(character, escape)
    mark = "\\" if escaped != path else ""
    return f"{mark}{sha256}  {escaped}\n".encode("utf-8", "surrogateescape")


def read(file: ByteSource, source: str) -> Iterator[tuple[str, str]]:
    """Yield (SHA-256, path) of each line; raises ProofFailed for an invalid line.

    `file` may be unbuffered; it is read ahead of the lines that were yielded.
    """
    for raw in _lines(file):
        text = raw.decode("utf-8", "surrogateescape")
        escaped = text.startswith("\\")
        digest, gap, path = text.removeprefix("\\").removesuffix("\n").partition("  ")
        if len(digest) != _SHA256_DIGITS or not gap or not path or not text.endswith("\n"):
            raise ProofFailed(
                f"{source} has a line that is not a checksum and a path",
                hint="the file is damaged: use another backup (korrigo-backup list)",
            )
        yield digest, _unescape(path) if escaped else path


def below(files: Iterable[tuple[str, str]], root: str) -> Iterator[tuple[str, str]]:
    """Yield the files of an archive's listing with their paths below the archive's root."""
    return ((digest, path.removeprefix(f"{root}/")) for digest, path in files)


def _lines(file: ByteSource) -> Iterator[bytes]:
    rest = b""
    while piece := file.read(_PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in lines)
        if len(rest) > _LONGEST:
            break
    if rest:
        yield rest


def _unescape(text: str) -> str:
    parts, rest = [], text
    while rest:
        head, mark, rest = rest.partition("\\")
        parts.append(head)
        if mark:
            parts.append({"n": "\n", "r": "\r"}.get(rest[:1], rest[:1]))
            rest = rest[1:]
    return "".join(parts)
