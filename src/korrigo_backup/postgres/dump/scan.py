"""Read a plain SQL dump as psql would, without running it, in one pass and constant memory.

It knows where statements, quotes, comments and COPY data begin and end. So it finds the rows of each table, the
sequence positions, the versions in the header, psql meta-commands, and whether the end mark is there. COPY data is
skipped at the speed of a search; only the statements between are parsed closely.

One file: a single reader, whose states hand over to each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from korrigo_backup.artifact.manifest import SequenceProof
from korrigo_backup.core.encodings import to_text
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


class Sort(StrEnum):
    """Sorts of statements that a load may have to leave out."""

    ROLE = "role"
    """Gives an object to a role, or speaks for a role (default privileges)."""
    PUBLIC_OWNER = "owner of schema public"
    """Since 15 the owner of the database owns schema public; pg_dump names this owner when it dumps an older server."""
    TRANSACTION = "transaction"
    """BEGIN and COMMIT, which pg_dump writes around each large object."""
    EXTENSION = "extension"
    EXTENSION_COMMENT = "extension comment"
    OF_CRON = "grant of pg_cron"
    """Rights on objects of pg_cron: it can stand in a single database of a server (`bound.py`)."""
    RESTRICT = "restrict"
    """Shields psql against other meta-commands. A load leaves out the dump's and puts its own around the dump."""
    NEW_SETTING = "new setting"
    """A time limit of 0 that older servers do not know: SET transaction_timeout (17)."""
    GUARDED = "guarded"
    """Indexes, constraints, refreshes and their dependent statements: a failure is caught (`guard.py`)."""
    EVENT_TRIGGER = "event trigger"
    SEARCH_PATH = "search path"
    """Empties the search path."""
    DATABASE = "database"
    """Makes or describes the dumped database as a whole (`pg_dump --create`): a restore makes its own."""


END_MARK = b"-- PostgreSQL database dump complete"

CLUSTER_MARK = b"-- PostgreSQL database cluster dump"
"""The head of an output of pg_dumpall: roles, and one database after the other."""

ALLOWED_META = (b"restrict", b"unrestrict")
"""Meta-commands that pg_dump itself writes since CVE-2025-8714 was fixed; any other could run programs."""

CONNECT = b"connect"
"""`pg_dump --create` and pg_dumpall write it. No load passes it on: it marks where a database begins."""

_HEAD_LIMIT = 512 * 1024
"""Bytes of a statement that are kept to understand it: a COPY with 1,600 columns of 63 bytes fits."""

_LOOKAHEAD = 256
"""Bytes that may be needed behind a character to understand it: a dollar-quote tag is at most 63 long."""

