"""Files that are in memory alone, for programs that take their input as a path."""

from __future__ import annotations

import os
from functools import cache


@cache
def in_memory(text: str) -> str:
    """Return the path of a file with this text, in UTF-8; it is there as long as this process, on Linux."""
    descriptor = os.memfd_create("korrigo-backup")
    os.write(descriptor, text.encode())
    return f"/proc/{os.getpid()}/fd/{descriptor}"
