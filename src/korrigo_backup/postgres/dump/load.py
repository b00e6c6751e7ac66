"""Load a plain dump through two sessions: the rows of a large table are shared out between them.

Writing rows is what a load does most, and a server does it with one core a session. Everything but the rows of large
tables goes through the first session alone, in the dump's order, and a statement runs only when the rows before it are
all there; so the second session changes only the order of rows inside a table.
"""

from __future__ import annotations

import secrets
import select
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from korrigo_backup.postgres.client import PSQL
from korrigo_backup.postgres.dump.extension_rows import is_temporary
from korrigo_backup.postgres.dump.guard import FAILED
from korrigo_backup.postgres.dump.scan import DumpScanner
from korrigo_backup.postgres.server_error import ClientFailed
from korrigo_backup.postgres.session_settings import LOADING, PRELUDE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from korrigo_backup.postgres.client import Client, Postgres
    from korrigo_backup.system.progress import Work

SHARED_FROM = 4 * 1024 * 1024
"""Bytes of rows from which a table is shared: for less, the agreement between the sessions costs more than it gives."""

_END = b"\\.\n"
_ALONE = b"-"
_NEWLINE, _BACKSLASH = b"\n\\"


def load_shared(
    server: Postgres,
    pieces: Iterable[bytes],
    source: str,
    *,
    database: str,
    restricted: bool = False,
    work: Work | None = None,
) -> bytes:
    r"""Run a dump, given in pieces of any size, in an empty database.

    The first SQL error in either session stops it. `restricted`: psql knows `\restrict`, and then takes no command of
    its own from the dump. `work` gets the name of the table in work. Returns the failures of guarded statements
    (`sqlguard.FAILED`). Raises KorrigoBackupError with the server's words.
    """
    with ExitStack() as stack:
        first = _LoadingSession(server, database, stack, restricted=restricted)
        if not first.synchronise():
            first.finish()
        second = _LoadingSession(server, database, stack, restricted=restricted)
        both = [first, second] if second.synchronise() else [first]  # there may be no connection left for a second
        try:
            run = _Distribution(first, second if second in both else None, source)
            for piece in pieces:
                run.feed(piece)
                if work:
                    work.item = run.table
            run.finish()
            failed = first.ask(FAILED)
        except BrokenPipeError:
            for one in both:
                one.finish()  # a session has stopped; finish raises its error
            raise ClientFailed(
                f"psql stopped before the end of {source}", hint="the server's log has the details"
            ) from None
        for one in both:
            one.finish()
        return failed


class _LoadingSession:
    """A psql that is fed with SQL; `finish` must be called, and raises its error."""

    def __init__(self, server: Postgres, database: str, stack: ExitStack, *, restricted: bool) -> None:
        self._client: Client = stack.enter_context(
            server.watched("psql", *PSQL, database=database, options=LOADING, stdin=True)
        )
        self._token = secrets.token_hex(16)
        self._answers = threading.Semaphore(0)
        self._answer = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        stack.callback(self._stop)
        with suppress(BrokenPipeError):  # a session that could not be opened reports it when it is used
            self.write(PRELUDE.encode())
            if restricted:
                self.write(f"\\restrict {self._token}\n".encode())

    def fileno(self) -> int:
        return self._client.process.stdin.fileno()

    def write(self, data: bytes | memoryview) -> None:
        self._client.write(data)

    def synchronise(self) -> bytes:
        """Wait until all SQL written so far has run.

        Returns b"+" if a transaction is open, b"-" if not, b"" at the end.

        Asked in SQL: a restricted psql takes no commands of its own.
        """
        alone = "transaction_timestamp() = statement_timestamp()"
        return self.ask(f"CASE WHEN {alone} THEN '-' ELSE '+' END")

    def ask(self, text: str) -> bytes:
        """Return the value of an SQL expression of type text, without a line break; b"" when the session has ended."""
        try:
            self.write(f"SELECT '{self._token}' || {text};\n".encode())
            self._client.flush()
        except BrokenPipeError:
            return b""
        with self.waiting():
            self._answers.acquire()
        return self._answer

    def finish(self) -> None:
        """End the session; raises the error of its end."""
        with suppress(BrokenPipeError), self.waiting():
            self._client.process.stdin.close()
        self._client.require_success()

    def waiting(self) -> AbstractContextManager[None]:
        """Return a context in which a caller waits for the session."""
        return self._client.watch.waiting()

    def _stop(self) -> None:
        """End the process in any state, so that its output is at an end before the pipes are closed."""
        self._client.process.abort()
        self._reader.join()

    def _read(self) -> None:
        token = self._token.encode()
        for line in self._client.process.stdout:
            if line.startswith(token):
                self._answer = line[len(token) :].rstrip(b"\n")
                self._answers.release()
        self._answer = b""
        self._answers.release()


class _Distribution:
    """The distribution of a dump over the two sessions."""

    def __init__(self, first: _LoadingSession, second: _LoadingSession | None, source: str) -> None:
        self._first, self._second = first, second
        self._scanner = DumpScanner(source)
        self._size = 0
        self._sharing = False
        self._target = first

    @property
    def table(self) -> bytes:
        """The table whose rows were met last, as the dump names it."""
        return self._scanner.target

    def feed(self, data: bytes) -> None:
        for is_rows, piece in self._scanner.split(data):
            if is_rows:
                self._rows(piece)
            else:
                self._first.write(piece)
                self._size = 0

    def finish(self) -> None:
        self._first.write(self._scanner.rest)
        self._scanner.finish()

    def _rows(self, piece: memoryview) -> None:
        self._target.write(piece)
        self._size += len(piece)
        if not self._scanner.in_rows:
            self._end_of_rows()
        elif piece[-1] == _NEWLINE and piece[-2] != _BACKSLASH:  # not in the middle of a row
            if self._sharing:
                self._target = self._ready()
            elif self._second and self._size >= SHARED_FROM and not is_temporary(self._scanner.target):
                self._share(self._second)

    def _share(self, second: _LoadingSession) -> None:
        """End the first session's COPY so that the second sees the table, and let both go on with their own COPY."""
        self._first.write(_END)
        copy = self._scanner.copy + b";\n"
        if self._first.synchronise() == _ALONE:
            settings = b"".join(setting + b";\n" for setting in self._scanner.settings)
            second.write(settings + copy)
            self._sharing = True
        else:
            self._second = None  # inside a transaction: the second session would not see it
        self._first.write(copy)

    def _end_of_rows(self) -> None:
        if self._sharing and self._second:
            other = self._second if self._target is self._first else self._first
            other.write(_END)
            if not self._second.synchronise():
                raise BrokenPipeError
        self._sharing, self._target, self._size = False, self._first, 0

    def _ready(self) -> _LoadingSession:
        """Return a session that takes rows now."""
        both = [one for one in (self._first, self._second) if one]
        with ExitStack() as stack:
            for one in both:
                stack.enter_context(one.waiting())
            return select.select([], both, [])[1][0]
