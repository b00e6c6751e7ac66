"""End a process whose other side has gone silent, and no other: a long statement is work, not silence.

While a caller waits for a process and no byte arrives, a judge is asked from time to time. The process is ended only if
the judge calls it hopeless again and again, for `LIMITS.hopeless` seconds; the reader then sees the end of its output.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from korrigo_backup.system.run import Process


@dataclass(frozen=True)
class Limits:
    """Seconds: of silence before the judge is asked, between two questions, and of hopelessness before the end."""

    silent: float = 60.0
    between: float = 30.0
    hopeless: float = 300.0


LIMITS = Limits()


class SilenceWatch:
    """A context manager around the life of a process; `judge` returns why it is hopeless to wait, None when it is not.

    A judge may take its time, and it may return other words when it has seen something move: the count begins anew.
    """

    def __init__(self, process: Process, judge: Callable[[], str | None], limits: Limits | None = None) -> None:
        self._process = process
        self._limits = limits
        self._judge = judge
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._waiting = 0
        self._moved = time.monotonic()
        self.lost: str | None = None
        """Why the process was ended."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def begin(self) -> None:
        """Take note that a caller waits for the process from now on."""
        self._moved = time.monotonic()
        self._waiting += 1

    def end(self) -> None:
        """Take note that it has come."""
        self._waiting -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Take note that a caller waits for the process while the block runs."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def _look(self) -> None:
        limits = self._limits or LIMITS
        since, before = 0.0, None
        while not self._over.wait(min(limits.between, limits.silent)):
            started = self._moved
            silent = self._waiting and time.monotonic() - started >= limits.silent
            found = self._judge() if silent else None
            if found is None or found != before or self._moved != started:
                since, before = time.monotonic(), found
            elif time.monotonic() - since >= limits.hopeless:
                self.lost = found
                self._process.abort()
                return
