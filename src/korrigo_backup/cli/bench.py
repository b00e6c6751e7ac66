"""`korrigo-backup bench`: how long backup, verification and drill of this site's data take (runbook 6.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.cli.output import CommandContext, narrator, say, say_json, say_table
from korrigo_backup.core.size import human
from korrigo_backup.drill.bench import bench

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.drill.bench import Measured

_MB = 1_000_000
_SHOWN = 4
"""Phases that are shown of each step; `--json` has all."""


def command(
    context: typer.Context,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="How often each step runs; the median counts.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Measure backup, verification and drill of database and media.

    The backups are made in a directory of their own below BACKUP_DIR and removed at the end; no other backup and no
    live data are changed. The drill loads and proves next to the live data.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    found: list[Measured] = []
    if not as_json:
        say("=== BENCHMARK BACKUP/RESTORE ===")
        say("1. Benchmark backup...")
    for one in bench(wired.site(), wired.catalog, repeat=repeat, listen=narrator()):
        found.append(one)
        if not as_json:
            _say_progress(one)
    if as_json:
        say_json("bench", {"repeat": repeat, "steps": [_document(one) for one in found]})
    else:
        _say_report(found)


def _say_progress(one: Measured) -> None:
    if one.object != "db":
        return
    if one.step == "backup":
        say(f"   Backup time: {one.seconds:.3f}s")
        say("2. Benchmark restore...")
    elif one.step == "drill":
        say(f"   Restore time: {one.seconds:.3f}s")


def _say_report(found: Sequence[Measured]) -> None:
    backup = next(one for one in found if (one.step, one.object) == ("backup", "db"))
    restore = next(one for one in found if (one.step, one.object) == ("drill", "db"))
    say("")
    say("📊 Performance Report:")
    say(f"   - Backup duration: {backup.seconds:.3f}s")
    say(f"   - Restore duration: {restore.seconds:.3f}s")
    say(f"   - Backup size: {backup.size / _MB:.3f} MB")
    say(f"   - Throughput backup: {backup.size / _MB / backup.seconds:.3f} MB/s")
    say(f"   - Throughput restore: {restore.size / _MB / restore.seconds:.3f} MB/s")
    say("")
    rows = [
        (
            f"{one.step} {one.object}",
            f"{one.seconds:.3f}",
            human(one.data),
            human(one.size),
            f"{one.megabytes_a_second:.1f}",
            ", ".join(f"{name} {share:.0%}" for name, share in list(one.shares().items())[:_SHOWN]),
        )
        for one in found
    ]
    say_table(("STEP", "SECONDS", "DATA", "BACKUP", "DATA MB/S", "SHARES"), rows, data=())


def _document(one: Measured) -> dict[str, object]:
    return {
        "step": one.step,
        "object": one.object,
        "seconds": round(one.seconds, 6),
        "runs": one.runs,
        "data": one.data,
        "size": one.size,
        "mb_per_second": round(one.megabytes_a_second, 3),
        "phases": {
            name: {"seconds": round(one.phases[name], 4), "share": round(share, 4)}
            for name, share in one.shares().items()
        },
    }
