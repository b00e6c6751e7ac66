"""Run one command and tell its time, processor time and peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A process starts with the memory of the one that forked it, so a small interpreter stands between.
LAUNCHER = """
import json, os, sys, time
start = time.monotonic()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), time.monotonic() - start,
                  usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]), file=sys.stderr)
"""


@dataclass(frozen=True)
class Sample:
    """One run: seconds, seconds of processor (the server's are not in it), bytes of the largest process, bytes made."""

    seconds: float
    cpu: float
    peak: int
    size: int = 0


def run(argv: Sequence[str], env: dict[str, str], cwd: str) -> Sample:
    """Run a command to its end and return what it took; its failure ends the benchmark."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, *argv],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    lines = done.stderr.decode(errors="replace").splitlines()
    code, seconds, cpu, peak = json.loads(lines[-1])
    if code:
        raise SystemExit(f"{' '.join(argv)} ended with status {code}: {' / '.join(lines[:-1])}")
    return Sample(seconds, cpu, peak)


def middle(samples: Sequence[Sample]) -> Sample:
    """Return the median of each figure; of memory the greatest."""
    return Sample(
        median(s.seconds for s in samples),
        median(s.cpu for s in samples),
        max(s.peak for s in samples),
        int(median(s.size for s in samples)),
    )
