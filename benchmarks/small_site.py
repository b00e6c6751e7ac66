"""A small site on Compose, where every call of docker counts: ours and the same by hand, in turn.

    tests/compose/engine.sh && infra/docker/images/build.sh
    python benchmarks/small_site.py [--pairs 5] [--copies 300] [--korrigo COMMAND]

The stack is that of `tests/compose/korrigo_shape`: 33 MB of database, 600 scans, a backend behind a proxy, and a worker
whose health the engine asks each 30 s. Seconds are those of the whole command, as typed; processor seconds are those of
the client's side, without server and engine. The outage is from the first request to the health address, through the
proxy, that fails to the first that is answered after it; it is asked each 0.2 s. Exit status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from machine import describe
from measure import Sample, run

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from compose.dockerstack import IMAGES, PREFIX, docker  # noqa: E402 - found only now
from compose.korrigoshape import TAG, Shape  # noqa: E402 - found only now

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICES = "backend celery nginx"
PAUSE = 0.2
GOALS = {"backup db": 2.0, "restore of a point": 1.5, "outage of a restore": 1.3, "outage of a rollback": 1.3}
"""The most of the rival's time."""


@dataclass
class Visitor:
    """Asks an address again and again; `outage` is how long it had no answer."""

    url: str
    refused: float | None = None
    served: float | None = None
    _end: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Ask until the end."""
        while not self._end.is_set():
            sent = time.monotonic()
            try:
                with urllib.request.urlopen(self.url, timeout=2) as answer:  # noqa: S310 - our own stack
                    answers = answer.status == 200
            except OSError:
                answers = False
            if not answers:
                self.refused, self.served = self.refused or sent, None
            elif self.refused and not self.served:
                self.served = time.monotonic()
            self._end.wait(PAUSE)

    @property
    def outage(self) -> float:
        """Return the seconds; waits for the end of an outage."""
        while self.refused and not self.served:
            time.sleep(PAUSE)
        return (self.served or 0.0) - (self.refused or 0.0)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask while the block runs, and until it is answered again."""
        thread = threading.Thread(target=self.ask, daemon=True)
        thread.start()
        try:
            yield
            _ = self.outage
        finally:
            self._end.set()
            thread.join()


class Bench:
    """The stack, and both sides of each job."""

    def __init__(self, stack: Shape, korrigo: str) -> None:
        self._stack = stack
        self._korrigo = korrigo
        self._compose = " ".join(stack.argv)
        form = "{{.Mountpoint}}"
        self._media = docker("volume", "inspect", "--format", form, f"{stack.name}_media_volume")[0]
        self._env = {name: value for name, value in stack.env.items() if name != "PATH"} | {"PATH": os.environ["PATH"]}
        self._ours("backup", "full")

    def backup(self) -> tuple[Sample, Sample]:
        """Return ours and the rival's."""
        ours = self._ours("backup", "db")
        psql = "exec -T db pg_dump -U viatique_user viatique"
        return ours, self._run(f"{self._compose} {psql} | gzip > {self._stack.root}/by-hand.sql.gz")

    def restore(self) -> tuple[Sample, float, Sample, float]:
        """Return a restore and its outage, and the same by hand: stop, drop, load, unpack, start."""
        ours, outage = self._visited(self._korrigo, "restore", "latest-point", "--yes")
        back = "exec -T db psql -q -v ON_ERROR_STOP=1 -U viatique_user"
        hand = (
            f"{self._compose} stop {SERVICES} && {self._compose} {back} -d postgres"
            " -c 'DROP DATABASE viatique WITH (FORCE)' -c 'CREATE DATABASE viatique' &&"
            f" zcat backups/db_backup_latest.sql.gz | {self._compose} {back} -d viatique >/dev/null &&"
            f" rm -rf {self._media}/by-hand && mkdir {self._media}/by-hand &&"
            f" tar -xzf $(ls backups/media_backup_*.tar.gz | tail -1) -C {self._media}/by-hand &&"
            f" {self._compose} start {SERVICES}"
        )
        theirs, its_outage = self._visited("sh", "-ec", hand)
        self._run(f"rm -rf {self._media}/by-hand")
        return ours, outage, theirs, its_outage

    def rollback(self) -> tuple[Sample, float]:
        """Return a rollback and its outage."""
        return self._visited(self._korrigo, "rollback", "--yes")

    def bare(self) -> tuple[Sample, float]:
        """Return Compose's own stop and start of the same services, and the outage."""
        return self._visited("sh", "-ec", f"{self._compose} stop {SERVICES} && {self._compose} start {SERVICES}")

    def _visited(self, *argv: str) -> tuple[Sample, float]:
        while not self._stack.healthy():
            time.sleep(1)
        visitor = Visitor(self._stack.health_url)
        with visitor.asking():
            taken = run(argv, self._env, str(self._stack.root))
        return taken, visitor.outage

    def _ours(self, *arguments: str) -> Sample:
        return run((self._korrigo, *arguments), self._env, str(self._stack.root))

    def _run(self, script: str) -> Sample:
        return run(("sh", "-ec", script), self._env, str(self._stack.root))


