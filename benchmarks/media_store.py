"""Nights and restores with the media store: ours and tar or rsync on the same trees, in turn.

    python benchmarks/media_store.py [--pairs 3] [--only nights,many,restore,memory]

Trees: 2 GB in 2,000 files, and 100,000 files of 2 kB, of random bytes as photographs are; for `memory`, which measures
the largest process of each command, 1,000,000 files of 100 bytes. All commands are whole, as typed. Each pair begins
with files that came to rest more than two seconds ago. Exit status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from korrigo_backup.postgres.client import Postgres
from korrigo_backup.postgres.throwaway import ThrowawayServer, system_bindir
from machine import describe
from measure import run

if TYPE_CHECKING:
    from collections.abc import Callable

HOME = Path(__file__).resolve().parents[1] / ".venv" / "bench-media"
KORRIGO = str(Path(sys.executable).parent / "korrigo-backup")
REST = 4.0
"""Seconds after which files count as at rest."""


@dataclass(frozen=True)
class Tree:
    """A tree of so many files of so many bytes."""

    name: str
    files: int
    size: int

    @property
    def root(self) -> Path:
        """Its media root."""
        return HOME / self.name / "media"

    def make(self) -> None:
        """Make the files, unless they are there."""
        ready = HOME / f"{self.name}.ready"
        if ready.exists():
            return
        shutil.rmtree(self.root, ignore_errors=True)
        numbers = random.Random(1)
        for number in range(self.files):
            path = self.root / f"{number % 97:02d}" / f"{number:07d}.pdf"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(numbers.randbytes(self.size))
        ready.touch()

    def add(self, count: int, mark: str) -> None:
        """Add new files of the same size."""
        place = self.root / "new"
        place.mkdir(exist_ok=True)
        for number in range(count):
            (place / f"{mark}-{number}.pdf").write_bytes(os.urandom(self.size))


LARGE = Tree("large", 2_000, 1_000_000)
MANY = Tree("many", 100_000, 2_000)
MILLION = Tree("million", 1_000_000, 100)
MEMORY_GOAL = 200_000_000
"""Bytes of the largest process in a night over a million files."""


class Bench:
    """The server and the environment of both sides, and the results."""

    def __init__(self, server: ThrowawayServer) -> None:
        access = server.access()
        Postgres(access, database="postgres", maintenance="postgres").script("CREATE DATABASE site")
        self.work = HOME / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        (self.work / "korrigo-backup.toml").write_text("[media]\nstore = true\n")
        self.env = {
            "PATH": f"{server.bindir}:{os.environ['PATH']}",
            "HOME": str(HOME),
            "POSTGRES_HOST": access.host,
            "POSTGRES_USER": "postgres",
            "POSTGRES_PASSWORD": server.password.reveal(),
            "POSTGRES_DB": "site",
            "BACKUP_DIR": str(HOME / "backups"),
            "KORRIGO_BACKUP_CLIENT_DIR": str(server.bindir),
        }
        self.missed = False

    def timed(self, *argv: str, tree: Tree) -> float:
        """Return the seconds of a command."""
        return run(argv, self.env | {"MEDIA_ROOT": str(tree.root)}, str(self.work)).seconds

    def report(
        self, job: str, ours: list[float], theirs: list[float], goal: Callable[[float], bool], words: str
    ) -> None:
        """Print the medians of a job, and whether its goal is met."""
        ratio = median(theirs) / median(ours)
        met = ratio >= goal
        self.missed |= not met
        print(
            f"| {job} | {words} | {median(ours):.2f}, {median(theirs):.2f} | {ratio:.1f}x{'' if met else ' MISSED'} |"
        )


def nights(bench: Bench, pairs: int) -> None:
    """Measure the first night and the second, with 0.5 % new files, against an archive."""
    LARGE.make()
    first, second, theirs, sizes = [], [], [], []
    for number in range(pairs):
        shutil.rmtree(HOME / "backups", ignore_errors=True)
        time.sleep(REST)
        first.append(bench.timed(KORRIGO, "backup", "media", tree=LARGE))
        LARGE.add(10, f"{number}")
        listings = set((HOME / "backups").glob("*.files.gz"))
        second.append(bench.timed(KORRIGO, "backup", "media", tree=LARGE))
        (new,) = set((HOME / "backups").glob("*.files.gz")) - listings
        sizes.append(new.stat().st_size + 10 * LARGE.size)
        theirs.append(bench.timed("tar", "-czf", str(bench.work / "x.tar.gz"), "-C", str(LARGE.root), ".", tree=LARGE))
    bench.report("first night / `tar -czf`", first, theirs, 3, ">= 3x")
    bench.report("second night / `tar -czf`", second, theirs, 50, ">= 50x")
    bench.report("second night / first night", second, first, 20, "under 5 % of the time")
    share = median(sizes) / (LARGE.files * LARGE.size)
    print(f"| size of the second night / of the first | 0.5 % are new | | {share:.3%} |")


def many(bench: Bench, pairs: int) -> None:
    """Measure a night without new files against hard links of rsync."""
    MANY.make()
    ours, theirs = [], []
    shutil.rmtree(HOME / "backups", ignore_errors=True)
    links = HOME / "links"
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir()
    time.sleep(REST)
    bench.timed(KORRIGO, "backup", "media", tree=MANY)
    bench.timed("rsync", "-a", f"{MANY.root}/", f"{links}/0/", tree=MANY)
    for number in range(1, pairs + 1):
        ours.append(bench.timed(KORRIGO, "backup", "media", tree=MANY))
        target = f"{links}/{number}/"
        theirs.append(bench.timed("rsync", "-a", f"--link-dest={links}/0", f"{MANY.root}/", target, tree=MANY))
    bench.report("100,000 files, nothing new / `rsync -a --link-dest`", ours, theirs, 1, ">= 1x")


def restore(bench: Bench, pairs: int) -> None:
    """Measure a restore of a tree of which 1 % is damaged, against an archive; also with links to unchanged files."""
    LARGE.make()
    shutil.rmtree(HOME / "backups", ignore_errors=True)
    config = bench.work / "links.toml"
    config.write_text("[media]\nstore = true\nlink_unchanged = true\n")
    archive = bench.work / "x.tar.gz"
    bench.timed("tar", "-czf", str(archive), "-C", str(LARGE.root), ".", tree=LARGE)
    copied, linked, theirs = [], [], []
    for _ in range(pairs):
        for way, figures in (("copied", copied), ("linked", linked)):
            time.sleep(REST)
            bench.timed(KORRIGO, "backup", "media", tree=LARGE)
            for path in sorted(LARGE.root.rglob("*.pdf"))[::100]:
                path.write_bytes(b"damaged")
            more = ("--config", str(config)) if way == "linked" else ()
            figures.append(bench.timed(KORRIGO, *more, "restore", "latest-media", "--yes", "--no-validate", tree=LARGE))
            for kept in LARGE.root.glob(".before-*"):
                shutil.rmtree(kept)
        target = bench.work / "untarred"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        theirs.append(bench.timed("tar", "-xzf", str(archive), "-C", str(target), tree=LARGE))
    bench.report("restore, 1 % damaged / `tar -xzf`", copied, theirs, 1, ">= 1x")
    bench.report("the same with `link_unchanged`", linked, theirs, 10, ">= 10x")


def memory(bench: Bench, pairs: int) -> None:
    """Measure the memory of a first night, a second night and a restore of a million files."""
    del pairs  # memory varies little
    MILLION.make()
    shutil.rmtree(HOME / "backups", ignore_errors=True)
    time.sleep(REST)
    commands = {
        "first night": ("backup", "media"),
        "second night": ("backup", "media"),
        "verification": ("verify", "latest-media"),
        "restore": ("restore", "latest-media", "--yes", "--no-validate"),
    }
    for name, words in commands.items():
        took = run((KORRIGO, *words), bench.env | {"MEDIA_ROOT": str(MILLION.root)}, str(bench.work))
        met = took.peak <= MEMORY_GOAL
        bench.missed |= not met
        megabytes = f"{took.peak / 1e6:.0f} MB{'' if met else ' MISSED'}"
        print(f"| {name}, 1,000,000 files | under 200 MB | {took.seconds:.0f} | {megabytes} |")
    for kept in MILLION.root.glob(".before-*"):
        shutil.rmtree(kept)


def main() -> None:
    """Measure the chosen jobs and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=3)
    options.add_argument("--only", default="nights,many,restore")
    chosen = options.parse_args()
    found = system_bindir()
    if found is None:
        raise SystemExit("no PostgreSQL server programs are on this machine: apt-get install postgresql")
    with ThrowawayServer(found) as server:
        bench = Bench(server)
        print(", ".join(f"{name} {value}" for name, value in describe(found.parent.name).items()))
        print("| job | goal | ours s, rival s | ratio |\n|---|---|---|---|")
        for name in chosen.only.split(","):
            {"nights": nights, "many": many, "restore": restore, "memory": memory}[name](bench, chosen.pairs)
    raise SystemExit(1 if bench.missed else 0)


if __name__ == "__main__":
    main()
