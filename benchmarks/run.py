"""The benchmark: ours and the runbook's own commands, in turn, on the reference site at two sizes.

`make bench` measures both sizes, `BENCH=100mb make bench` one; BENCH_PAIRS says how many pairs
of each job, BENCH_ONLY=media leaves out every job without that word. Exit status 1 when a goal is missed.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from statistics import median

from data import SIZES, Size
from jobs import Job, jobs
from korrigo_backup.postgres.throwaway import ThrowawayServer, embedded_bindir, system_bindir
from machine import describe
from measure import Sample, middle
from place import HOME, Place
from report import HEAD, MEMORY, Row, write

DOWNTIME = 2.0
"""Seconds between stop and start that are ours, at any size."""


def measure(place: Place, size: Size, job: Job) -> Row:
    """Run both sides in turn, so that a busy minute hits both, and return medians."""
    ours: list[Sample] = []
    theirs: list[Sample] = []
    for _ in range(size.repeat):
        ours.append(job.ours.sample(place))
        theirs.append(job.theirs.sample(place))
    we, they = middle(ours), middle(theirs)
    row = Row(
        size.name, job.name, job.rival, we, they, job.ratio(we, they), job.promise, job.met(we, they), size.repeat
    )
    say(row.cells)
    return row


def downtime(place: Place, size: Size) -> Row:
    """Return the row of the downtime: the services of this site start at once."""
    seconds = median(place.downtime(place.artifacts()[0]) for _ in range(size.repeat))
    we = Sample(seconds, 0, 0)
    row = Row(size.name, "restore: from stop to start", "-", we, None, seconds / DOWNTIME,
              f"< {DOWNTIME:g} s", seconds < DOWNTIME, size.repeat)  # fmt: skip
    say(row.cells)
    return row


def memory(size: Size, rows: list[Row]) -> Row:
    """Return the row of the memory: the greatest of all runs of ours."""
    peak = max(row.ours.peak for row in rows)
    longest = max(rows, key=lambda row: row.ours.peak)
    row = Row(size.name, "memory of each, the greatest", longest.job, Sample(0, 0, peak), None, peak / MEMORY,
              "< 120 MiB", peak < MEMORY, size.repeat)  # fmt: skip
    say(row.cells)
    return row


def say(cells: tuple[str, ...]) -> None:
    """Print one line of the table."""
    widths = (6, 28, 23, 8, 8, 6, 31, 4, 14, 14, 9, 9)
    print(" ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)), flush=True)


def main() -> int:
    """Measure the sizes that BENCH names and return the exit status."""
    wanted = os.environ.get("BENCH", "")
    pairs = os.environ.get("BENCH_PAIRS")
    chosen = [SIZES[wanted]] if wanted else list(SIZES.values())
    sizes = [replace(size, repeat=int(pairs)) if pairs else size for size in chosen]
    rows: list[Row] = []
    with ThrowawayServer(system_bindir() or embedded_bindir(), home=HOME / "postgresql") as server:
        place = Place(server)
        version = place.admin.ask("SELECT to_json(current_setting('server_version'))", str)
        machine = describe(version)
        for size in sizes:
            print(f"preparing {size.name} ...", flush=True)
            place.prepare(size)
            say(HEAD)
            only = os.environ.get("BENCH_ONLY", "")
            found = [measure(place, size, job) for job in jobs(place, size) if only in job.name]
            rows += [*found, *([] if only else [downtime(place, size)]), memory(size, found)]
        for name in ("ours", "rival"):
            place.drop(name)
    for scratch in (place.raw, place.untarred, place.kept, place.backups):
        shutil.rmtree(scratch, ignore_errors=True)
    machine["load after"] = " ".join(f"{value:.1f}" for value in os.getloadavg())
    path = write(wanted or "all", rows, machine)
    print(f"\n{sum(row.met for row in rows)} of {len(rows)} goals met; written to {path.relative_to(path.parents[2])}")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
