"""Method 2 measured: dump, load, memory and media ZIP, ours and the rivals' in one run on the same data.

    python benchmarks/method2/run.py [--copies 880] [--megabytes 1000] [--only dump|rows|media] [--out FILE]
    python benchmarks/method2/run.py --flat [--most ROWS] [--out FILE]

Every figure is of a whole process: start of Python, connection, work, end. Each load goes into a freshly migrated
database; ours includes the check before and the proof after. `--flat` measures memory from 30,000 to 3,000,000 rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

import django
from benchmarks.method2.site import PROJECT, Run, Site

from korrigo_backup.postgres.throwaway import ThrowawayServer, embedded_bindir, system_bindir
from witness import NOT_CARRIED_BY_METHOD_2, testify

EXCLUDE = ("--exclude", "sessions", "--exclude", "contenttypes", "--exclude", "auth.permission")
MEDIA = str(PROJECT / "benchmarks" / "method2" / "media.py")
ZIPPING = str(PROJECT / "benchmarks" / "method2" / "zipping.py")
OURS, FORMER, DJANGO, DEFLATE = "ours", "former command", "dumpdata/loaddata", "zipfile deflate"
GOALS = {"dump": 6, "load": 20, "zip": 6}


class Bench:
    """One run over one site."""

    def __init__(self, site: Site, home: Path, *, former_load: bool = False) -> None:
        self.site = site
        self.home = home
        self.former_load = former_load
        self.figures: dict[str, dict[str, dict[str, float]]] = {}

    def note(self, what: str, who: str, run: Run, **more: float) -> None:
        """Keep and show one figure."""
        figure = {"seconds": round(run.seconds, 2), "cpu": round(run.cpu, 2), "peak_mb": round(run.peak, 1), **more}
        self.figures.setdefault(what, {})[who] = figure
        print(f"{what:<8}{who:<20}{figure}", flush=True)

    def seed(self, copies: int, pages: int) -> None:
        """Make the site that is measured. No exam is archived: the former command would lose those."""
        self.site.create("empty")
        self.site.manage("empty", "migrate", "--verbosity", "0")
        self.site.create("full", "empty")
        output = self.site.manage("full", "seed", "--copies", str(copies), "--pages", str(pages)).output
        with self.site.connect("full") as link:
            link.execute("UPDATE exams_exam SET archived = false")
            link.execute("VACUUM ANALYZE")
        print(output.strip(), flush=True)

    def dump(self) -> dict[str, Path]:
        """Dump the rows three times; return where the results are."""
        out = {name: self.home / f"out-{number}" for number, name in enumerate((OURS, FORMER))}
        fixture = self.home / "dumpdata.json"
        self.note("dump", DJANGO, self.site.manage(
            "full", "dumpdata", "--all", *EXCLUDE, "--output", str(fixture)))  # fmt: skip
        self.note("dump", FORMER, self.site.manage("full", "former_backup", "--output-dir", str(out[FORMER])))
        self.note("dump", OURS, self.site.manage("full", "backup", "--output-dir", str(out[OURS])))
        return {DJANGO: fixture} | {name: next(path.iterdir()) for name, path in out.items()}

    def load(self, made: dict[str, Path]) -> None:
        """Load each into a freshly migrated database, and let the witness compare ours."""
        commands = {OURS: ("restore",), FORMER: ("former_restore",), DJANGO: ("loaddata", "--verbosity", "0")}
        if not self.former_load:
            del commands[FORMER]
        for number, (name, command) in enumerate(commands.items()):
            database = f"loaded_{number}"
            self.site.create(database, "empty")
            run = self.site.manage(database, *command, str(made[name]), quiet=name != OURS)
            self.note("load", name, run, rows=self.site.rows(database))
        before, after = (self._witness(name) for name in ("full", "loaded_0"))
        print(f"witness: {before} before, {after} after: {'IDENTICAL' if before == after else 'DIFFERENT'}")
        if before != after:
            raise SystemExit("what was loaded is not what was dumped")

    def _witness(self, database: str) -> str:
        access = self.site.access
        words = f"host={access.host} user={access.user} password={access.password.reveal()} dbname={database}"
        return testify(words, self.home / "nothing").digest(NOT_CARRIED_BY_METHOD_2)

    def zip(self, megabytes: int) -> None:
        """Archive the media both ways; the tree is read once before, so that both find it in memory."""
        media = self.home / "scans"
        self.site.run([sys.executable, MEDIA, str(media), str(megabytes)], "full")
        size = sum(len(path.read_bytes()) for path in media.rglob("*") if path.is_file())
        print(f"media: {size / 1e6:,.0f} MB")
        for name, how in ((DEFLATE, "deflate"), (OURS, "ours"), ("ours, read back", "check")):
            target = self.home / ("ours.zip" if name != DEFLATE else "deflate.zip")
            run = self.site.run([sys.executable, ZIPPING, how, str(media), str(target)], "full")
            self.note("zip", name, run, bytes=target.stat().st_size)

    def verdict(self) -> bool:
        """Print the table of the goals and return whether all are reached."""
        print(f"\n{'':<26}{'clock':>8}{'cpu':>8}{'goal':>8}")
        rivals = {"dump": DJANGO, "load": DJANGO, "zip": DEFLATE}
        factors = {what: self._factor(what, rivals[what]) for what in self.figures}
        for what, (clock, cpu) in factors.items():
            print(f"{what + ', as fast as the rival':<26}{clock:>7.1f}x{cpu:>7.1f}x{GOALS[what]:>7}x")
        zips = self.figures.get("zip", {OURS: {"bytes": 1}, DEFLATE: {"bytes": 1}})
        larger = zips[OURS]["bytes"] / zips[DEFLATE]["bytes"] * 100 - 100
        peak = max(self.figures[what][OURS]["peak_mb"] for what in factors)
        print(
            f"{'ZIP larger than deflate':<26}{larger:>15.2f}%{2:>7}%\n{'largest memory, MB':<26}{peak:>16.0f}{150:>8}"
        )
        return all(clock >= GOALS[what] for what, (clock, _) in factors.items()) and larger <= 2 and peak < 150

    def _factor(self, what: str, rival: str) -> tuple[float, float]:
        """Return how many times as long the rival took, by the clock and in processor seconds."""
        theirs, ours = self.figures[what][rival], self.figures[what][OURS]
        return theirs["seconds"] / ours["seconds"], theirs["cpu"] / ours["cpu"]

    def flat(self, most: int) -> None:
        """Measure memory at 30,000 rows, at ten times as many and so on, and at `most` rows."""
        self.seed(88, 1)
        for goal in (*(rows for rows in (30_000, 300_000, 3_000_000) if rows < most), most):
            self._grow(goal)
            out = self.home / f"flat-{goal}"
            rows = self.site.rows("full")
            self.note(f"{goal}", "ours, dump", self.site.manage("full", "backup", "--output-dir", str(out)), rows=rows)
            self.site.create("loaded_0", "empty")
            self.note(f"{goal}", "ours, load", self.site.manage("loaded_0", "restore", str(next(out.iterdir()))))
            shutil.rmtree(out)

    def _grow(self, goal: int) -> None:
        """Add annotations and events, copies of those there are, until there are about `goal` rows."""
        while (missing := goal - self.site.rows("full")) > goal / 20:
            with self.site.connect("full") as link:
                link.execute(
                    "INSERT INTO exams_annotation SELECT (jsonb_populate_record(a, jsonb_build_object("
                    "'id', gen_random_uuid()))).* FROM exams_annotation a LIMIT %s", [missing // 2])  # fmt: skip
                link.execute(
                    "INSERT INTO exams_gradingevent (copy_id, actor_id, action, timestamp, metadata, duration)"
                    " SELECT copy_id, actor_id, action, timestamp, metadata, duration FROM exams_gradingevent LIMIT %s",
                    [missing // 2],
                )


def machine() -> dict[str, object]:
    """Describe where this ran."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "django": django.get_version(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def main() -> int:
    """Run what was asked and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=880, help="exam copies (880: 300,000 rows)")
    parser.add_argument("--megabytes", type=int, default=1000, help="media (1000)")
    parser.add_argument("--only", choices=["dump", "rows", "media"], help="measure a part")
    parser.add_argument("--flat", action="store_true", help="measure memory from 30,000 rows to --most rows instead")
    parser.add_argument("--most", type=int, default=3_000_000, help="rows at the end of --flat (3,000,000)")
    parser.add_argument("--former-load", action="store_true", help="also the former command's load: hours")
    parser.add_argument("--home", type=Path, help="where the data is put (default: a temporary directory)")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    chosen = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="bench-method2-", dir=chosen.home))
    about = machine()
    try:
        with ThrowawayServer(system_bindir() or embedded_bindir(), home=home / "postgresql") as server:
            bench = Bench(Site(server, home), home, former_load=chosen.former_load)
            if chosen.flat:
                bench.flat(chosen.most)
                reached = all(one["peak_mb"] < 150 for two in bench.figures.values() for one in two.values())
            else:
                if chosen.only != "media":
                    bench.seed(chosen.copies, 1)
                    made = bench.dump()
                    if chosen.only != "dump":
                        bench.load(made)
                if chosen.only not in {"rows", "dump"}:
                    bench.zip(chosen.megabytes)
                reached = bench.verdict()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if chosen.out:
        chosen.out.write_text(json.dumps({"machine": about, "figures": bench.figures}, indent=2) + "\n")
    print(f"\n{'every goal reached' if reached else 'NOT every goal reached'}; {about}")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
