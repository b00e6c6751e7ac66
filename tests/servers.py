"""PostgreSQL for the tests: which programs, and a throw-away server that keeps its data in memory."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from korrigo_backup.postgres.throwaway import ThrowawayServer, embedded_bindir, system_bindir

MEMORY = Path("/dev/shm")
ENOUGH_MEMORY = 8 * 2**30
"""Bytes: a server may write 4 GiB ahead (max_wal_size), and there are two."""


def bindir() -> Path:
    """PostgreSQL's programs: the machine's where present, else the embedded ones (or when asked for)."""
    found = None if os.environ.get("KORRIGO_TEST_PG") == "embedded" else system_bindir()
    return found or embedded_bindir()


def quick_server(programs: Path) -> ThrowawayServer:
    with in_memory():
        return ThrowawayServer(programs)


@contextmanager
def in_memory() -> Iterator[None]:
    """Let a throw-away server that is made in this block keep its data in memory, if there is enough of it.

    A database has 300 files. To make and to drop one takes a tenth of the processor time that a disk takes.
    """
    before = tempfile.tempdir
    with suppress(OSError):
        found = os.statvfs(MEMORY)
        if found.f_bavail * found.f_frsize > ENOUGH_MEMORY and _available_memory() > ENOUGH_MEMORY:
            tempfile.tempdir = str(MEMORY)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _available_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
