"""The outage as visitors have it: the site's address is asked from before the stop until it answers again."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING

from korrigo_backup.site.health import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

PAUSE = 0.2
"""Seconds between two questions: the precision of the measurement."""

_QUESTION = 2.0
"""Seconds for an answer; later than this no visitor waits."""

_GRACE = 3.0
"""Seconds in which the watch notices, too, that the address answers, as the caller has noticed."""


@dataclass
class Outage:
    """An address that is watched. Times are of the monotonic clock.

    `refused` is when the first request was sent that failed, `served` when the first was answered that came after it.
    """

    url: str
    refused: float | None = None
    served: float | None = None
    _asked: Event = field(default_factory=Event)
    _over: Event = field(default_factory=Event)
    _end: Event = field(default_factory=Event)

    def seconds(self) -> float | None:
        """Return how long the address did not answer, 0 when it always did; None while it still does not."""
        if self.refused is None:
            return 0.0
        self._over.wait(_GRACE)
        return None if self.served is None else self.served - self.refused

    def watch(self) -> None:
        """Ask until the outage is over or `end` is called."""
        while not self._end.is_set() and self.served is None:
            sent = time.monotonic()
            answers = probe(self.url, _QUESTION) is None
            if not answers and self.refused is None:
                self.refused = sent
            elif answers and self.refused is not None:
                self.served = time.monotonic()
                self._over.set()
            self._asked.set()
            self._end.wait(PAUSE)

    def wait_begun(self) -> None:
        """Return when the address was asked once, so that the first refusal is seen."""
        self._asked.wait(_QUESTION)

    def end(self) -> None:
        """Ask no more."""
        self._end.set()


@contextmanager
def watched(url: str | None) -> Iterator[Outage | None]:
    """Watch an address while the block runs; without an address yields None."""
    if url is None:
        yield None
        return
    outage = Outage(url)
    Thread(target=outage.watch, name="outage", daemon=True).start()
    outage.wait_begun()
    try:
        yield outage
    finally:
        outage.end()
