"""How a command reaches a service: the port, and direct access (this machine, a host and port)."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from korrigo_backup.system.files import free_bytes
from korrigo_backup.system.run import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.core.secret import Secret
    from korrigo_backup.errors import Cause


APPLICATION = "korrigo-backup"
"""The application name of our sessions on the server."""

_ALIVE = "--dbname=keepalives=1 keepalives_idle=30 keepalives_interval=10 keepalives_count=3 tcp_user_timeout=300000"
"""A connection whose other end is gone without a word ends after a minute, with data under way after five: a server
that does not read for so long (a disk that stalls) must not lose its load. The database is named in the environment."""

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


class Access(Protocol):
    """Turns a PostgreSQL client call into a command that runs where the client is."""

    @property
    def description(self) -> str:
        """Return how the database is reached, in words for a message."""
        ...

    def postgres(
        self, program: str, *arguments: str, database: str, options: str = "", name: str = APPLICATION
    ) -> Command:
        """Return the command that runs the client `program` against `database`.

        `options` are server settings for the session, as PGOPTIONS takes them; `name` is that of the session in
        pg_stat_activity.
        """
        ...

    def typed(self, program: str, *arguments: str) -> str:
        """Return the command line with which a person runs a PostgreSQL client where it reaches the server."""
        ...

    def tool(self, program: str, *arguments: str) -> Command:
        """Return the command that runs a PostgreSQL client which needs no connection, on data of unknown origin."""
        ...

    def is_stopped(self, pid: int) -> bool:
        """Return whether a process of the server is known to be stopped; False where that cannot be seen from here."""
        ...

    def as_user(self, user: str, password: Secret) -> Access:
        """Return the same way to the server for another role."""
        ...

    def explain(self, stderr: str) -> Cause | None:
        """Return the cause if a client could not even be started where it runs, None if it was."""
        ...

    def free(self, directory: str) -> int | None:
        """Return the free bytes of a directory of the server's machine, None when that cannot be seen from here."""
        ...


@dataclass(frozen=True)
class Direct:
    """Direct access: the clients are on this machine, the server is at `host` (a name or a socket directory)."""

    host: str
    port: int
    user: str
    password: Secret | None
    connect_timeout: int
    client_dir: Path | None = None
    security: Mapping[str, str | Secret] = field(default_factory=dict)
    """Variables of libpq about the security of a connection and the places of its secrets."""

    @property
    def description(self) -> str:
        """Return host, port and user."""
        return f"{self.host} port {self.port} as {self.user}"

    def postgres(
        self, program: str, *arguments: str, database: str, options: str = "", name: str = APPLICATION
    ) -> Command:
        """Return the command; database and password are in the environment.

        The database name is not an argument because libpq would read a name with "=" or "://" as a connection string;
        the password never is (`ps` shows arguments to everyone).
        """
        env: dict[str, str | Secret] = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": database,
            "PGAPPNAME": name,
            "PGCONNECT_TIMEOUT": str(self.connect_timeout),
            **self.security,
        }
        if options:
            env["PGOPTIONS"] = options
        if self.password:
            env["PGPASSWORD"] = self.password
        path = str(self.client_dir / program) if self.client_dir else program
        return Command((path, *arguments, _ALIVE), env)  # pg_dump knows --version as its first argument alone

    def typed(self, program: str, *arguments: str) -> str:
        """Return the command line with which a person runs a client; it asks for the password."""
        path = str(self.client_dir / program) if self.client_dir else program
        return shlex.join((path, "-h", self.host, "-p", str(self.port), "-U", self.user, *arguments))

    def tool(self, program: str, *arguments: str) -> Command:
        """Return the command; it is given neither password nor rights."""
        path = str(self.client_dir / program) if self.client_dir else program
        return Command((path, *arguments), unprivileged=True)

    def as_user(self, user: str, password: Secret) -> Direct:
        """Return the same way to the server for another role."""
        return replace(self, user=user, password=password)

    def explain(self, stderr: str) -> Cause | None:
        """Return None: the clients are on this machine."""
        del stderr
        return None

    def is_stopped(self, pid: int) -> bool:
        """Return whether a process of a server on this machine is stopped."""
        return self._is_here and state_of(_process_of(pid)) in STOPPED

    @property
    def _is_here(self) -> bool:
        return self.host.startswith("/") or self.host in _THIS_MACHINE

    def free(self, directory: str) -> int | None:
        """Return the free bytes of the server's directory when the server is on this machine, else None."""
        path = Path(directory)
        return free_bytes(path) if self._is_here and path.is_dir() else None


STOPPED = ("T", "t")
"""States of a process in /proc that was stopped by a signal or a debugger."""


def state_of(stat: str) -> str:
    """Return the state letter in the text of /proc/PID/stat of a PostgreSQL process, "" for any other text."""
    name, _, rest = stat.rpartition(") ")
    return rest[:1] if name.partition("(")[2].startswith("postgres") else ""


def _process_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
