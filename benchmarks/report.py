"""The table: what was reached beside what was promised, as text, Markdown and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from measure import Sample

RESULTS = Path(__file__).resolve().parent / "results"
MEMORY = 120 * 1024 * 1024
"""Bytes that no run of ours may need, whatever the size."""

HEAD = (
    "size",
    "job",
    "rival",
    "ours s",
    "rival s",
    "ratio",
    "goal",
    "met",
    "ours bytes",
    "rival bytes",
    "ours MiB",
    "rival MiB",
)


@dataclass(frozen=True)
class Row:
    """One job at one size. `ratio` is the rival's time by ours where faster is better, else ours by the rival's."""

    size: str
    job: str
    rival: str
    ours: Sample
    theirs: Sample | None
    ratio: float
    goal: str
    met: bool
    runs: int

    @property
    def cells(self) -> tuple[str, ...]:
        theirs = self.theirs
        return (
            self.size,
            self.job,
            self.rival,
            f"{self.ours.seconds:.2f}",
            f"{theirs.seconds:.2f}" if theirs else "-",
            f"{self.ratio:.2f}",
            self.goal,
            "yes" if self.met else "NO",
            f"{self.ours.size:,}" if self.ours.size else "-",
            f"{theirs.size:,}" if theirs and theirs.size else "-",
            f"{self.ours.peak / 2**20:.0f}" if self.ours.peak else "-",
            f"{theirs.peak / 2**20:.0f}" if theirs and theirs.peak else "-",
        )


def markdown(rows: list[Row], machine: dict[str, str]) -> str:
    """Return the table with the machine below it."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    lines += [f"| {' | '.join(row.cells)} |" for row in rows]
    facts = "".join(f"* {name}: {value}\n" for name, value in machine.items())
    return "# Benchmark\n\n" + "\n".join(lines) + f"\n\n{facts}"


def write(name: str, rows: list[Row], machine: dict[str, str]) -> Path:
    """Write Markdown and JSON and return the path of the former."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.md"
    path.write_text(markdown(rows, machine), encoding="utf-8")
    document = {"machine": machine, "rows": [asdict(row) for row in rows]}
    path.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path
