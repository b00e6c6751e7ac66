"""The reference site on a throw-away PostgreSQL, and its commands with their seconds and their largest memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from korrigo_backup.postgres.throwaway import ThrowawayServer

PROJECT = Path(__file__).resolve().parents[2]
RIVALS = PROJECT / "benchmarks" / "rivals"
DEMO = PROJECT / "demo"


@dataclass(frozen=True)
class Run:
    """One run of a command: seconds by the clock, seconds of processor (its own and the database's), largest
    resident memory in MB, what it printed. On a machine that others use, processor time is the steadier figure."""

    seconds: float
    cpu: float
    peak: float
    output: str


class Site:
    """A server, a media tree, and manage.py of the reference site with the rivals' commands in it."""

    def __init__(self, server: ThrowawayServer, home: Path) -> None:
        self.server = server
        self.media = home / "media"
        access = server.access()
        self.access = access
        self.env = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPYCACHEPREFIX") if name in os.environ},
            "DJANGO_SETTINGS_MODULE": "bench_settings",
            "PYTHONPATH": os.pathsep.join((str(DEMO), str(RIVALS), os.environ.get("PYTHONPATH", ""))).rstrip(":"),
            "POSTGRES_HOST": access.host,
            "POSTGRES_USER": access.user,
            "POSTGRES_PASSWORD": access.password.reveal(),
            "MEDIA_ROOT": str(self.media),
            "DEBUG": "",
            "DJANGO_SECRET_KEY": "benchmark",
        }

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Return a connection of a superuser."""
        secret = self.access.password.reveal()
        return psycopg.connect(
            host=self.access.host, user=self.access.user, password=secret, dbname=database, autocommit=True
        )

    def create(self, database: str, template: str = "template1") -> None:
        """Make a database, in place of an old one of that name."""
        with self.connect() as link:
            link.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
            link.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(database), sql.Identifier(template))
            )

    def manage(self, database: str, *arguments: str, quiet: bool = False) -> Run:
        """Run manage.py on one database; its failure ends the benchmark. `quiet` takes the site's signal away."""
        return self.run(
            [sys.executable, "-m", "django", *arguments], database, {"RIVAL_WITHOUT_SIGNALS": "1"} if quiet else {}
        )

    def run(self, argv: list[str], database: str, more: dict[str, str] | None = None) -> Run:
        """Run a program of the site and measure it."""
        env = self.env | {"POSTGRES_DB": database} | (more or {})
        started, server = time.monotonic(), self._server_cpu()
        with subprocess.Popen(argv, env=env, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            output = child.stdout.read().decode(errors="replace")
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(argv)} ended with {child.returncode}:\n{output[-3000:]}")
        seconds = time.monotonic() - started
        time.sleep(1)  # until the server has buried the process of this client
        cpu = usage.ru_utime + usage.ru_stime + self._server_cpu() - server
        return Run(seconds, cpu, usage.ru_maxrss * 1024 / 1e6, output)

    def _server_cpu(self) -> float:
        """Return the processor seconds of all server processes that have ended."""
        pid = (self.server.home / "data" / "postmaster.pid").read_text().split()[0]
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def rows(self, database: str) -> int:
        """Count the rows of all tables."""
        with self.connect(database) as link:
            names = link.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            ).fetchall()
            count = sql.SQL("SELECT count(*) FROM {}")
            return sum(link.execute(count.format(sql.Identifier(name))).fetchone()[0] for (name,) in names)
