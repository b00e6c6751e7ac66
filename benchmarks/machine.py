"""What the figures were measured on, without names of hosts or users."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def describe(postgresql: str) -> dict[str, str]:
    """Return processor, cores, memory, kernel and versions."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return {
        "processor": cpu[1] if cpu else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown",
        "kernel": f"Linux {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "postgresql": postgresql,
        "server": "throw-away, the same for both sides: fsync off, synchronous_commit off, shared_buffers 256 MB",
        "load before": " ".join(f"{value:.1f}" for value in os.getloadavg()),
    }
