"""The database server, spoken to through its own clients: psql for questions, pg_dump and psql for streams.

The same way serves direct access and containers, and the client always comes with the server.

One file: questions, scripts, sessions and client programs fail by the same rules (`Postgres.failure`).
"""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import msgspec

from korrigo_backup.core.encodings import RAW, to_bytes, to_text
from korrigo_backup.errors import KorrigoBackupError, Refused, Unreachable
from korrigo_backup.postgres.access import APPLICATION
from korrigo_backup.postgres.questions import Asker
from korrigo_backup.postgres.server_error import (
    TableLocked,
    client_error,
    connection_cause,
    first_error,
    is_pooler,
    parse,
    statement_error,
)
from korrigo_backup.postgres.session_settings import IS_DIRECT, PATIENT, PRELUDE, QUESTION
from korrigo_backup.postgres.silent_backend import judge
from korrigo_backup.postgres.sql import literal
from korrigo_backup.system.run import describe_status, run, spawn
from korrigo_backup.system.silence import SilenceWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from korrigo_backup.core.secret import Secret
    from korrigo_backup.postgres.access import Access
    from korrigo_backup.system.run import Command, Process

T = TypeVar("T")

PSQL = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password", "--set=ON_ERROR_STOP=1",
        "--set=VERBOSITY=verbose")  # fmt: skip
"""No start-up file, no password prompt, the first error ends the script with status 3 and names its SQLSTATE."""

QUESTION_SECONDS = 600
"""A catalogue question that takes longer means that the server is stuck."""

_SCRIPT_STATUS = 3
"""psql's exit status when a statement failed."""

_CONNECTION_STATUS = 2
"""psql's exit status when the connection could not be made or was lost."""


_LETS_IN = """
SELECT to_json(EXISTS (SELECT FROM pg_database WHERE datname = {name} AND datallowconn
                                                   AND has_database_privilege(oid, 'CONNECT')))
"""


class NotAdmitted(Unreachable):
    """The server's pg_hba.conf does not let us into a database."""


