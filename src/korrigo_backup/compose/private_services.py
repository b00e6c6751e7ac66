"""The services of a private Compose project: no port of it is published, so its health is asked from inside."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from korrigo_backup.compose.media import interpreter
from korrigo_backup.compose.services import ComposeServices
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.site.health import DEFAULT_PATH, DEFAULT_SECONDS, Health
from korrigo_backup.system.run import run
from korrigo_backup.system.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from korrigo_backup.compose.project import Project

_ASKED = re.compile(r"https?://(?:localhost|127\.0\.0\.1)(?::\d+)?/[\w./-]*")
_DEFAULT_PORT = 8000
_PAUSE = 0.3
_SECONDS = 30.0

_ASK = """
import sys, urllib.error, urllib.request
try:
    status = urllib.request.urlopen(sys.argv[1], timeout=5).status
except urllib.error.HTTPError as problem:
    status = problem.code
except Exception as problem:
    sys.exit(str(getattr(problem, "reason", problem)))
if status != 200:
    sys.exit(f"status {status}")
"""


@dataclass(frozen=True)
class PrivateServices:
    """The services of a private project; `backend` answers at `health_url` inside its own container.

    `python` is how Python is called there.
    """

    inner: ComposeServices
    health_url: str
    python: tuple[str, ...]

    @property
    def configured(self) -> bool:
        """Return whether there is anything to stop."""
        return True

    @property
    def health_known(self) -> bool:
        """Return whether the health of the services can be found out."""
        return True

    def running(self) -> tuple[str, ...]:
        """Return the services that write and run now."""
        return self.inner.running()

    def stop(self, names: Sequence[str]) -> None:
        """Stop these services."""
        self.inner.stop(names)

    def start(self, names: Sequence[str], *, stop_begun: datetime | None = None) -> None:
        """Start these services."""
        self.inner.start(names, stop_begun=stop_begun)

    def look(self) -> Health:
        """Ask the engine, and the backend itself."""
        unwell = self.inner.look().unwell
        reason = self._asked()
        if reason is None:
            return Health(unwell, self.health_url)
        return Health(unwell, silent=f"{self.health_url} in {self.inner.backend} does not answer: {reason}")

    def await_health(self, names: Sequence[str], before: Health, on_wait: Callable[[float], None]) -> tuple[str, ...]:
        """Return when the services are healthy and the backend answers 200; raises KorrigoBackupError else."""
        began = time.monotonic()
        ill = self.inner.await_health(names, Health(before.unwell), on_wait)
        if self.inner.backend in names:
            limit = self.inner.health_timeout or DEFAULT_SECONDS
            reason = wait_until(_is_none, partial(self._asked), seconds=limit, pause=_PAUSE)
            if reason is not None:
                raise KorrigoBackupError(
                    f"{self.health_url} in {self.inner.backend} is not healthy after"
                    f" {time.monotonic() - began:.0f} s: {reason}",
                    hint="see the last lines of the backend below, and the log of the site",
                )
        return ill

    def _asked(self) -> str | None:
        """Return why the backend does not answer 200, None if it does."""
        try:
            command = self.inner.project.exec(self.inner.backend, *self.python, "-c", _ASK, self.health_url)
            done = run(command, timeout=_SECONDS)
        except KorrigoBackupError as problem:
            return problem.message
        return (done.stderr.strip().splitlines() or [f"status {done.status}"])[-1] if done.status else None


def _is_none(reason: str | None) -> bool:
    return reason is None


def private_services(
    project: Project, live: ComposeServices, manage: tuple[str, ...], ports: Sequence[int]
) -> PrivateServices:
    """Return the services of a private project, from those of the site and the ports of its backend.

    The address of the health endpoint is that of the backend's own health check, else the default path at its port.
    """
    inner = ComposeServices(
        project,
        database=live.database,
        backend=live.backend,
        media=live.media,
        names=(live.backend,),
        health_url=None,
        health_timeout=live.health_timeout,
    )
    found = _ASKED.search(project.container(live.backend).check)
    port = next(iter(ports), _DEFAULT_PORT)
    url = found[0] if found else f"http://127.0.0.1:{port}{DEFAULT_PATH}"
    return PrivateServices(inner, url, interpreter(manage))
