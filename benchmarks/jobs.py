"""The jobs: ours and the rival's behind one interface, and what was promised about the two."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from measure import Sample, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from data import Size
    from place import Place

KORRIGO = str(Path(sys.executable).parent / "korrigo-backup")


def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Side:
    """One way to do a job: made ready, run by the clock, and (outside the clock) what it made, in bytes."""

    argv: tuple[str, ...]
    ready: Callable[[], object] = nothing
    made: Callable[[], int] = lambda: 0

    def sample(self, place: Place) -> Sample:
        """Run it once."""
        self.ready()
        taken = run(self.argv, place.env, str(place.work))
        return replace(taken, size=self.made())


@dataclass(frozen=True)
class Job:
    """A row of the table: with `faster`, how many times as fast we are at least; else the most of the rival's time."""

    name: str
    rival: str
    ours: Side
    theirs: Side
    goal: float
    faster: bool
    larger: float | None = None
    """How much larger than the rival's our result may be, as a factor; None where no file is made or compared."""

    @property
    def promise(self) -> str:
        times = f">= {self.goal:g}x as fast" if self.faster else f"<= {self.goal:g}x its time"
        size = {None: "", 1.0: ", not larger"}.get(self.larger, f", <= {((self.larger or 1) - 1) * 100:.0f} % larger")
        return times + size

    def ratio(self, ours: Sample, theirs: Sample) -> float:
        return theirs.seconds / ours.seconds if self.faster else ours.seconds / theirs.seconds

    def met(self, ours: Sample, theirs: Sample) -> bool:
        ratio = self.ratio(ours, theirs)
        timely = ratio >= self.goal if self.faster else ratio <= self.goal
        return timely and (self.larger is None or ours.size <= theirs.size * self.larger)


def shell(script: str, ready: Callable[[], object] = nothing, made: Callable[[], int] = lambda: 0) -> Side:
    """Return the rival's side: the runbook's own words."""
    return Side(("sh", "-c", script), ready, made)


def jobs(place: Place, size: Size) -> list[Job]:
    """Return the rows of the table for one size, in the order in which they build upon each other."""
    db, backups, raw, tree = size.name, place.backups, place.raw, place.tree(size)

    def emptied() -> None:
        shutil.rmtree(backups, ignore_errors=True)

    def one(pattern: str) -> int:
        return next(p for p in backups.glob(pattern) if not p.is_symlink()).stat().st_size

    def ours(*arguments: str, ready: Callable[[], object] = nothing, made: Callable[[], int] = lambda: 0) -> Side:
        return Side((KORRIGO, *arguments), ready, made)

    def into(database: str, *arguments: str) -> Side:
        env = ("env", f"POSTGRES_DB={database}", KORRIGO, *arguments)
        return Side(env, lambda: place.fresh(database))

    def untar() -> None:
        shutil.rmtree(place.untarred, ignore_errors=True)
        place.untarred.mkdir()

    sql, quick, archive = map(str, place.artifacts())
    target = ("env", f"MEDIA_ROOT={place.untarred}/app/media", KORRIGO, "restore", archive, "--yes")
    dump, tar = raw / f"{db}.sql.gz", raw / f"{db}.tar.gz"
    dumped = f"rm -f {dump}; pg_dump {db} > {raw}/{db}.sql && gzip {raw}/{db}.sql"
    archived = f"tar -czf {tar} -C {tree.parent} {tree.name}"
    dump_made, tar_made = partial(place.ensure, dump, dumped), partial(place.ensure, tar, archived)
    return [
        Job("SQL backup with digests", "pg_dump, then gzip",
            ours("backup", ready=emptied, made=lambda: one("db_backup_*.sql.gz")),
            shell(dumped, made=lambda: dump.stat().st_size), 2, faster=True, larger=1.0),
        Job("SQL backup, --no-digests", "pg_dump > /dev/null",
            ours("backup", "--no-digests", ready=emptied), shell(f"pg_dump {db} > /dev/null"), 1.35, faster=False),
        Job("SQL backup with digests", "ours with --no-digests",
            ours("backup", ready=emptied), ours("backup", "--no-digests", ready=emptied), 1.5, faster=False),
        Job("SQL restore, proof included", "zcat | psql",
            into("ours", "restore", sql, "--yes"),
            shell(f"zcat {dump} | psql -q rival", lambda: (dump_made(), place.fresh("rival"))), 1.25, faster=False),
        Job("SQL restore of --no-digests", "zcat | psql",
            into("ours", "restore", quick, "--yes"),
            shell(f"zcat {dump} | psql -q rival", lambda: (dump_made(), place.fresh("rival"))), 0.95, faster=False),
        Job("verify a dump", "gzip -t, sha256sum",
            ours("verify", sql),
            shell(f"gzip -t {dump} && sha256sum {dump}", dump_made), 1.5, faster=True),
        Job("media archive, files proven", "tar -czf",
            ours("backup", "media", ready=emptied, made=lambda: one("media_backup_*.tar.gz")),
            shell(archived, made=lambda: tar.stat().st_size), 5, faster=True, larger=1.02),
        Job("media restore, files proven", "tar -xzf",
            Side(target, untar),
            shell(f"tar -xzf {tar} -C {place.untarred}", lambda: (tar_made(), untar())), 1, faster=True),
        Job("verify a media archive", "gzip -t, sha256sum",
            ours("verify", archive),
            shell(f"gzip -t {tar} && sha256sum {tar}", tar_made), 1.5, faster=True),
    ]  # fmt: skip