@dataclass
class Pairs:
    """A job: seconds and processor seconds of ours and of the rival, one of each a pair."""

    ours: list[Sample] = field(default_factory=list)
    theirs: list[Sample] = field(default_factory=list)

    def add(self, ours: Sample, theirs: Sample) -> None:
        """Take one pair."""
        self.ours.append(ours)
        self.theirs.append(theirs)

    @property
    def figures(self) -> dict[str, float]:
        """Return the medians, and the median of the ratios of the pairs."""
        return {
            "ours": median(one.seconds for one in self.ours),
            "rival": median(one.seconds for one in self.theirs),
            "ratio": median(a.seconds / b.seconds for a, b in zip(self.ours, self.theirs, strict=True)),
            "ours cpu": median(one.cpu for one in self.ours),
            "rival cpu": median(one.cpu for one in self.theirs),
        }


def measure(bench: Bench, pairs: int) -> dict[str, dict[str, float]]:
    """Return the figures by job; the sides take turns."""
    jobs = {name: Pairs() for name in GOALS}
    for _ in range(pairs):
        jobs["backup db"].add(*bench.backup())
        ours, outage, theirs, _ = bench.restore()
        jobs["restore of a point"].add(ours, theirs)
        bare, its_outage = bench.bare()
        rolled, other = bench.rollback()
        for job, taken, seconds in (("restore", ours, outage), ("rollback", rolled, other)):
            jobs[f"outage of a {job}"].add(Sample(seconds, taken.cpu, 0), Sample(its_outage, bare.cpu, 0))
    return {name: found.figures for name, found in jobs.items()}


@contextmanager
def site(copies: int) -> Iterator[Shape]:
    """Bring the stack up with its rows and files, and remove it at the end."""
    name = f"{PREFIX}-{os.getpid()}-1"
    with tempfile.TemporaryDirectory(prefix="korrigo-bench-") as place:
        root = Path(place) / "site"
        root.mkdir()
        stack = Shape(root, name).lay_out().configured()
        docker("tag", IMAGES["KORRIGO_BACKEND_IMAGE"], f"{stack.image}:{TAG}")
        docker("network", "create", f"{name}-other")
        try:
            stack.deploy()
            seed = ("python", "manage.py", "seed", "--copies", str(copies), "--pages", "1")
            stack.compose("exec", "-T", "--user", "app", "backend", *seed, limit=1800)
            yield stack
        finally:
            stack.down()
            docker("network", "rm", f"{name}-other")
            docker("rmi", f"{stack.image}:{TAG}")


def main() -> int:
    """Measure, print and write the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=300, help="exam copies (300: 100,000 rows, 33 MB, 600 files)")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument(
        "--korrigo", default=str(Path(sys.executable).parent / "korrigo-backup"), help="another version"
    )
    chosen = parser.parse_args()
    with site(chosen.copies) as stack:
        machine = describe(stack.sql("SHOW server_version")) | {"server": "that of the stack, in its container"}
        found = measure(Bench(stack, chosen.korrigo), chosen.pairs)
    machine["load after"] = " ".join(f"{value:.1f}" for value in os.getloadavg())
    for job, row in found.items():
        met = "met" if row["ratio"] < GOALS[job] else "MISSED"
        words = f"{row['ours']:.2f} s, {row['rival']:.2f} s: {row['ratio']:.2f}x, goal under {GOALS[job]:g}x, {met};"
        print(f"{job}: {words} processor {row['ours cpu']:.2f} s, {row['rival cpu']:.2f} s", flush=True)
    results = Path(__file__).resolve().parent / "results" / "small_site.json"
    results.write_text(json.dumps({"machine": machine, "pairs": chosen.pairs, "jobs": found}, indent=1) + "\n")
    return 0 if all(row["ratio"] < GOALS[job] for job, row in found.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
