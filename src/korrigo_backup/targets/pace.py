"""A limit of bytes per second, shared by the threads of a target."""

from __future__ import annotations

import threading
import time


class Pace:
    """Make callers wait so that they take no more than `limit` bytes a second together; 0 is no limit."""

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._free_at = 0.0
        self.taken = 0
        """Bytes so far, for a display of progress: two threads may miscount a piece."""

    def take(self, size: int) -> None:
        """Wait until `size` bytes may be sent or received."""
        self.taken += size
        if not self._limit:
            return
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._free_at)
            self._free_at = begin + size / self._limit
        time.sleep(max(0.0, begin - now))
