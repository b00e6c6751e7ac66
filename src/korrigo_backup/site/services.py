"""The services that use the database and the media: stopped, started, and their health awaited."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from operator import is_
from typing import TYPE_CHECKING, Protocol

from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.site.health import DEFAULT_SECONDS, Health, probe
from korrigo_backup.system.run import Command, describe_status, run
from korrigo_backup.system.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

COMMAND_SECONDS = 300.0
"""A service that takes longer to stop is stuck."""

_PAUSE = 0.5


class Services(Protocol):
    """Stops and starts the services of a site."""

    @property
    def configured(self) -> bool:
        """Return whether there is anything to stop."""
        ...

    @property
    def health_url(self) -> str | None:
        """Return the address that is asked whether the site is healthy, None when there is none."""
        ...

    @property
    def health_known(self) -> bool:
        """Return whether the health of the services can be found out."""
        ...

    def running(self) -> tuple[str, ...]:
        """Return the names of the services that write and run now: those that `stop` will stop."""
        ...

    def stop(self, names: Sequence[str]) -> None:
        """Stop these services."""
        ...

    def start(self, names: Sequence[str], *, stop_begun: datetime | None = None) -> None:
        """Start these services again; harmless if they run.

        `stop_begun` is when their last stop began, None if they were not stopped. That stop may be under way still.
        """
        ...

    def look(self) -> Health:
        """Return how the services are now, before they are stopped."""
        ...

    def await_health(self, names: Sequence[str], before: Health, on_wait: Callable[[float], None]) -> tuple[str, ...]:
        """Wait until these services are healthy; `on_wait` is called with the longest wait in seconds.

        Returns in words the parts that are unhealthy and were unhealthy `before`. Raises KorrigoBackupError for the
        others.
        """
        ...


@dataclass(frozen=True)
class CommandServices:
    """Services of a directly reached site: the operator's own commands, and the health address if configured.

    The commands name the services themselves, so given names are ignored.
    """

    stops: Sequence[tuple[str, ...]]
    starts: Sequence[tuple[str, ...]]
    health_url: str | None
    health_timeout: float | None = None

    @property
    def configured(self) -> bool:
        """Return whether there is anything to stop."""
        return bool(self.stops)

    @property
    def health_known(self) -> bool:
        """Return whether there is an address to ask."""
        return bool(self.health_url)

    def running(self) -> tuple[str, ...]:
        """Return a single name for all services that the commands stop."""
        return ("services",) if self.stops else ()

    def stop(self, names: Sequence[str]) -> None:
        """Run the stop commands in order; the first that fails raises."""
        del names
        for argv in self.stops:
            _call(argv)

    def start(self, names: Sequence[str], *, stop_begun: datetime | None = None) -> None:
        """Run the start commands in order; the first that fails raises.

        Raises Refused for services that only another machine can start: they were stopped where commands are
        configured.
        """
        del stop_begun  # a stop command that was cut off is the operator's own: it knows how to be run again
        if names and not self.stops and not self.starts:
            raise Refused(
                f"an interrupted run has left these services stopped: {', '.join(names)};"
                " no command to start them is configured here",
                hint="korrigo-backup rollback where that run was started (on Docker Compose: on the host)",
            )
        for argv in self.starts:
            _call(argv)

    def look(self) -> Health:
        """Ask the health address, if it is configured."""
        reason = probe(self.health_url) if self.health_url else None
        if reason is None:
            return Health(url=self.health_url)
        return Health(silent=f"{self.health_url} does not answer: {reason}")

    def await_health(self, names: Sequence[str], before: Health, on_wait: Callable[[float], None]) -> tuple[str, ...]:
        """Ask the health address until it answers 200; without an address return at once."""
        del names
        if not self.health_url:
            return ()
        limit = self.health_timeout or DEFAULT_SECONDS
        on_wait(limit)
        return await_address(self.health_url, limit, before)


def await_address(url: str, seconds: float, before: Health) -> tuple[str, ...]:
    """Wait for an address. Return its silence in words where it was silent `before` too, else raise as `await_url`."""
    try:
        await_url(url, seconds)
    except KorrigoBackupError as problem:
        if not before.silent:
            raise
        return (problem.message,)
    return ()


def await_url(url: str, seconds: float) -> None:
    """Return when an address answers 200; raises KorrigoBackupError when it does not within `seconds`."""
    answer = wait_until(partial(is_, None), partial(probe, url), seconds=seconds, pause=_PAUSE)
    if answer is not None:
        raise KorrigoBackupError(f"{url} is not healthy after {seconds:g} s: {answer}", hint="see the services' logs")


def _call(argv: tuple[str, ...]) -> None:
    done = run(Command(argv), timeout=COMMAND_SECONDS)
    if done.status:
        words = done.stderr or done.stdout.decode(errors="replace").strip()
        raise KorrigoBackupError(
            f"{' '.join(argv)} {describe_status(done.status)}: {words}",
            hint="run that command by hand to see its error ([services] in the configuration)",
        )
