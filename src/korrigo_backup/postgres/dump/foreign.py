r"""Rewrite a dump of unknown origin so that psql reads only text of ours.

psql is an interpreter: it runs programs (`\!`, `\copy … program`, backquotes), and where its lexer sees the end of a
statement depends on settings and encodings that the dump itself changes. So that lexer is given no SQL of such a dump:

* a statement travels as base64 inside a DO block of ours, and the server executes it;
* COPY is written anew from the parsed names, and its rows are escaped anew: a backslash in them is followed by a digit,
  by `N` or by `x`, which begins no psql command, so that rows were harmless even if psql took them for a script.

A statement that is cut in the wrong place is an error on the server, where it runs with the loading role's rights.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING

from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.dump.place import mark
from korrigo_backup.postgres.dump.scan import BEGIN, COMMIT, END_MARK, DumpScanner, Sort

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

LONGEST = 256 * 1024 * 1024
"""Bytes of a statement. The server takes values of up to 1 GB, and base64 adds a third."""

BATCH = 256 * 1024
"""Bytes of INSERT statements that share a DO block, and so a transaction."""

UNSAFE_ENCODINGS = ("SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "GB18030", "JOHAB")
"""Client encodings in which a byte of another character can be an ASCII character."""

_END = b"\\.\n"
_EXECUTE = b"EXECUTE pg_catalog.convert_from(pg_catalog.decode('%b','base64'),pg_catalog.pg_client_encoding());"
_BLOCK = b"DO $$BEGIN %b END$$;\n"
_UNLESS = b"BEGIN %b EXCEPTION WHEN %b THEN NULL; END;"
_ABSENT = b"undefined_table OR undefined_object OR undefined_function OR undefined_column OR invalid_schema_name"
_PRESENT = b"duplicate_schema"
_ASCII_SAFE = (
    b"DO $$BEGIN IF pg_catalog.pg_client_encoding() IN (%b) THEN RAISE 'client_encoding % is not supported',"
    b" pg_catalog.pg_client_encoding(); END IF; END$$;\n"
).replace(b"%b", b",".join(f"'{name}'".encode() for name in UNSAFE_ENCODINGS))

_SETTING = re.compile(
    rb"SET (?:(?:statement|lock|transaction|idle_in_transaction_session)_timeout|client_encoding|client_min_messages"
    rb"|standard_conforming_strings|check_function_bodies|xmloption|row_security|default_tablespace|default_with_oids"
    rb"|default_table_access_method|escape_string_warning) = ('?)[A-Za-z0-9_]*\1"
)
"""Settings that pg_dump writes. The server is given any other as it is given a statement."""

_SEARCH_PATH = re.compile(rb"SET search_path = [a-z_][a-z0-9_]*(?:, [a-z_][a-z0-9_]*)*")
_ENCODING = re.compile(rb"SET\s+(?:client_encoding\b|NAMES\b).*?([A-Za-z0-9_]+)'?", re.DOTALL | re.IGNORECASE)
_INSERT = re.compile(rb"INSERT\s+INTO\b", re.IGNORECASE)
_DROP = re.compile(
    rb"DROP\b|SELECT pg_catalog\.lo_unlink\(|ALTER TABLE .* DROP (?:CONSTRAINT|COLUMN|DEFAULT|IDENTITY)\b", re.DOTALL
)
_SCHEMA = re.compile(rb'CREATE SCHEMA (?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)')
"""The schema public is there, and those of extensions that were made before the load."""
_NAME = re.compile(rb'"((?:[^"]|"")+)"|([A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)')
_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_ODD_PAIR = re.compile(rb"\\[^N0-9x]", re.DOTALL)
_CONTROLS = {b"b": b"010", b"t": b"011", b"n": b"012", b"v": b"013", b"f": b"014", b"r": b"015"}


def as_data(pieces: Iterable[bytes], source: str, without: Collection[Sort] = ()) -> Iterator[bytes]:
    """Yield a script that makes the server run a dump, given in pieces of any size.

    Statements of the sorts `without` are left out, and psql commands always. Raises ProofFailed, naming the statement,
    if it cannot be carried this way.
    """
    rewriter = _Rewriter(source, frozenset(without))
    for piece in pieces:
        yield from rewriter.rewrite(piece)
    yield from rewriter.end()


class _Rewriter(DumpScanner):
    """The scanner that reads every dump, and the rewriting of each statement."""

    def __init__(self, source: str, without: frozenset[Sort]) -> None:
        super().__init__(source)
        self._without = without
        self._held = bytearray()  # the statement under way, byte by byte as it is in the dump
        self._batch: list[bytes] = []
        self._batched = 0
        self._row_rest = b""
        self._ended = False
        self._skipped = False
        self._words = b""

    def rewrite(self, data: bytes) -> Iterator[bytes]:
        """Yield the rewritten next piece."""
        buffer = self._buffer + data if self._buffer else data
        self._buffer, view = b"", memoryview(buffer)
        position = begin = 0
        while position < len(buffer):
            rows = self.in_rows
            after = self._state(buffer, position, final=False)
            if after is None:
                break
            position = after
            if rows:
                yield self._escaped(bytes(view[begin:position]), ended=not self.in_rows)
            elif self._skipped:
                self._held.clear()  # comments, and the psql command after them
            elif self._ended or self.in_rows:
                self._hold(view[begin:position])
                yield from self._become(self._offset + position)
            else:
                continue
            self._ended = self._skipped = False
            begin = position
        self._hold(view[begin:position])
        self._buffer = buffer[position:]
        self._offset += position

    def end(self) -> Iterator[bytes]:
        """Yield the rewritten last bytes."""
        yield from self.rewrite(b"\n" * _ENOUGH)
        self.finish()
        yield from self._flush()
        yield b"\n" + END_MARK + b"\n"

    def _semicolon(self, buffer: bytes, at: int) -> int:
        before = self.result.statements
        after = super()._semicolon(buffer, at)
        self._ended = self.result.statements > before and not self._body
        return after

    def _understood(self, statement: bytes, buffer: bytes, after: int) -> int:
        if not self._body:  # the statements inside of BEGIN ATOMIC are part of the statement around them
            self._words = statement
        return super()._understood(statement, buffer, after)

    def _meta(self, buffer: bytes, at: int, *, final: bool) -> int | None:
        after = super()._meta(buffer, at, final=final)
        self._skipped = after is not None
        return after

    def _hold(self, text: memoryview) -> None:
        if len(self._held) + len(text) > LONGEST:
            raise self._impossible(bytes(self._held[:80]), f"is longer than {LONGEST // 1024**2} MiB")
        self._held += text

    def _become(self, end: int) -> Iterator[bytes]:
        statement, words = mark(end) + self._held, self._words
        self._held.clear()
        if _INSERT.match(words):
            yield from self._insert(statement)
            return
        yield from self._flush()
        if self.in_rows:
            yield from self._copy()
        elif words and self.sort(words) not in (self._without | {Sort.DATABASE}):
            yield self._carried(statement, words)

    def _carried(self, statement: bytes, words: bytes) -> bytes:
        if (found := _ENCODING.match(words)) and found[1].decode().upper() in UNSAFE_ENCODINGS:
            raise self._impossible(words, "sets an encoding whose characters can hide ASCII characters")
        if _SETTING.fullmatch(words) or _SEARCH_PATH.fullmatch(words):
            return words + b";\n"  # of safe characters alone; a second session is given it, too
        if self.is_transaction(words):
            if BEGIN.fullmatch(words):
                return b"BEGIN;\n"
            if COMMIT.fullmatch(words):
                return b"COMMIT;\n"
            raise self._impossible(words, "is a transaction command that pg_dump does not write")
        execute = _EXECUTE % b64encode(statement)
        if _SCHEMA.fullmatch(words):
            execute = _UNLESS % (execute, _PRESENT)
        elif not self.result.creates and _DROP.match(words):  # --clean without --if-exists, in an empty database
            mine = b" OR insufficient_privilege" if _DROP_PUBLIC.fullmatch(words) else b""
            execute = _UNLESS % (execute, _ABSENT + mine)
        return _BLOCK % execute

    def _insert(self, statement: bytes) -> Iterator[bytes]:
        self._batch.append(_EXECUTE % b64encode(statement))
        self._batched += len(statement)
        if self._batched > BATCH:
            yield from self._flush()

    def _flush(self) -> Iterator[bytes]:
        if self._batch:
            yield _BLOCK % b"\n".join(self._batch)
        self._batch, self._batched = [], 0

    def _copy(self) -> Iterator[bytes]:
        table = b".".join(self._names(self.target, b"."))
        columns = b", ".join(self._names(self._columns, b", ")) if self._columns else b""
        if not (table + columns).isascii():
            yield _ASCII_SAFE
        yield b"COPY " + table + (b" (" + columns + b")" if columns else b"") + b" FROM stdin;\n"

    def _names(self, text: bytes, between: bytes) -> Iterator[bytes]:
        """Yield the identifiers in `text` in quotes of ours, folded as the server folds them."""
        position = 0
        while position < len(text):
            found = _NAME.match(text, position)
            if found is None or b"\0" in found[0]:
                raise self._impossible(self.copy, "has a name that cannot be read")
            name = found[2].lower() if found[2] else found[1]
            yield b'"' + name + b'"'
            position = found.end()
            if position < len(text) and not text.startswith(between, position):
                raise self._impossible(self.copy, "has a name that cannot be read")
            position += len(between)

    def _escaped(self, rows: bytes, *, ended: bool) -> bytes:
        """Return rows with each escape written as a number; with `ended` their end mark is in them."""
        rows = self._row_rest + (rows[: -len(_END)] if ended else rows)
        slashes = len(rows) - len(rows.rstrip(b"\\"))
        cut = len(rows) - slashes % 2
        self._row_rest, rows = rows[cut:], rows[:cut]
        if self._row_rest and ended:
            raise self._impossible(self.copy, "has a row that ends in the middle of an escape")
        if b"\0" in rows:
            raise self._impossible(self.copy, "has a row with a NUL byte")
        if b"\\" in rows:
            rows = self._numbered(rows)
        return rows + _END if ended else rows

    def _numbered(self, rows: bytes) -> bytes:
        rows = rows.replace(b"\\\\", b"\0")  # from the left, so the backslashes that stay each begin an escape
        for letter, number in _CONTROLS.items():
            rows = rows.replace(b"\\" + letter, b"\\" + number)
        if _ODD_PAIR.search(rows):
            rows = _PAIR.sub(self._odd, rows)
        return rows.replace(b"\0", b"\\134")

    def _odd(self, found: re.Match[bytes]) -> bytes:
        if found[1] == b".":
            raise self._impossible(self.copy, "has a row with an end mark inside")
        if found[1] == b"\n":
            return b"\\012"
        return found[0] if found[1] in b"N0123456789x" else found[1]

    def _impossible(self, statement: bytes, why: str) -> ProofFailed:
        shown = statement.decode(errors="replace").strip().partition("\n")[0][:80]
        return ProofFailed(
            f"{self._source}: the statement {shown!r} {why}",
            hint="have the dump made again by pg_dump: pg_dump --encoding=UTF8 DATABASE",
        )


_ENOUGH = 1024
"""Line breaks that let the scanner understand the last bytes: more than it looks ahead."""

_DROP_PUBLIC = re.compile(rb'DROP SCHEMA (?:IF EXISTS )?"?public"?')
"""Before PostgreSQL 15 this schema belongs to the superuser that made the server."""
