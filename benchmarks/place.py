"""The place where it all happens: a throw-away server, the grown sites, the backups of both sides."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import data
from korrigo_backup.postgres.client import Postgres

if TYPE_CHECKING:
    from data import Size
    from korrigo_backup.postgres.throwaway import ThrowawayServer

HOME = data.PROJECT / ".venv" / "bench"
USER = "viatique_user"
BASE = "school"
SERVICES = """
[services]
stop = [["sh", "-c", "date +%s.%N > {place}/stopped"]]
start = [["sh", "-c", "date +%s.%N > {place}/started"]]
"""
"""What stands for the application: it starts at once, so that what is left of the downtime is ours."""


class Place:
    """Paths, the environment of both sides, and the server seen as an administrator."""

    def __init__(self, server: ThrowawayServer) -> None:
        access, password = server.access(), server.password.reveal()
        self._server = server
        self.admin = Postgres(access, database="postgres", maintenance="postgres")
        self.work, self.backups, self.kept = HOME / "work", HOME / "backups", HOME / "kept"
        self.raw, self.untarred = HOME / "raw", HOME / "untarred"
        for path in (self.work, self.raw):
            path.mkdir(parents=True, exist_ok=True)
        self.env = {
            "PATH": f"{server.bindir}:{os.environ['PATH']}",
            "HOME": str(HOME),
            "PGHOST": access.host,
            "PGUSER": USER,
            "PGPASSWORD": password,
            "POSTGRES_HOST": access.host,
            "POSTGRES_USER": USER,
            "POSTGRES_PASSWORD": password,
            "BACKUP_DIR": str(self.backups),
            "KORRIGO_BACKUP_CLIENT_DIR": str(server.bindir),
            "KORRIGO_BACKUP_KEY_FILE": str(HOME / "key"),
        }

    def tree(self, size: Size) -> Path:
        """Return the media root of a size; both sides archive it under the same name."""
        return HOME / size.name / "app" / "media"

    def prepare(self, size: Size) -> None:
        """Make rows and files of a size, unless a former run left them whole, and choose them for both sides."""
        self.env |= {"POSTGRES_DB": size.name, "MEDIA_ROOT": str(self.tree(size))}
        ready = HOME / f"{size.name}.ready"
        if not ready.exists():
            self._seed()
            self.drop(size.name)
            self.admin.script(f'CREATE DATABASE "{size.name}" OWNER {USER} TEMPLATE {BASE}')
            data.grow(str(self._server.bindir / "psql"), self.env, size)
            data.media(HOME / BASE, self.tree(size), size)
            ready.touch()
        self._keep_backups()

    def _seed(self) -> None:
        if BASE in self._databases():
            return
        self.admin.script(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{self._server.password.reveal()}'")
        self.admin.script(f"CREATE DATABASE {BASE} OWNER {USER}")
        data.seed(self.env | {"POSTGRES_DB": BASE, "MEDIA_ROOT": str(HOME / BASE)})

    def _keep_backups(self) -> None:
        """Make the backups that are restored and verified."""
        shutil.rmtree(self.kept, ignore_errors=True)
        for number, verb in enumerate((("backup",), ("backup", "--no-digests"), ("backup", "media")), start=1):
            shutil.rmtree(self.backups, ignore_errors=True)
            self.korrigo(*verb)
            (self.kept / str(number)).mkdir(parents=True)
            for path in self.backups.iterdir():
                path.rename(self.kept / str(number) / path.name)

    def artifacts(self) -> tuple[Path, Path, Path]:
        """Return the kept backups: a dump with digests, one without, a media archive."""
        patterns = ("1/db_backup_*.sql.gz", "2/db_backup_*.sql.gz", "3/media_backup_*.tar.gz")
        return tuple(next(self.kept.glob(pattern)) for pattern in patterns)

    def downtime(self, artifact: Path) -> float:
        """Restore over a live database with services to stop and start; return the seconds between the two."""
        config = self.work / "services.toml"
        config.write_text(SERVICES.format(place=self.work))
        self.fresh("ours")
        self.korrigo("--config", str(config), "restore", str(artifact), "--yes", env={"POSTGRES_DB": "ours"})
        stopped, started = (float((self.work / name).read_text()) for name in ("stopped", "started"))
        return started - stopped

    def korrigo(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        """Run the command; its failure ends the benchmark."""
        argv = [str(Path(sys.executable).parent / "korrigo-backup"), *arguments]
        done = subprocess.run(argv, env=self.env | (env or {}), cwd=self.work, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"{argv} failed: {done.stderr.decode()}")

    def ensure(self, file: Path, script: str) -> None:
        """Make a file of the rival's, outside the clock, unless it is there; a failure ends the benchmark."""
        if not file.exists():
            subprocess.run(["sh", "-c", script], env=self.env, cwd=self.work, check=True)

    def fresh(self, database: str) -> None:
        """Make an empty database of that name, and drop what a restore kept of the one before."""
        self.drop(database)
        self.admin.script(f"CREATE DATABASE {database} OWNER {USER}")

    def drop(self, database: str) -> None:
        """Drop a database and what restores kept of it."""
        for name in self._databases():
            if name == database or name.startswith((f"{database}_before_", f"{database}_stage_")):
                self.admin.script(f'DROP DATABASE "{name}"')

    def _databases(self) -> list[str]:
        return self.admin.ask("SELECT json_agg(datname) FROM pg_database", list[str])
