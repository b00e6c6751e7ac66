"""The time in which a site does not serve: its services are stopped, something is swapped, and they are started."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from korrigo_backup.core.finding import Level
from korrigo_backup.run.step import Listener, ServicesWereStopped, StoppingServices, VisitorsUnanswered
from korrigo_backup.site.health import Health
from korrigo_backup.site.outage import Outage, watched
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from types import TracebackType

    from korrigo_backup.core.finding import Finding
    from korrigo_backup.run.undo import UndoStack
    from korrigo_backup.site.site import Site


@dataclass
class Downtime:
    """Stops and starts the services of a site once, each with its undo, and measures what visitors notice.

    Where an address of the site answers before the stop, it is asked until it answers again. To be used in a `with`
    block around the undo stack: the measurement ends with the block.
    """

    site: Site
    verb: str
    listen: Listener
    before: Health = field(default_factory=Health)
    _outage: Outage | None = None
    _began: float = 0.0
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @phase("stop of the services")
    def stop(self, undo: UndoStack) -> None:
        """Look at the services, then stop those that write."""
        configured = self.site.services.configured
        self.listen(StoppingServices(self.verb, configured))
        self.before = self.site.services.look()
        self._outage = self._stack.enter_context(watched(self.before.url))
        undo.push("the stop of the services", self.site.start_services)
        self._began = time.monotonic()
        self.site.stop_services()

    def start(self, undo: UndoStack, *, wait: bool = True, keep: bool = False) -> tuple[Finding, ...]:
        """Start what was stopped and, with `wait`, await its health, which is returned as `Site.await_health` does.

        A site that was healthy and does not become so is an error, unless `keep` says that it is kept so.
        """
        undo.push("the start of the services", self.site.stop_services)
        with phase("start of the services"):
            started = self.site.start_services()
        seconds = time.monotonic() - self._began
        if not wait:
            return ()
        health = self.site.await_health(started, self.before, self.listen, keep=keep)
        if not any(one.level is Level.LOSS for one in health):
            self._tell(seconds)
        return health

    def _tell(self, stopped: float) -> None:
        if self._outage is None:
            if self.site.services.configured:
                self.listen(ServicesWereStopped(stopped))
        elif (seconds := self._outage.seconds()) is not None:
            self.listen(VisitorsUnanswered(seconds, self._outage.url))
