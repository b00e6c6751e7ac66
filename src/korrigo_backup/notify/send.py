"""Notify every subscribed channel, at the same time and within a limit; failures come back as findings."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from korrigo_backup.core.finding import Finding, ok, warning
from korrigo_backup.core.secret import redact
from korrigo_backup.notify.event import ASK_SOMEBODY, Event, Notice, wanted
from korrigo_backup.notify.notifier import NotTold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.core.secret import Secret
    from korrigo_backup.notify.notifier import Notifier

NOT_CONFIGURED = "set KORRIGO_BACKUP_NOTIFY_URLS or KORRIGO_BACKUP_HEALTHCHECKS_URL in .env, or [notify]"
HINT = "see [notify] in the configuration, then try it: korrigo-backup notify test"


_START_SECONDS = 5.0
"""A run waits for no longer before it begins."""


@dataclass(frozen=True)
class Notified:
    """The result of notifying a channel: `problem` is "" if it took the notice."""

    channel: str
    problem: str = ""


@dataclass(frozen=True)
class Announcer:
    """The channels of a site. `seconds` limits the whole of a notice, for any number of channels.

    `contacts` are the people to ask, a line each; a notice of a failure names them.
    """

    site: str = ""
    environment: str = ""
    channels: tuple[Notifier, ...] = ()
    seconds: float = 30.0
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    contacts: tuple[str, ...] = ()

    @property
    def silent(self) -> bool:
        """Return whether there is no channel."""
        return not self.channels

    def checked(self) -> tuple[Finding, ...]:
        """Return findings about the channels, without sending; at worst a warning, because no run fails by them."""
        if self.silent:
            return (warning("notify.nobody", "no address is notified when a backup fails", NOT_CONFIGURED),)
        flaws = [(channel.name, channel.flaw()) for channel in self.channels]
        bad = [warning("notify.address", f"{name} cannot be used: {flaw}", HINT) for name, flaw in flaws if flaw]
        good = ", ".join(name for name, flaw in flaws if not flaw)
        return (*bad, *([ok("notify.address", f"notified when a backup fails: {good}")] if good else ()))

    def notice(self, event: Event, verb: str, **fields: Any) -> Notice:
        """Return a notice of this site on this host, now; `fields` are further fields of it."""
        return Notice(
            event=event,
            site=self.site,
            environment=self.environment,
            host=socket.gethostname(),
            verb=verb,
            moment=datetime.now().astimezone(),
            contacts=self.contacts if event in ASK_SOMEBODY else (),
            **fields,
        )

    def tell(self, notice: Notice) -> tuple[Finding, ...]:
        """Notify the subscribed channels, and return a warning for each channel that did not take the notice.

        Never raises except for a signal, never waits longer than `seconds`; without channels it returns at once.
        """
        channels = [channel for channel in self.channels if wanted(notice.event, channel.events)]
        results = self.deliver(channels, notice) if channels else ()
        failed = [f"notification not sent to {one.channel}: {one.problem}" for one in results if one.problem]
        return tuple(warning("notify.failed", text, HINT if text is failed[-1] else "") for text in failed)

    def deliver(self, channels: Sequence[Notifier], notice: Notice) -> tuple[Notified, ...]:
        """Notify these channels, subscribed or not, and return the result of each, in their order."""
        clean = notice.fit_to_send(self.secrets)
        seconds = min(self.seconds, _START_SECONDS) if notice.event is Event.START else self.seconds
        errands = [_Errand(channel, clean, seconds) for channel in channels]
        for errand in errands:
            errand.set_out()
        end = time.monotonic() + seconds
        return tuple(Notified(errand.name, redact(errand.result(end), self.secrets)) for errand in errands)


class _Errand(threading.Thread):
    """The sending to a channel. Its thread does not delay the end of the program when the other side hangs."""

    def __init__(self, channel: Notifier, notice: Notice, seconds: float) -> None:
        super().__init__(name=channel.name, daemon=True)
        self._channel = channel
        self._notice = notice
        self._seconds = seconds
        self._problem: str | None = None

    def set_out(self) -> None:
        """Begin; a machine that gives no more threads is a reason like any other."""
        try:
            self.start()
        except RuntimeError:
            self._problem = "this machine allows no more threads"

    def run(self) -> None:
        """Send the notice; no exception of a library leaves the thread."""
        try:
            self._channel.send(self._notice, seconds=self._seconds)
        except NotTold as problem:
            self._problem = str(problem)
        except Exception as problem:  # noqa: BLE001 - the end of a thread; its text may hold the address: not shown
            self._problem = f"unexpected {type(problem).__name__}"
        else:
            self._problem = ""

    def result(self, end: float) -> str:
        """Return the problem, "" for none, waiting until `end` (of the monotonic clock) at most."""
        if self.is_alive():
            self.join(max(0.0, end - time.monotonic()))
        problem = self._problem
        return f"no answer within {self._seconds:g} s" if problem is None else problem
