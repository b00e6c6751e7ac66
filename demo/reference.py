"""The site of the demonstration: a server, a database, media, a web service, and the configuration of its backups.

All of it is in one directory, `DEMO_HOME`, by default `.venv/demo`; the commands are run there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

import service
from korrigo_backup.core.dotenv import written
from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.postgres.client import Postgres
from korrigo_backup.postgres.throwaway import ThrowawayServer, embedded_bindir
from korrigo_backup.site.services import await_url
from korrigo_backup.system.files import explained, free_bytes
from korrigo_backup.system.lock import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

PROJECT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("DEMO_HOME", PROJECT / ".venv" / "demo")).absolute()
MADE_IN = HOME if "DEMO_HOME" in os.environ else HOME.parent
MEDIA, BACKUPS, READY = HOME / "media", HOME / "backups", HOME / "ready"
DATABASE, USER = "viatique", "viatique_user"
COPIES = os.environ.get("DEMO_COPIES", "300")
ROOM = 1_500_000_000
"""Bytes wanted free: the site, its backups, and what the restores hold beside it, with the default DEMO_COPIES."""
_HEALTH_SECONDS = 60.0
_PASSED_ON = (
    "PATH", "HOME", "PYTHONPYCACHEPREFIX", "LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "NO_COLOR", "TERM",
)  # fmt: skip
_CONFIGURATION = """\
[backup]
key_file = {key}

[database]
client_dir = {programs}

[media]
columns = ["exams_booklet.pages_images"]

[django]
manage = {manage}