_INTERESTING = re.compile(rb"""[-/'"$\\;()]""")
_DOLLAR_TAG = re.compile(rb"\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$")
_WORD = re.compile(rb"(?:[0-9]+(?:[eE][0-9]+)?)?((?:\$[0-9]+)?[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)?\Z")
"""A parameter takes the letters behind it (`$1e`): psql reads them as a single word since PostgreSQL 15."""
_BLOCK = re.compile(rb"/\*|\*/")
_ESCAPED_END = re.compile(rb"\\.|''|'", re.DOTALL)
_NAME = rb'(?:"(?:[^"]|"")+"|[^\s".(;]+)'
_COPY = re.compile(rb"COPY ((?:" + _NAME + rb"\.)?" + _NAME + rb") (?:\((.*)\) | )?FROM stdin", re.DOTALL)
_QUALIFIED = re.compile(_NAME + rb"\." + _NAME)
_COPY_ANY = re.compile(rb"COPY\b.*\bFROM\s+STDIN\b", re.DOTALL | re.IGNORECASE)
_SETVAL = re.compile(rb"SELECT pg_catalog\.setval\('((?:[^']|'')+)', (-?\d+), (true|false)\)")
_OWNER = re.compile(rb"ALTER [A-Z ]+ .* OWNER TO (?:" + _NAME + rb")", re.DOTALL)
_GUARDED = re.compile(
    rb"(?:CREATE (?:UNIQUE )?INDEX |REFRESH MATERIALIZED VIEW |COMMENT ON (?:INDEX|CONSTRAINT) |ALTER INDEX "
    rb"|ALTER (?:TABLE|DOMAIN) (?:ONLY )?" + _NAME + rb"\." + _NAME + rb"\s+"
    rb"(?:ADD CONSTRAINT |CLUSTER ON |REPLICA IDENTITY USING )).*",
    re.DOTALL,
)
_LEFT_OUT = (
    (re.compile(rb"ALTER DEFAULT PRIVILEGES FOR ROLE .*", re.DOTALL), Sort.ROLE),
    (re.compile(rb"ALTER SCHEMA public OWNER TO .*"), Sort.PUBLIC_OWNER),
    (_OWNER, Sort.ROLE),
    (re.compile(rb"BEGIN|COMMIT"), Sort.TRANSACTION),
    (re.compile(rb"DROP DATABASE (?:IF EXISTS )?" + _NAME), Sort.DATABASE),
    (re.compile(rb"CREATE EXTENSION .*", re.DOTALL), Sort.EXTENSION),
    (re.compile(rb"COMMENT ON EXTENSION .*", re.DOTALL), Sort.EXTENSION_COMMENT),
    (re.compile(rb"(?:GRANT|REVOKE) .* ON (?:SCHEMA cron|[A-Z ]+ cron\..*) (?:TO|FROM) .*", re.DOTALL), Sort.OF_CRON),
    (re.compile(rb"SET transaction_timeout = 0"), Sort.NEW_SETTING),
    (re.compile(rb"CREATE EVENT TRIGGER .*", re.DOTALL), Sort.EVENT_TRIGGER),
    (re.compile(rb"SELECT pg_catalog\.set_config\('search_path', '', false\)"), Sort.SEARCH_PATH),
    (_GUARDED, Sort.GUARDED),
)
_TRANSACTION = re.compile(
    rb"(?:BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE\s+TRANSACTION)\b", re.IGNORECASE
)
BEGIN = re.compile(rb"(?:BEGIN|START)\b.*", re.DOTALL | re.IGNORECASE)
COMMIT = re.compile(rb"(?:COMMIT|END)(?:\s+(?:WORK|TRANSACTION))?", re.IGNORECASE)
_BODY = re.compile(rb"CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE)\b.*\bBEGIN\s+ATOMIC\b", re.DOTALL | re.IGNORECASE)
_STRINGS = re.compile(
    rb"^SET\b.*standard_conforming_strings|set_config.*standard_conforming_strings", re.DOTALL | re.IGNORECASE
)
_STRINGS_SET = re.compile(rb"SET standard_conforming_strings = '?(on|off)'?")
_SEARCH_PATH = re.compile(rb"SET search_path = (" + _NAME + rb")(?:,.*)?")
_CLIENT_ENCODING = re.compile(rb"SET client_encoding (?:=|TO) '?([A-Za-z0-9_-]+)'?", re.IGNORECASE)
_CREATE_DATABASE = re.compile(rb"CREATE DATABASE (" + _NAME + rb")\b.*", re.DOTALL)
_OF_DATABASE = (
    rb"(?:(?:DROP|CREATE|ALTER|COMMENT ON) DATABASE(?: IF EXISTS)? %b(?: .*)?|(?:GRANT|REVOKE) .* ON DATABASE %b .*"
    rb"|ALTER ROLE .* IN DATABASE %b .*)"
)
_SETTING = re.compile(rb"(?:SET|RESET)\s|SELECT pg_catalog\.set_config\(", re.IGNORECASE)
_META = re.compile(rb"\\([A-Za-z!?;]*)([^\n]*)\n")
_FROM_VERSION = re.compile(rb"-- Dumped from database version (\S+)")
_BY_VERSION = re.compile(rb"-- Dumped by pg_dump version (\S+)")


_CODE = re.compile(
    rb"CREATE (?:OR REPLACE )?(?:CONSTRAINT )?(FUNCTION|PROCEDURE|TRIGGER|EVENT TRIGGER|RULE|POLICY) ("
    + _NAME + rb"(?:\." + _NAME + rb")?)",
)  # fmt: skip
_DEFINER = re.compile(rb"\bSECURITY DEFINER\b", re.IGNORECASE)


@dataclass(frozen=True)
class DumpedCode:
    """Something in a dump that runs later: a function, procedure, trigger, event trigger, rule or policy."""

    kind: str
    name: str
    definer: bool = False
    """It runs with the rights of its owner (SECURITY DEFINER)."""


Places = tuple[tuple[int, bytes], ...]
"""Offset and text of statements in the decompressed dump, in their order."""


