"""Makes the old artifacts of tests/golden: `python benchmarks/rivals/make_golden.py`, once for each format.

A small reference site is backed up by Korrigo's former command (with and without natural keys) and by ours. What is
there already is left alone: a golden artifact is never made again.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.method2.site import PROJECT, Site

from korrigo_backup.postgres.throwaway import ThrowawayServer, embedded_bindir, system_bindir

GOLDEN = PROJECT / "tests" / "golden"
SIZE = ("--copies", "3", "--pages", "1", "--annotations-per-copy", "4", "--events-per-copy", "4")
COMMANDS = {
    "former": ("former_backup", "--include-media"),
    "former-natural": ("former_backup", "--natural", "--include-media"),
    "format-1": ("backup", "--include-media"),
}


def main() -> None:
    """Make what is missing."""
    home = Path(tempfile.mkdtemp(prefix="golden-"))
    try:
        with ThrowawayServer(system_bindir() or embedded_bindir(), home=home / "postgresql") as server:
            site = Site(server, home)
            site.create("full")
            site.manage("full", "migrate", "--verbosity", "0")
            site.manage("full", "seed", *SIZE)
            for path in site.media.rglob("*.*"):
                if path.stat().st_size > 1000:
                    path.write_bytes(path.read_bytes()[:200])
            for name, command in COMMANDS.items():
                if not (GOLDEN / name).exists():
                    site.manage("full", *command, "--output-dir", str(home / name))
                    shutil.copytree(home / name, GOLDEN / name)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
