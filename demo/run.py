"""The demonstration: a site with real data is backed up, destroyed, restored and proven identical, twice.

Everything it makes is in one directory, which it names at the end. It exits non-zero when anything differs.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.postgres.client import Postgres
from korrigo_backup.postgres.throwaway import ThrowawayServer, embedded_bindir
from korrigo_backup.system.files import explained, free_bytes
from korrigo_backup.system.lock import exclusive
from witness import NOT_CARRIED_BY_METHOD_2, Testimony, testify

if TYPE_CHECKING:
    from types import FrameType

    from korrigo_backup.core.secret import Secret
    from korrigo_backup.postgres.access import Direct

PROJECT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("DEMO_HOME", PROJECT / ".venv" / "demo")).absolute()
MADE_IN = HOME if "DEMO_HOME" in os.environ else HOME.parent
MEDIA, BACKUPS, READY = HOME / "media", HOME / "backups", HOME / "ready"
DATABASE, USER = "viatique", "viatique_user"
COPIES = os.environ.get("DEMO_COPIES", "300")
LEAST_ROWS, LEAST_BYTES = 100_000, 100_000_000
"""What the demonstration promises to show at least; with a smaller DEMO_COPIES it promises nothing."""
ROOM = 1_500_000_000
"""Bytes wanted free: the site, its backups, and what the restores hold beside it, with the default DEMO_COPIES."""


@dataclass(frozen=True)
class Outcome:
    """One method's figures and what the witness said before, when destroyed, and after."""

    method: str
    seconds: tuple[float, float]
    stored: int
    before: Testimony
    damaged: Testimony
    after: Testimony
    without: tuple[str, ...] = ()

    @property
    def digests(self) -> tuple[str, ...]:
        return tuple(state.digest(self.without) for state in (self.before, self.damaged, self.after))

    @property
    def identical(self) -> bool:
        before, damaged, after = self.digests
        return before == after != damaged