@dataclass
class ScanResult:
    """The content of a dump. `rows` counts COPY lines by table name, as the dump writes the name.

    `own_transactions` is True if there are transaction commands that pg_dump does not write; `odd_transactions` has the
    ends of those that neither begin a transaction nor end one that the dump has begun. `connects` names the databases
    that a dump enters (`--create`, pg_dumpall), `inserts` counts INSERT statements, `code` lists code that runs later.
    Between the offsets `rows_begin` and `rows_end` lie the rows and the positions of sequences. `writes` holds offset
    and text of the COPY or setval statement by the name of its table or sequence.
    """

    rows: dict[str, int] = field(default_factory=dict)
    sequences: dict[str, SequenceProof] = field(default_factory=dict)
    rows_begin: int | None = None
    rows_end: int = 0
    writes: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    places: dict[Sort, list[tuple[int, bytes]]] = field(default_factory=lambda: {sort: [] for sort in Sort})
    server_version: str | None = None
    client_version: str | None = None
    statements: int = 0
    encoding: str = "UTF8"
    creates: int = 0
    tables: int = 0
    inserts: int = 0
    cluster: bool = False
    connects: list[str] = field(default_factory=list)
    code: list[DumpedCode] = field(default_factory=list)
    own_transactions: bool = False
    odd_transactions: list[int] = field(default_factory=list)
    complete: bool = False

    def without(self, *sorts: Sort) -> Places:
        """Return the places of some sorts of statements."""
        return tuple(sorted(place for sort in sorts for place in self.places[sort]))


class TrailingText(ProofFailed):
    """A dump is complete, and something that is no statement follows: messages of pg_dump, written with it."""


