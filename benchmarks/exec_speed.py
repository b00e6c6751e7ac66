"""What the way into the container costs: dump and load through it and directly, on the same server of a real stack.

    tests/compose/engine.sh && infra/docker/images/build.sh
    python benchmarks/exec_speed.py [--copies 880] [--pairs 3]

Exit status 1 when the way through Compose has less than 0.8 times the direct one's speed. Times are those of the
journal: the dump with its digests, read back, and the load into the staged database; no stop or start is in them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from compose.dockerstack import PREFIX, Stack, docker  # noqa: E402 - found only now

BIN = Path(sys.executable).parent
GOAL = 0.8
"""The least share of the direct way's speed."""


class Bench:
    """The stack, and the two ways to its database."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        container = stack.compose("ps", "--quiet", "db").stdout.strip()
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        address = docker("inspect", "--format", form, container)[0]
        self._ways = {"through compose": {}, "direct": {"POSTGRES_HOST": address}}

    def measure(self, pairs: int) -> dict[str, dict[str, float]]:
        """Return the medians in seconds: job -> way -> seconds; the ways take turns."""
        taken: dict[str, dict[str, list[float]]] = {job: {way: [] for way in self._ways} for job in ("dump", "load")}
        for _ in range(pairs):
            for way, env in self._ways.items():
                self._korrigo(env, "backup")
                taken["dump"][way].append(self._last()["seconds"])
            for way, env in self._ways.items():
                self._korrigo(env, "restore", "latest", "--yes", "--no-safety-backup", "--no-validate")
                at = {step["id"]: step["at"] for step in self._last()["steps"]}
                taken["load"][way].append(at["restore.prove"] - at["restore.load"])
        return {job: {way: median(figures) for way, figures in ways.items()} for job, ways in taken.items()}

    def _korrigo(self, env: dict[str, str], *arguments: str) -> None:
        path = f"{BIN}:{os.environ['PATH']}"
        words = [f"{name}={value}" for name, value in env.items()]
        self._stack.run("env", f"PATH={path}", *words, str(BIN / "korrigo-backup"), *arguments, limit=1800)

    def _last(self) -> dict[str, object]:
        lines = (self._stack.root / "backups" / ".journal.jsonl").read_text().splitlines()
        return json.loads(lines[-1])


def main() -> int:
    """Make a stack, measure, remove it, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=880, help="exam copies (880: 300,000 rows)")
    parser.add_argument("--pairs", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="korrigo-bench-") as place:
        stack = Stack(Path(place), f"{PREFIX}-{os.getpid()}-1").lay_out()
        try:
            stack.up()
            seed = ("python", "manage.py", "seed", "--copies", str(chosen.copies), "--pages", "1")
            stack.compose("exec", "-T", "--user", "app", "backend", *seed, limit=1800)
            found = Bench(stack).measure(chosen.pairs)
        finally:
            stack.down()
    speeds = []
    for job, ways in found.items():
        speed = ways["direct"] / ways["through compose"]
        speeds.append(speed)
        print(f"{job}: {ways['through compose']:.2f} s through compose, {ways['direct']:.2f} s direct: {speed:.2f}x")
    return 0 if min(speeds) >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