class Demo:
    """A running server, and the environment in which an operator of the site would type."""

    def __init__(self, server: ThrowawayServer) -> None:
        access: Direct = server.access(USER, server.password)
        self.server = server
        self.bin = Path(sys.executable).parent
        self.env = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPYCACHEPREFIX") if name in os.environ},
            "POSTGRES_DB": DATABASE,
            "POSTGRES_USER": USER,
            "POSTGRES_PASSWORD": server.password.reveal(),
            "POSTGRES_HOST": access.host,
            "MEDIA_ROOT": str(MEDIA),
            "BACKUP_DIR": str(BACKUPS),
            "KORRIGO_BACKUP_KEY_FILE": str(HOME / "key"),
            "KORRIGO_BACKUP_CLIENT_DIR": str(server.bindir),
            "DEBUG": "1",
        }
        self.connection = psycopg.conninfo.make_conninfo(
            host=access.host, user=USER, password=server.password.reveal(), dbname=DATABASE
        )

    def run(self, *argv: str, answer: str = "") -> float:
        """Show a command, run it, and return its seconds; its failure ends the demonstration."""
        shown = " ".join(argv).replace(f"{self.bin}/", "").replace(f"{PROJECT}/", "")
        print(f"\n$ {shown}", flush=True)
        start = time.monotonic()
        done = subprocess.run(argv, env=self.env, cwd=PROJECT, input=answer, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"\nFAILED: {shown} ended with status {done.returncode}")
        return time.monotonic() - start

    def manage(self, *arguments: str) -> float:
        """Run the reference site's manage.py."""
        return self.run(str(self.bin / "python"), "demo/manage.py", *arguments)

    def tool(self, *arguments: str) -> float:
        """Run korrigo-backup."""
        return self.run(str(self.bin / "korrigo-backup"), *arguments)

    def script(self, name: str, *arguments: str, answer: str = "") -> float:
        """Run one of the runbook's scripts."""
        return self.run(str(PROJECT / "scripts" / name), *arguments, answer=answer)

    def testify(self) -> Testimony:
        """Ask the witness."""
        return testify(self.connection, MEDIA)

    def prepare(self) -> None:
        """Make role, database, tables and data, unless an earlier run left them whole."""
        if READY.exists():
            print(f"using the site of the last run in {HOME}")
            return
        admin = Postgres(self.server.access(), database="postgres", maintenance="postgres")
        secret: Secret = self.server.password
        admin.script(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{secret.reveal()}'")
        admin.script(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        self.manage("migrate", "--verbosity", "0")
        self.manage("seed", "--copies", COPIES)

    def forget_kept(self) -> None:
        """Drop what the restores of this run kept aside, so that the next run starts small."""
        admin = Postgres(self.server.access(), database="postgres", maintenance="postgres")
        kept = admin.ask(
            "SELECT coalesce(json_agg(datname), '[]') FROM pg_database WHERE datname LIKE 'viatique\\_before\\_%'",
            list[str],
        )
        for name in kept:
            admin.script(f'DROP DATABASE "{name}"')
        for path in MEDIA.glob(".before-*"):
            shutil.rmtree(path)


def destroy(demo: Demo) -> Testimony:
    """Drop every table; delete, corrupt and add media files. Return what the witness says of the ruin."""
    print("\n*** disaster: every table is dropped; media files are deleted, corrupted and added ***", flush=True)
    with psycopg.connect(demo.connection) as link:
        link.execute("DROP SCHEMA public CASCADE")
        link.execute("CREATE SCHEMA public")
    files = sorted(path for path in MEDIA.rglob("*") if path.is_file())
    chosen = random.Random(7).sample(files, max(3, len(files) // 10))
    for number, path in enumerate(chosen):
        if number % 2:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    (MEDIA / "intruder.pdf").write_bytes(b"%PDF-1.4 not of this site")
    return demo.testify()


def method_1(demo: Demo) -> Outcome:
    """SQL dump and media archive, by the runbook's scripts and the command."""
    title("Method 1: SQL and media archive")
    before = demo.testify()
    backup = demo.script("backup_db.sh") + demo.tool("backup", "media")
    stored = stored_bytes()
    damaged = destroy(demo)
    archive = next(BACKUPS.glob("media_backup_*.tar.gz"))
    restore = demo.script("restore_db.sh", "latest", answer="yes\n")
    restore += demo.tool("restore", str(archive), "--yes")
    return Outcome("1 SQL + media", (backup, restore), stored, before, damaged, demo.testify())


def method_2(demo: Demo) -> Outcome:
    """JSON fixture and ZIP, by the site's own manage.py, into a freshly migrated database."""
    title("Method 2: Django command")
    before = demo.testify()
    backup = demo.manage("backup", "--output-dir", str(BACKUPS), "--include-media")
    path = next(BACKUPS.glob("korrigo_backup_*"))
    stored = sum(file.stat().st_size for file in path.iterdir())
    damaged = destroy(demo)
    demo.manage("migrate", "--verbosity", "0")
    restore = demo.manage("restore", str(path))
    return Outcome("2 Django", (backup, restore), stored, before, damaged, demo.testify(), NOT_CARRIED_BY_METHOD_2)


def stored_bytes() -> int:
    """Return the size of everything in the backup directory."""
    return sum(path.stat().st_size for path in BACKUPS.iterdir() if path.is_file() and not path.is_symlink())


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n{'=' * 78}\n{text}\n{'=' * 78}", flush=True)


def report(outcomes: list[Outcome], began: float) -> bool:
    """Print the table and return whether everything is as it must be."""
    title("Result, by an independent witness that reads every row and every file")
    head = ("method", "rows", "files", "media", "stored", "backup s", "restore s", "before", "destroyed", "after")
    print("{:<14}{:>9}{:>7}{:>9}{:>9}{:>9}{:>10}  {:<17}{:<17}{:<17}verdict".format(*head))
    for one in outcomes:
        numbers = f"{one.before.rows:>9}{len(one.before.files):>7}{one.before.media_bytes / 1e6:>7.0f}MB"
        numbers += f"{one.stored / 1e6:>7.0f}MB{one.seconds[0]:>9.1f}{one.seconds[1]:>10.1f}"
        verdict = "IDENTICAL" if one.identical else "DIFFERENT"
        print(f"{one.method:<14}{numbers}  " + "".join(f"{digest:<17}" for digest in one.digests) + verdict)
    enough = all(o.before.rows >= LEAST_ROWS and o.before.media_bytes >= LEAST_BYTES for o in outcomes)
    if not enough and "DEMO_COPIES" not in os.environ:
        print(f"the site is smaller than promised ({LEAST_ROWS} rows, {LEAST_BYTES} bytes)")
    print(
        f"\n{time.monotonic() - began:.0f} s in all."
        f" Everything this made is in {MADE_IN}; remove it and nothing is left."
    )
    return all(one.identical for one in outcomes) and (enough or "DEMO_COPIES" in os.environ)


def main() -> int:
    """Run both methods and return the exit status."""
    began = time.monotonic()
    server = ThrowawayServer(embedded_bindir(), home=HOME / "postgresql")
    with exclusive(HOME.with_name(f"{HOME.name}.lock"), "the demonstration"), explained("run the demonstration"):
        server.end_left()
        if not READY.exists():
            shutil.rmtree(HOME, ignore_errors=True)
        shutil.rmtree(BACKUPS, ignore_errors=True)
        require_space()
        MEDIA.mkdir(parents=True, exist_ok=True)
        with server:
            return 0 if show(Demo(server), began) else 1


def show(demo: Demo, began: float) -> bool:
    """Show both methods on the demo's site, and return whether everything is as it must be."""
    demo.prepare()
    READY.unlink(missing_ok=True)  # from here on the data is in danger: a run that is cut starts afresh
    outcomes = [method_1(demo), method_2(demo)]
    demo.forget_kept()
    passed = report(outcomes, began)
    if passed:
        READY.touch()
    return passed


def require_space() -> None:
    """Refuse to begin what the disk has no room for."""
    free = free_bytes(HOME)
    if free < ROOM and "DEMO_COPIES" not in os.environ:
        raise Refused(f"{HOME} has {free:,} bytes free, the demonstration wants {ROOM:,}", hint="make room (df -h)")


def interrupt(number: int, frame: FrameType | None) -> None:
    """Make the end of a terminal or of `make` what Ctrl-C is: the server is stopped before we go."""
    del number, frame
    raise KeyboardInterrupt


def run() -> int:
    """Run the demonstration; what goes wrong is told in three lines, not as a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        return main()
    except KorrigoBackupError as problem:
        print(f"error: {problem.message}\nhint: {problem.hint}\nstate: {problem.state}", file=sys.stderr)
        return problem.exit_code
    except psycopg.Error as problem:
        print(f"error: the site's database: {problem}\nhint: see {HOME}/postgresql/server.log", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted\nhint: make demo starts afresh\nstate: no server is left running", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
