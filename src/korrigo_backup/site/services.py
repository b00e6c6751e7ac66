"""The services that use the database and the media: stopped, started, and their health awaited."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.system.run import Command, describe_status, run

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND_SECONDS = 300.0
"""A service that takes longer to stop is stuck."""

_HTTP_OK = 200
_PROBE_SECONDS = 5.0
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

    def stop(self) -> None:
        """Stop every service that writes."""
        ...

    def start(self) -> None:
        """Start them again; harmless when they run."""
        ...

    def await_health(self) -> None:
        """Return when the site answers; raises KorrigoBackupError when it does not within its time."""
        ...


@dataclass(frozen=True)
class CommandServices:
    """Services of a directly reached site: the operator's own commands, and the health address if there is one."""

    stops: Sequence[tuple[str, ...]]
    starts: Sequence[tuple[str, ...]]
    health_url: str | None
    health_timeout: float

    @property
    def configured(self) -> bool:
        """Return whether there is anything to stop."""
        return bool(self.stops)

    def stop(self) -> None:
        """Run the stop commands in order; the first that fails raises."""
        for argv in self.stops:
            _call(argv)

    def start(self) -> None:
        """Run the start commands in order; the first that fails raises."""
        for argv in self.starts:
            _call(argv)

    def await_health(self) -> None:
        """Ask the health address until it answers 200; without one there is nothing to ask."""
        if not self.health_url:
            return
        deadline = time.monotonic() + self.health_timeout
        while (answer := _probe(self.health_url)) is not None:
            if time.monotonic() > deadline:
                raise KorrigoBackupError(
                    f"{self.health_url} is not healthy after {self.health_timeout:g} s: {answer}",
                    hint="see the services' logs",
                )
            time.sleep(_PAUSE)


def _call(argv: tuple[str, ...]) -> None:
    done = run(Command(argv), timeout=COMMAND_SECONDS)
    if done.status:
        words = done.stderr or done.stdout.decode(errors="replace").strip()
        raise KorrigoBackupError(
            f"{' '.join(argv)} {describe_status(done.status)}: {words}",
            hint="run that command by hand and see why it fails ([services] in the configuration)",
        )


def _probe(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as answer:  # noqa: S310 - the operator's own address
            return None if answer.status == _HTTP_OK else f"status {answer.status}"
    except (urllib.error.URLError, OSError, ValueError) as problem:
        return str(problem)
