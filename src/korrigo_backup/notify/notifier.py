"""The port of this layer: a notification channel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from korrigo_backup.notify.event import Event, Notice


TRIES = 4
"""The runbook's `curl --retry 3` (4.9)."""

_PAUSE = 1.0
"""Seconds before the second try, doubled each time, as curl does."""


class NotTold(Exception):
    """The channel did not take the notice; the text gives the reason, without any part of its address."""


class TryAgain(NotTold):
    """The channel was not reached, or is in trouble: another try may help, and notifies no recipient twice."""


class Notifier(Protocol):
    """A way to notify people or a machine."""

    @property
    def name(self) -> str:
        """Return its name on the screen, without any part of its address, which is a secret."""
        ...

    @property
    def events(self) -> frozenset[Event]:
        """Return the events that it is subscribed to."""
        ...

    def flaw(self) -> str:
        """Return the fault of its address that can be seen without sending, "" for none."""
        ...

    def send(self, notice: Notice, *, seconds: float) -> None:
        """Send the notice, within about `seconds`; NotTold if it was not taken."""
        ...


def persistent(attempt: Callable[[float], None], *, seconds: float) -> None:
    """Call `attempt` with the seconds that are left until it succeeds, TRIES times at most.

    Only TryAgain is tried again, and no try begins after `seconds`. Raises NotTold with the last reason.
    """
    end = time.monotonic() + seconds
    for number in range(TRIES):
        try:
            attempt(max(0.1, end - time.monotonic()))
        except TryAgain:
            pause = _PAUSE * 2**number
            if number == TRIES - 1 or time.monotonic() + pause >= end:
                raise
            time.sleep(pause)
        else:
            return
