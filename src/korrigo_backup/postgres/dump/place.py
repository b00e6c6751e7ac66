"""Name the statement of a dump of unknown origin that is refused: its line in the file and its first words.

`foreign.py` puts a mark before each statement, a comment with the statement's end in the text that is loaded. The
server repeats the statement in the context of its error, so the mark identifies it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from korrigo_backup.core.paths import printable
from korrigo_backup.errors import ProofFailed, Refused
from korrigo_backup.postgres.dump.scan import DumpScanner
from korrigo_backup.postgres.server_error import NotPermitted, StatementFailed
from korrigo_backup.system.streams import HashingReader, gunzip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.postgres.dump.guard import Edit, Failure
    from korrigo_backup.postgres.dump.scan import ScanResult
    from korrigo_backup.postgres.server_error import ServerError

_MARK = re.compile(r"/\*korrigo-backup (\d+)\*/")
_SHOWN = 80
"""Characters of a statement that a message shows."""

_PRIVATE = re.compile(r"\s(?:VALUES|PASSWORD)\b.*", re.DOTALL | re.IGNORECASE)
"""Rows and passwords in a statement: a message goes into the journal."""

_NO_RIGHT = "42501"
_NO_BLOCK = "25001"
"""ALTER SYSTEM, CREATE DATABASE and others that no transaction can roll back."""


class NoRight(Refused):
    """The dump needs a right that the restricted role which loads it does not have."""


ASK = "do not load it: no dump of a site's database needs this; ask the person who made it"
_ASK_WHY = "do not load it before you know why it needs this extension: ask its maker"


def mark(end: int) -> bytes:
    """Return the mark of the statement that ends at an offset of the text that is loaded."""
    return b"/*korrigo-backup %d*/" % end


@dataclass(frozen=True)
class Position:
    """A statement of a dump, and the line at which it begins."""

    line: int
    statement: bytes

    @property
    def makes_extension(self) -> bool:
        """Whether the statement is CREATE EXTENSION."""
        return self.statement.split(maxsplit=2)[:2] == [b"CREATE", b"EXTENSION"]

    def __str__(self) -> str:
        """Return line and first words."""
        return f"line {self.line}: {first_words(self.statement)!r}"


def located(file: IO[bytes], source: str, end: int) -> Position:
    """Return the statement that ends at an offset of a dump; the file's position changes."""
    finder = _Finder(source, end)
    for piece in _text(file, source):
        finder.feed(piece)
        if finder.found:
            break
    offset, statement = finder.found or (end, b"")
    return Position(_line(file, source, offset), statement)


def first_words(statement: bytes) -> str:
    """Return the beginning of a statement on a single line, without rows and passwords."""
    words = " ".join(_PRIVATE.sub(" …", statement[: 4 * _SHOWN].decode(errors="replace")).split())
    return printable(words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…")


@contextmanager
def naming(file: IO[bytes], source: str, edits: Iterable[Edit]) -> Iterator[None]:
    """Let an error of the server name the statement of the dump; `edits` were made before the marks were put.

    Raises Refused for a statement that the loading role has no right to.
    """
    try:
        yield
    except NotPermitted as problem:
        raise _refused(problem.message, _which(file, source, edits, problem.server), source) from None
    except StatementFailed as problem:
        which = _which(file, source, edits, problem.server)
        if problem.server.sqlstate == _NO_BLOCK:
            raise _refused(problem.message, which, source) from None
        if which is None:
            raise
        hint = f"{_ASK_WHY}: {problem.hint}" if which.makes_extension else problem.hint
        raise StatementFailed(f"{source}, {which}: {problem.message}", hint=hint, server=problem.server) from None


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Let an error of the server while loaded tables are read name the dump: functions of its indexes run then."""
    try:
        yield
    except NotPermitted as problem:
        what = f"{source} brings code that runs while its tables are read, and that has no right to: {problem.message}"
        raise NoRight(what, hint=ASK) from None


def require_permitted(file: IO[bytes], source: str, edits: Iterable[Edit], failed: Iterable[Failure]) -> None:
    """Raise Refused for an index or a constraint of the dump whose functions ask for rights."""
    for one in failed:
        if one.sqlstate == _NO_RIGHT and one.kind != "view":
            place = next((at + len(text) for at, text, _ in edits if text.startswith(one.statement.encode())), None)
            which = first_words(one.statement.encode()) if place is None else located(file, source, place)
            raise _refused(one.message, which, source)


def require_plain_transactions(file: IO[bytes], source: str, scan: ScanResult) -> None:
    """Raise ProofFailed for a dump that ends or rolls back a transaction which it has not begun.

    The file is left at its start.
    """
    if scan.odd_transactions:
        which = located(file, source, scan.odd_transactions[0])
        file.seek(0)
        raise ProofFailed(f"{source} holds a transaction command that pg_dump does not write, {which}", hint=ASK)


def _refused(message: str, which: Position | str | None, source: str) -> NoRight:
    what = f"{source}, {which}" if which else f"a statement of {source}"
    return NoRight(f"the role that loads the dump has no right to {what}: {message}", hint=ASK)


def _which(file: IO[bytes], source: str, edits: Iterable[Edit], server: ServerError | None) -> Position | None:
    """Return the statement that the server names, None when it names none of the dump."""
    marks = _MARK.findall(f"{server.query} {server.context}") if server else []
    return located(file, source, _in_dump(int(marks[-1]), edits)) if marks else None


def _in_dump(end: int, edits: Iterable[Edit]) -> int:
    """Return the offset in the dump of an offset in its edited text."""
    shift = 0
    for offset, text, new in edits:
        if end <= offset + shift:
            break
        shift += len(new) - len(text)
    return end - shift


def _text(file: IO[bytes], source: str) -> Iterator[bytes]:
    file.seek(0)
    return gunzip(HashingReader(file), source)


def _line(file: IO[bytes], source: str, offset: int) -> int:
    line, position = 1, 0
    for piece in _text(file, source):
        line += piece.count(b"\n", 0, max(0, offset - position))
        position += len(piece)
        if position >= offset:
            break
    return line


class _Finder(DumpScanner):
    """Finds the first statement that ends at an offset or after it."""

    def __init__(self, source: str, end: int) -> None:
        super().__init__(source)
        self._end = end
        self.found: tuple[int, bytes] | None = None

    def _noted(self, statement: bytes, offset: int) -> None:
        super()._noted(statement, offset)
        if self.found is None and offset + len(statement) + 1 >= self._end:
            self.found = offset, statement