[services]
stop = [{stop}]
start = [{start}]
health_url = "{address}/api/health/"
"""


class Reference:
    """The running site, and the environment in which its operator types."""

    def __init__(self, server: ThrowawayServer, port: int) -> None:
        access = server.access(USER, server.password)
        self.server, self.port = server, port
        self.bin = Path(sys.executable).parent
        self.env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self.env["PATH"] = f"{self.bin}{os.pathsep}{self.env.get('PATH', os.defpath)}"
        self.settings = {
            "POSTGRES_DB": DATABASE,
            "POSTGRES_USER": USER,
            "POSTGRES_PASSWORD": server.password.reveal(),
            "POSTGRES_HOST": access.host,
            "MEDIA_ROOT": str(MEDIA),
            "BACKUP_DIR": str(BACKUPS),
            "DEBUG": "1",
        }
        self.connection = psycopg.conninfo.make_conninfo(
            host=access.host, user=USER, password=server.password.reveal(), dbname=DATABASE
        )

    @property
    def address(self) -> str:
        """Where the site answers."""
        return f"http://127.0.0.1:{self.port}"

    def configure(self) -> None:
        """Write the site's settings and the configuration of its backups: the socket and the port are new each time."""
        HOME.mkdir(parents=True, exist_ok=True)
        dotenv = HOME / ".env"
        dotenv.unlink(missing_ok=True)
        dotenv.touch(0o600)
        dotenv.write_text("".join(written(name, value) for name, value in self.settings.items()))
        service_py = [sys.executable, str(Path(service.__file__))]
        place = [str(HOME), str(self.port)]
        text = _CONFIGURATION.format(
            key=json.dumps(str(HOME / "key")),
            programs=json.dumps(str(self.server.bindir)),
            manage=json.dumps([sys.executable, str(service.MANAGE)]),
            stop=json.dumps([*service_py, "stop", *place]),
            start=json.dumps([*service_py, "start", *place]),
            address=self.address,
        )
        (HOME / "korrigo-backup.toml").write_text(text)

    def type(self, *argv: str, show: Callable[[str], None], last: int) -> float:
        """Show a command, run it in the site's directory, show its last lines, and return its seconds.

        Its failure ends the demonstration; then all of its lines are shown.
        """
        shown = f"{' '.join(argv)} | tail -{last}"
        show(f"$ {shown}")
        began = time.monotonic()
        done = subprocess.run(
            argv, env=self.env, cwd=HOME, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
        )
        seconds = time.monotonic() - began
        lines = done.stdout.splitlines()
        show("\n".join(lines if done.returncode else lines[-last:]))
        if done.returncode:
            raise SystemExit(f"\nFAILED: {shown} ended with status {done.returncode}")
        return seconds

    def manage(self, *arguments: str) -> None:
        """Run the site's manage.py without its output. Raises KorrigoBackupError if it fails."""
        self._run_quietly([sys.executable, str(service.MANAGE), *arguments], f"manage.py {arguments[0]}")

    def tool(self, *arguments: str) -> None:
        """Run korrigo-backup without its output. Raises KorrigoBackupError if it fails."""
        self._run_quietly([str(self.bin / "korrigo-backup"), *arguments], f"korrigo-backup {arguments[0]}")

    def _run_quietly(self, argv: list[str], name: str) -> None:
        done = subprocess.run(
            argv, env=self.env | self.settings, cwd=HOME, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise KorrigoBackupError(f"{name} failed: {done.stderr.strip()[-500:]}", hint="make demo starts afresh")

    def fill(self) -> None:
        """Make role, database, tables, rows and files, unless an earlier run left them whole."""
        if READY.exists():
            return
        admin = self._admin()
        admin.script(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{self.server.password.reveal()}'")
        admin.script(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        self.manage("migrate", "--verbosity", "0")
        self.manage("seed", "--copies", COPIES)

    def start(self) -> None:
        """Start the web service, and return when it answers."""
        service.start(HOME, self.port)
        await_url(f"{self.address}/api/health/", _HEALTH_SECONDS)

    def forget_previous_copies(self) -> None:
        """Drop the previous copies that the restores of this run keep, so that the next run starts small."""
        admin = self._admin()
        kept = admin.ask(
            f"SELECT coalesce(json_agg(datname), '[]') FROM pg_database WHERE datname ~ '^{DATABASE}_(before|after)_'",
            list[str],
        )
        for name in kept:
            admin.script(f'DROP DATABASE "{name}" WITH (FORCE)')
        for path in (*MEDIA.glob(".before-*"), *MEDIA.glob(".after-*")):
            shutil.rmtree(path)

    def _admin(self) -> Postgres:
        return Postgres(self.server.access(), database="postgres", maintenance="postgres")


@contextmanager
def running(port: int, doing: str) -> Iterator[Reference]:
    """Yield the configured site on a running server; the data may be missing yet. At the end nothing is left running.

    Raises Locked while another demonstration is at work in the same place; Refused where the disk has no room for it.
    """
    server = ThrowawayServer(embedded_bindir(), home=HOME / "postgresql")
    with exclusive(HOME.with_name(f"{HOME.name}.lock"), doing), explained("run the demonstration"):
        service.stop(HOME)
        server.end_left()
        if not READY.exists():
            shutil.rmtree(HOME, ignore_errors=True)
        _require_space()
        MEDIA.mkdir(parents=True, exist_ok=True)
        with server:
            site = Reference(server, port)
            site.configure()
            try:
                yield site
            finally:
                service.stop(HOME)


def free_port() -> int:
    """Return a port of the loopback interface that no program listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _require_space() -> None:
    free = free_bytes(HOME)
    if free < ROOM and "DEMO_COPIES" not in os.environ:
        raise Refused(f"{HOME} has {free:,} bytes free, the demonstration wants {ROOM:,}", hint="make room (df -h)")


def end_on_signals() -> None:
    """Make the end of a terminal or of `make` what Ctrl-C is: everything is stopped before we go."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def guarded(main: Callable[[], int], interrupted: str) -> int:
    """Run a program of the demonstration and return its exit code; an error is three lines, not a traceback.

    `interrupted` has the lines for an interrupt.
    """
    end_on_signals()
    try:
        return main()
    except (KorrigoBackupError, psycopg.Error) as problem:
        return _report_failure(problem)
    except KeyboardInterrupt:
        print(f"error: interrupted\n{interrupted}", file=sys.stderr)
        return 130


def _report_failure(problem: Exception) -> int:
    """Print an error in three lines, not as a traceback, and return its exit code."""
    if isinstance(problem, KorrigoBackupError):
        print(f"error: {problem.message}\nhint: {problem.hint}\nstate: {problem.state}", file=sys.stderr)
        return problem.exit_code
    print(f"error: the site's database: {problem}\nhint: see {HOME}/postgresql/server.log", file=sys.stderr)
    return 1