class Postgres:
    """A database server, and which of its databases is the site's."""

    def __init__(
        self, access: Access, *, database: str, maintenance: str, fence: Callable[[], str] | None = None
    ) -> None:
        self.access = access
        self.database = database
        self.maintenance = maintenance
        self.common = maintenance
        """The database in which the server as a whole is asked: `maintenance`, or the site's own after `keep_out`."""
        self._fence = fence
        self._askers: dict[str, Asker] = {}

    @contextmanager
    def asking(self, database: str | None = None) -> Iterator[None]:
        """Answer the questions to a database, the common one by default, through one session while the block runs.

        It is an additional session, so no data are loaded in the block; and it is not opened in a database whose
        sessions are ended in the block.
        """
        name = database or self.common
        if name in self._askers or (database is None and self.common == self.database):
            yield
            return
        self._askers[name] = Asker(lambda: self.session(database=name, options=QUESTION))
        try:
            yield
        finally:
            self._askers.pop(name).close()

    def fenced(self, fence: Callable[[], str]) -> Postgres:
        """Return the same server; each of its changes begins with the statements that `fence` returns."""
        return self._copy(self.access, fence)

    def change(self, sql: str) -> bytes:
        """Change databases or roles as a whole, from the common database; return the output of the statements."""
        return self.script(f"{self._fence() if self._fence else ''}{sql}", database=self.common)

    def ask_server(self, sql: str, answer: type[T]) -> T:
        """Ask about the server as a whole, as `ask` does, in a database that lets the role in."""
        try:
            return self.ask(sql, answer, database=self.common)
        except Unreachable as problem:
            if not self.keep_out(problem):
                raise
        return self.ask(sql, answer, database=self.common)

    def keep_out(self, problem: Unreachable) -> bool:
        """Use the site's own database as the common database if the role is not let into the maintenance database.

        `problem` is the error from there. A server that is away for a moment is no reason, and during a locked run the
        common database stays. Returns whether the common database has changed.
        """
        if self._fence or self.common == self.database:
            return False
        try:
            lets_in = self.ask(_LETS_IN.format(name=literal(self.maintenance)), bool)
        except KorrigoBackupError:
            return False
        if lets_in and not isinstance(problem, NotAdmitted):
            return False
        self.common = self.database
        return True

    def _copy(self, access: Access, fence: Callable[[], str] | None = None) -> Postgres:
        made = Postgres(access, database=self.database, maintenance=self.maintenance, fence=fence)
        made.common = self.common
        return made

    def ask(self, sql: str, answer: type[T], *, database: str | None = None, timeout: float | None = None) -> T:
        """Return the answer to a query whose only value is JSON, decoded as `answer`.

        Raises Unreachable, or KorrigoBackupError with the server's words; TimedOut after `timeout` seconds.
        """
        asker = None if timeout else self._askers.get(database or self.database)
        out = asker.answer(sql) if asker else None
        if out is None:
            out = self.script(sql, database=database, timeout=timeout)
        return msgspec.json.decode(out, type=answer, strict=False)

    def script(
        self,
        sql: str,
        *,
        database: str | None = None,
        options: str = QUESTION,
        timeout: float | None = None,
    ) -> bytes:
        """Run SQL statements, given on standard input, and return the output of psql."""
        name = database or self.database
        command = self.access.postgres("psql", *PSQL, database=name, options=options)
        if timeout:  # the time for the whole question counts, not that for the connection
            command = replace(command, env={**command.env, "PGCONNECT_TIMEOUT": str(2 * int(timeout + 1))})
        done = run(command, stdin=f"{PRELUDE}{sql}".encode(), timeout=timeout or QUESTION_SECONDS)
        if done.status:
            raise self.failure(command, done.status, done.stderr, name)
        return done.stdout

    @contextmanager
    def session(self, *, database: str | None = None, options: str = PATIENT) -> Iterator[Session]:
        """Yield a session that stays open over several questions (one transaction, one snapshot).

        It waits `LOCK_WAIT` for a table that another session has locked, unless `options` set another time.
        """
        name = database or self.database
        with self.watched("psql", *PSQL, database=name, options=options, stdin=True) as client:
            opened = Session(client)
            if opened.run(PRELUDE + IS_DIRECT).strip() != b"on":
                raise _pooled(self.access.description)
            yield opened

    @contextmanager
    def watched(
        self, program: str, *arguments: str, database: str, options: str, stdin: bool = False
    ) -> Iterator[Client]:
        """Start a client program and yield it; it is ended with the block, and when its session is silent for ever."""
        name = f"{APPLICATION} {secrets.token_hex(8)}"
        command = self.access.postgres(program, *arguments, database=database, options=options, name=name)
        with spawn(command, stdin=stdin, stdout=True) as process:
            client = Client(self, command, process, database, f"application_name = {literal(name)}")
            with client.watch:
                yield client

    def as_user(self, user: str, password: Secret) -> Postgres:
        """Return the same server and databases as another role sees them."""
        return self._copy(self.access.as_user(user, password))

    def version(self) -> int:
        """Return the server's major version."""
        asked = "SELECT to_json(current_setting('server_version_num')::int / 10000)"
        return self.ask_server(asked, int)

    def client_version(self) -> tuple[int, int]:
        """Return major and minor version of psql, (0, 0) if unknown."""
        output = run(
            self.access.postgres("psql", "--version", database=self.maintenance), timeout=QUESTION_SECONDS
        ).stdout
        found = re.search(rb"(\d+)\.(\d+)", output)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    def free_space(self) -> int | None:
        """Return the free bytes on the server's data disk, None when the role or the place do not let us see it."""
        place = self.ask_server(_DATA_DIRECTORY, str)
        return self.access.free(place) if place else None

    def failure(self, command: Command, status: int, stderr: str, database: str) -> KorrigoBackupError:
        """Return the error for a client that ended with `status`: the cause and a hint."""
        program = command.argv[0].rpartition("/")[2]
        server = parse(stderr)
        words = server.message if server else first_error(stderr) or f"{program} {describe_status(status)}"
        lost = server is None or status != _SCRIPT_STATUS  # a foreign server's words are no word about ours
        if lost and (problem := self._not_connected(status, stderr, words, database)):
            return problem
        failed = statement_error(program, words, server) if server else client_error(program, words, stderr)
        if isinstance(failed, TableLocked):
            return TableLocked(f"{failed.message}{self._lockers(database)}", hint=failed.hint)
        return failed

    def _not_connected(self, status: int, stderr: str, words: str, database: str) -> KorrigoBackupError | None:
        """Return the error for a connection that was not made or was lost, None when it was another failure."""
        place = self.access.description
        if cannot := self.access.explain(stderr):
            return Unreachable(f"cannot reach the {place}: {words}", hint=cannot.hint, id_=cannot.id)
        if is_pooler(stderr):
            return _pooled(place, f": {words}")
        if cause := connection_cause(stderr):
            kind = NotAdmitted if cause.not_admitted else Unreachable
            where = f"database {database} at {place}" if cause.of_the_database else place
            return kind(f"cannot use {where}: {words}", hint=cause.hint, id_=cause.id)
        if status == _CONNECTION_STATUS:
            return Unreachable(
                f"the connection to {place} failed: {words}",
                hint="see whether the server runs (pg_isready), and read its log",
                id_="server.silent",
            )
        return None

    def _lockers(self, database: str) -> str:
        """Return in words the sessions that lock tables of a database exclusively, "" if they cannot be found."""
        try:
            held = self.ask(_LOCKERS, list[str], database=database)
        except KorrigoBackupError:
            return ""
        return f": {', '.join(held)}" if held else ""