class DumpScanner:
    """Feed it the dump in pieces of any size, then call `finish`.

    `copy` is the COPY statement met last, `target` the table as it names it, `settings` the statements that set up the
    session so far, in their order.
    """

    def __init__(self, source: str) -> None:
        self.result = ScanResult()
        self._source = source
        self._buffer = b""
        self._offset = 0  # of the buffer's first byte in the whole dump
        self._state = self._in_sql
        self._statement = bytearray()
        self._depth = 0
        self._parens = 0
        self._tag = b""
        self._table = ""
        self._columns = b""
        self._body = False
        self._begun = False
        self._behind = b""  # the first statement behind an end mark
        self._line_start = True
        self._commented = False
        self._conforming = True
        self._escapes_end = 0  # in the statement, of the last string with escapes
        self._dollar_end = 0  # the same, of the last dollar-quoted string
        self._path = "public"
        self._database = b""
        self.copy = self.target = b""
        self.settings: dict[bytes, None] = {}

    def feed(self, data: bytes) -> None:
        """Take the next piece; raises ProofFailed for text that psql must not be given."""
        for _ in self.split(data):
            pass

    def split(self, data: bytes) -> Iterator[tuple[bool, memoryview]]:
        """As `feed`, and yield the text understood so far, cut where the rows of a COPY begin and end: (rows?, bytes).

        SQL before rows ends with the COPY statement and its line break, rows end with their end mark.
        """
        buffer = self._buffer + data if self._buffer else data
        self._buffer, view = b"", memoryview(buffer)
        position = begin = 0
        while position < len(buffer):
            rows = self.in_rows
            after = self._state(buffer, position, final=False)
            if after is None:
                break
            position = after
            if rows or self.in_rows:
                yield rows, view[begin:position]
                begin = position
        if begin < position:
            yield False, view[begin:position]
        self._buffer = buffer[position:]
        self._offset += position

    @property
    def in_rows(self) -> bool:
        """Whether the rows of a COPY come next."""
        return self._state == self._in_copy

    @property
    def rest(self) -> bytes:
        """The text that was fed and is not understood yet: it needs the following text, or `finish`."""
        return self._buffer

    def finish(self) -> ScanResult:
        """Return the result; raises ProofFailed for a dump that ends in the middle."""
        if self._buffer and not self._buffer.endswith(b"\n"):
            self._buffer += b"\n"
        while self._buffer:
            after = self._state(self._buffer, 0, final=True)
            if after is None:
                break
            self._buffer = self._buffer[after:]
            self._offset += after
        shown = (self._behind or bytes(self._statement)).decode(errors="replace").strip().partition("\n")[0][:60]
        if self._behind and not self.result.complete:
            raise ProofFailed(
                f"{self._source} has text after its end mark: {shown!r}",
                hint="pg_dump ends a dump with that mark: find the origin of the rest; delete it only when you know",
            )
        if self.result.complete and (self._statement.strip() or self._state != self._in_sql):
            raise TrailingText(
                f"{self._source} has text after its end that is no statement: {shown!r}",
                hint="another program's message was written into it: delete those lines, and pack it again",
            )
        if self._state != self._in_sql or not self.result.complete:
            raise ProofFailed(
                f"{self._source} is not a complete PostgreSQL dump: its end mark is missing",
                hint="it was cut, or is not made by pg_dump: use another backup (korrigo-backup list)",
            )
        return self.result

    # Each state takes the buffer and a position and returns where it got to, or None when it needs more bytes.

    def _in_sql(self, buffer: bytes, position: int, *, final: bool) -> int | None:
        found = _INTERESTING.search(buffer, position)
        if found is None:
            self._keep(buffer[position:])
            return len(buffer)
        at = found.start()
        if not final and len(buffer) - at < _LOOKAHEAD:
            self._keep(buffer[position:at])
            return at if at > position else None
        self._keep(buffer[position:at])
        return self._special(buffer, at, final=final)

    def _special(self, buffer: bytes, at: int, *, final: bool) -> int | None:
        character = buffer[at : at + 1]
        if character == b"-":
            return self._dash(buffer, at)
        if character == b"/":
            return self._slash(buffer, at)
        if character == b"\\":
            return self._meta(buffer, at, final=final)
        if character == b"$":
            return self._dollar(buffer, at)
        if character == b";":
            return self._semicolon(buffer, at)
        if character in b"()":
            self._parens = max(0, self._parens + (1 if character == b"(" else -1))  # as psql counts
        elif character == b'"':
            self._state = self._in_identifier
        else:
            escapes = self._after_e() or self._continues_escapes() or not self._conforming
            self._state = self._in_escape_string if escapes else self._in_string
        self._keep(character)
        return at + 1

    def _dash(self, buffer: bytes, at: int) -> int:
        if buffer.startswith(b"--", at):
            self._state = self._in_line_comment
            self._comment()
            return at
        self._keep(b"-")
        return at + 1

    def _comment(self) -> None:
        """Note a comment; inside a statement it makes the text that is kept another than the dump's."""
        self._commented = self._commented or bool(self._statement.strip())
        self._keep(b" ")

    def _slash(self, buffer: bytes, at: int) -> int:
        if buffer.startswith(b"/*", at):
            self._state, self._depth = self._in_block_comment, 0
            self._escapes_end = 0  # PostgreSQL continues a string over blanks and `--` comments only
            self._comment()
            return at
        self._keep(b"/")
        return at + 1

    def _dollar(self, buffer: bytes, at: int) -> int:
        tag = None if self._word() else _DOLLAR_TAG.match(buffer, at)
        if tag is None:
            self._keep(b"$")
            return at + 1
        self._tag, self._state = tag[0], self._in_dollar
        self._keep(tag[0])
        return tag.end()

    def _semicolon(self, buffer: bytes, at: int) -> int:
        if self._parens > 0:
            self._keep(b";")  # psql, too, ends a statement only outside parentheses
            return at + 1
        statement = bytes(self._statement).strip()
        self._statement.clear()
        self._escapes_end = self._dollar_end = 0
        self.result.statements += 1
        if self.result.complete:
            self._behind = statement or b";"
        self.result.complete = False  # the end mark is the last thing but for comments
        length = 1 + self._understood(statement, buffer, at + 1)
        self._commented = False
        return at + length

    def _understood(self, statement: bytes, buffer: bytes, after: int) -> int:
        if statement.startswith(b"CREATE "):
            self._created(statement)
        elif statement == b"END" and self._body:
            self._body = False
            return 0
        elif _STRINGS.search(statement):
            self._strings(statement, at_line_end=buffer.startswith(b"\n", after))
        elif found := _SETVAL.match(statement):
            begin = self._offset + after - 1 - len(statement)
            self._rows_between(begin, self._offset + after)
            name = self._qualified(found[1].replace(b"''", b"'"))
            self.result.writes[name] = (begin, statement + b";")
            self.result.sequences[name] = SequenceProof(name, int(found[2]), found[3] == b"true")
        elif found := _COPY.fullmatch(statement):
            if self._body or not buffer.startswith(b"\n", after):
                raise self._hostile("a COPY statement in the middle of another or with more behind it")
            begin = self._offset + after - 1 - len(statement)
            self._rows_between(begin, 0)
            self.copy, self.target = statement, found[1]
            self._table, self._columns = self._qualified(found[1]), found[2] or b""
            self.result.writes[self._table] = (begin, statement + b";")
            self.result.rows.setdefault(self._table, 0)
            self._state, self._line_start = self._in_copy, True
            return 1
        elif _COPY_ANY.match(statement):
            raise self._hostile("a COPY statement that pg_dump does not write")
        else:
            self.result.inserts += statement.startswith(b"INSERT INTO ")
        self._noted(statement, self._offset + after - 1 - len(statement))
        return 0

    def _rows_between(self, begin: int, end: int) -> None:
        if self.result.rows_begin is None and not self._commented:
            self.result.rows_begin = begin
        self.result.rows_end = max(self.result.rows_end, end)

    def _created(self, statement: bytes) -> None:
        self.result.creates += 1
        self.result.tables += statement.startswith((b"CREATE TABLE ", b"CREATE UNLOGGED TABLE "))
        self._body = _BODY.match(statement) is not None
        if found := _CREATE_DATABASE.fullmatch(statement):
            self._database = found[1]
        elif found := _CODE.match(statement):
            name = to_text(found[2], self.result.encoding)
            self.result.code.append(DumpedCode(found[1].decode().lower(), name, _DEFINER.search(statement) is not None))

    def _strings(self, statement: bytes, *, at_line_end: bool) -> None:
        """Follow standard_conforming_strings as pg_dump sets it: `off` for a database where it is off.

        psql reads the setting once a line, so a change must end its line.
        """
        found = _STRINGS_SET.fullmatch(statement)
        if found is None or not at_line_end:
            raise self._hostile("a change of standard_conforming_strings")
        self._conforming = found[1] == b"on"

    def _qualified(self, name: bytes) -> str:
        """Return a name with its schema: pg_dump of before March 2018 sets search_path instead of writing it."""
        text = to_text(name, self.result.encoding)
        return normal_name(text if _QUALIFIED.fullmatch(name) else f"{self._path}.{text}")

    def _noted(self, statement: bytes, offset: int) -> None:
        """Note statements that a load may have to leave out, and those that set up the session."""
        if (sort := self.sort(statement)) and not self._commented:
            self.result.places[sort].append((offset, statement + b";"))
        elif self.is_transaction(statement):
            self.result.own_transactions = True
        if self.is_transaction(statement):
            self._transaction(statement, offset + len(statement) + 1)
        if _SETTING.match(statement):
            self.settings.pop(statement, None)  # the last setting of its kind counts, and there are few
            self.settings[statement] = None
            if found := _SEARCH_PATH.fullmatch(statement):
                self._path = to_text(found[1], self.result.encoding)
            elif found := _CLIENT_ENCODING.fullmatch(statement):
                self.result.encoding = found[1].decode()

    def _transaction(self, statement: bytes, end: int) -> None:
        """Follow whether a transaction is open."""
        begins = BEGIN.fullmatch(statement) is not None
        ends = COMMIT.fullmatch(statement) is not None
        if not (ends if self._begun else begins):
            self.result.odd_transactions.append(end)
        self._begun = begins

    def sort(self, statement: bytes) -> Sort | None:
        """Return the sort of a statement that a load may have to leave out."""
        if self._database:
            names = (re.escape(self._database),) * _OF_DATABASE.count(b"%b")
            if re.fullmatch(_OF_DATABASE % names, statement, re.DOTALL):
                return Sort.DATABASE
        return next((sort for pattern, sort in _LEFT_OUT if pattern.fullmatch(statement)), None)

    @staticmethod
    def is_transaction(statement: bytes) -> bool:
        """Return whether a statement begins or ends a transaction."""
        return _TRANSACTION.match(statement) is not None

    def _meta(self, buffer: bytes, at: int, *, final: bool) -> int | None:
        found = _META.match(buffer, at)
        if found is None:
            if not final and len(buffer) - at < _HEAD_LIMIT:
                return None
            raise self._hostile("a backslash outside of quotes")
        enters = found[1] == CONNECT and (self._database or self.result.cluster)
        if not (found[1] in ALLOWED_META or enters) or self._statement.strip():
            raise self._hostile(f"the psql command {found[0][:40].decode(errors='replace').strip()!r}")
        if enters:
            self.result.connects.append(found[2].decode(errors="replace").strip())
        self.result.places[Sort.RESTRICT].append((self._offset + at, found[0]))
        return found.end()

    def _in_line_comment(self, buffer: bytes, position: int, *, final: bool) -> int | None:
        del final
        end = buffer.find(b"\n", position)
        if end < 0:
            return None if len(buffer) - position < _HEAD_LIMIT else len(buffer)
        self._header(buffer[position:end])
        self._state = self._in_sql
        return end

    def _header(self, line: bytes) -> None:
        if line == END_MARK:
            self.result.complete = True
        elif line == CLUSTER_MARK:
            self.result.cluster = True
        elif found := _FROM_VERSION.match(line):
            self.result.server_version = found[1].decode(errors="replace")
        elif found := _BY_VERSION.match(line):
            self.result.client_version = found[1].decode(errors="replace")

    def _in_block_comment(self, buffer: bytes, position: int, *, final: bool) -> int | None:
        del final
        found = _BLOCK.search(buffer, position)
        if found is None:
            return len(buffer) - 1 if len(buffer) - 1 > position else None
        self._depth += 1 if found[0] == b"/*" else -1
        if self._depth == 0:
            self._state = self._in_sql
        return found.end()

    def _in_string(self, buffer: bytes, position: int, *, final: bool) -> int | None:
        del final
        return self._until(b"'", buffer, position)

    def _in_identifier(self, buffer: bytes, position: int, *, final: bool) -> int | None:
        del final
        return self._until(b'"', buffer, position)

    def _in_dollar(self, buffer: bytes, position: int, *, final: bool) -> int | None:
        del final
        after = self._until(self._tag, buffer, position)
        if self._state == self._in_sql:
            self._dollar_end = len(self._statement)
        return after

    def _until(self, end: bytes, buffer: bytes, position: int) -> int | None:
        at = buffer.find(end, position)
        if at < 0:
            safe = len(buffer) - len(end) + 1
            self._keep(buffer[position:safe])
            return safe if safe > position else None
        self._keep(buffer[position : at + len(end)])
        self._state = self._in_sql
        return at + len(end)

    def _in_escape_string(self, buffer: bytes, position: int, *, final: bool) -> int | None:
        found = _ESCAPED_END.search(buffer, position)
        if found is None:
            safe = len(buffer) - 1
            self._keep(buffer[position:safe])
            return safe if safe > position else None
        if found[0] == b"'" and found.end() == len(buffer) and not final:
            return None
        self._keep(buffer[position : found.end()])
        if found[0] == b"'":
            self._state, self._escapes_end = self._in_sql, len(self._statement)
        return found.end()

    def _in_copy(self, buffer: bytes, position: int, *, final: bool) -> int | None:
        if self._line_start and buffer.startswith(b"\\.\n", position):
            self._state = self._in_sql
            self._rows_between(0, self._offset + position + 3)
            return position + 3
        end = buffer.find(b"\n\\.\n", position)
        if end < 0:
            if final:
                return None
            last = buffer.rfind(b"\n", position, len(buffer) - 3)
            if last < 0:
                return None if len(buffer) - position < _HEAD_LIMIT else self._long_line(buffer, position)
            self._line_start = True
            self.result.rows[self._table] += buffer.count(b"\n", position, last + 1)
            return last + 1
        self.result.rows[self._table] += buffer.count(b"\n", position, end + 1)
        self._state = self._in_sql
        self._rows_between(0, self._offset + end + 4)
        return end + 4

    def _long_line(self, buffer: bytes, position: int) -> int:
        """Skip the middle of a row that is longer than a piece: no end mark can begin inside it."""
        self._line_start = False
        return max(position, len(buffer) - 3)

    def _keep(self, text: bytes) -> None:
        if len(text) <= _HEAD_LIMIT - len(self._statement):
            self._statement += text
        else:  # too long to be of interest; its last two bytes show whether a quote follows an E
            self._statement[-2:] = (self._statement[-2:] + text)[-2:]

    def _after_e(self) -> bool:
        return self._statement.endswith((b"e", b"E")) and self._word() in {b"e", b"E"}

    def _word(self) -> bytes:
        """Return the identifier or keyword at the end of the text so far, b"" for a number, a sign, or no text."""
        begin = max(self._dollar_end, len(self._statement) - _LOOKAHEAD)
        found = _WORD.search(self._statement, begin)
        return bytes(found[1] or b"") if found else b""

    def _continues_escapes(self) -> bool:
        """Return whether a quote goes on with a string that has escapes: only a line break and blanks are between."""
        between = self._statement[self._escapes_end :]
        return self._escapes_end > 0 and b"\n" in between and between.isspace()

    def _hostile(self, what: str) -> ProofFailed:
        return ProofFailed(
            f"{self._source} holds {what}: pg_dump does not write this, and it could run programs",
            hint="do not load it; make sure where it comes from, and use another backup",
        )