@dataclass
class Client:
    """A client program at work, watched while a caller waits for it."""

    server: Postgres
    command: Command
    process: Process
    database: str
    backend: str
    """SQL: the condition over pg_stat_activity that finds its session."""

    def __post_init__(self) -> None:
        self.watch = SilenceWatch(self.process, self._judge)

    def _judge(self) -> str | None:
        return judge(self.server, self.database, self.backend)

    def write(self, data: bytes | memoryview) -> None:
        """Write to its standard input; BrokenPipeError when it has ended."""
        with self.watch.waiting():
            self.process.stdin.write(data)

    def flush(self) -> None:
        """Let it read all that was written; BrokenPipeError when it has ended."""
        with self.watch.waiting():
            self.process.stdin.flush()

    def line(self) -> bytes:
        """Return the next line of its output, b"" at the end."""
        self.watch.begin()
        try:
            return self.process.stdout.readline()
        finally:
            self.watch.end()

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes of its output, fewer at the end."""
        with self.watch.waiting():
            return self.process.stdout.read(size)

    def require_success(self) -> None:
        """Wait for its end; raise its error, unless it succeeded."""
        with self.watch.waiting():
            status = self.process.wait()
        if status or self.watch.lost:
            raise self.ended()

    def ended(self) -> KorrigoBackupError:
        """Return the error for a client that has ended before it should."""
        status = self.process.wait()
        if self.watch.lost:
            return Unreachable(
                f"the connection to {self.server.access.description} went silent: {self.watch.lost}",
                hint="see the server (its log, its disk, the network on the way to it), then run the command again",
                id_="server.ended",
            )
        return self.server.failure(self.command, status, self.process.stderr, self.database)


class Session:
    """An open psql; questions are answered in order, inside the transaction that was begun, if any."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._raw = False
        self._before: Callable[[str], str] = lambda _: ""

    def adapt(self) -> None:
        """Exchange bytes as they are with a database in SQL_ASCII: names in it may be no text in any encoding."""
        if self.run("SELECT pg_catalog.current_setting('server_encoding')").strip().decode() == RAW:
            self.run(f"SET client_encoding = '{RAW}'")
            self._raw = True

    def rename(self, application: str) -> int:
        """Give the session another `application_name`, at most 63 bytes; return the process ID of its backend."""
        pid = self.ask(f"SET application_name = {literal(application)}; SELECT pg_backend_pid()", int)
        self._client.backend = f"pid = {pid}"
        return pid

    def precede(self, before: Callable[[str], str]) -> Callable[[str], str]:
        """Run the statements that `before` returns for each question, and that print nothing, before it from now on.

        Returns the former function.
        """
        former, self._before = self._before, before
        return former

    def run(self, sql: str) -> bytes:
        """Run statements and return their output; raises as `Postgres.script`."""
        return b"".join(line + b"\n" for line in self.stream(sql))

    def feed(self, pieces: Iterable[bytes], *, restricted: bool = False) -> None:
        r"""Run a script as it comes, and throw away its output; raises as `Postgres.script`.

        `restricted`: psql knows `\restrict`, and then takes no command of its own from the script.
        """
        key = secrets.token_hex(16) if restricted else ""
        begin, end = (f"\\restrict {key}\n", f"\n\\unrestrict {key}\n") if key else ("", "\n")
        try:
            self._client.write(f"\\o /dev/null\n{begin}".encode())
            for piece in pieces:
                self._client.write(piece)
            self._client.write(f"{end}\\o\n".encode())
        except BrokenPipeError:
            raise self._client.ended() from None
        for _ in self._answer(b""):
            pass

    def ask(self, sql: str, answer: type[T]) -> T:
        """Return the answer to a query whose only value is JSON."""
        out = self.run(sql)
        return msgspec.json.decode(to_text(out) if self._raw else out, type=answer, strict=False)

    def stream(self, sql: str) -> Iterator[bytes]:
        """Run statements and yield their output, line by line without the line break, in constant memory.

        It must be read to its end before the next question. Raises as `Postgres.script`.
        """
        sql = self._before(sql) + sql
        yield from self._answer((to_bytes(sql) if self._raw else sql.encode()) + b"\n;\n")

    def _answer(self, statements: bytes) -> Iterator[bytes]:
        """Send statements and yield their output.

        After the rows of a COPY there must be no empty statement: psql 15.20 throws away all that follows it.
        """
        mark = f"\x1f{secrets.token_hex(16)}".encode()  # rows may hold anything, so the mark is not to be guessed
        try:
            self._client.write(statements + b"\\echo " + mark + b"\n")
            self._client.flush()
        except BrokenPipeError:
            raise self._client.ended() from None
        end = mark + b"\n"
        while line := self._client.line():
            if line == end:
                return
            yield line[:-1]
        raise self._client.ended()

    def terminate(self) -> None:
        """End the session, also while another thread waits for an answer."""
        self._client.process.terminate()


_DATA_DIRECTORY = """
SELECT to_json(CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory')
                    ELSE '' END)
"""

_LOCKERS = """
SELECT coalesce(json_agg(format('process %s (%s, %s) has locked %s since %s', a.pid, a.usename,
                                coalesce(nullif(a.application_name, ''), '-'), l.relation::regclass,
                                to_char(a.xact_start, 'HH24:MI:SS'))), '[]')
FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
WHERE l.granted AND l.mode = 'AccessExclusiveLock' AND c.relkind IN ('r', 'p', 'm') AND a.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def _pooled(place: str, words: str = "") -> Refused:
    return Refused(
        f"{place} is a connection pooler (pgbouncer or alike), which gives no session of its own{words}",
        hint="set POSTGRES_HOST and POSTGRES_PORT to the PostgreSQL server itself; the site may go on with the pooler",
        id_="server.pooler",
    )
