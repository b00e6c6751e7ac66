"""The services of a Compose project: those that write are stopped, and only services that ran are started again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from korrigo_backup.compose.address import learnt
from korrigo_backup.compose.checks import OwnChecks
from korrigo_backup.compose.container import writers
from korrigo_backup.compose.project import PROGRAMS
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.site.health import DEFAULT_SECONDS, Health, probe
from korrigo_backup.site.services import await_address
from korrigo_backup.system.background import Background
from korrigo_backup.system.run import Command, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from korrigo_backup.compose.container import Container
    from korrigo_backup.compose.project import Project

_QUESTION = 2.0
"""Seconds for the address to answer while the services start."""

STOP_SECONDS = 600.0
"""A Celery worker finishes its task within the grace period of the compose file; this is beyond any of them."""

_PAUSE, _LONGEST_PAUSE = 0.2, 0.5
"""Seconds between two questions about the containers: short at first, since most are ready at once."""


@dataclass(frozen=True)
class ComposeServices:
    """The writers of a project. `names` lists them if the operator knows better than the project."""

    project: Project
    database: str
    backend: str
    media: str | None
    names: tuple[str, ...]
    health_url: str | None
    health_timeout: float | None = None
    checks: OwnChecks = field(init=False, compare=False, repr=False)
    """The results of our own checks are known for the rest of the run."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "checks", OwnChecks(self.project))

    @property
    def configured(self) -> bool:
        """Return whether there is anything to stop."""
        return True

    @property
    def health_known(self) -> bool:
        """Return whether the services' health is known: here always, by the engine."""
        return True

    def running(self) -> tuple[str, ...]:
        """Return the services that write and run now."""
        present = self.project.containers()
        wanted = self._wanted(present)
        return tuple(sorted({one.service for one in present if one.running and one.service in wanted}))

    def stop(self, services: Sequence[str]) -> None:
        """Stop services, each within its grace period: workers first, while the site serves, then all others at once.

        Raises KorrigoBackupError if a service runs on.
        """
        if not services:
            return
        running = [one for one in self._of(services) if one.running]
        workers = self._workers(running)
        self._halt([one for one in running if one.service in workers])
        self._halt([one for one in running if one.service not in workers])
        if left := sorted({one.service for one in self._of(services) if one.running}):
            raise KorrigoBackupError(
                f"{', '.join(left)} runs on although it was stopped",
                hint=f"find the program that starts it again, then stop it: {self.project.shown} stop {' '.join(left)}",
            )

    def start(self, services: Sequence[str], *, stop_begun: datetime | None = None) -> None:
        """Start services, each after those it depends on, and no other that writes; harmless when they run.

        A queue that only serves them is started with them; a writer that the operator has stopped stays stopped. None
        waits for the health of another, so that the site serves as soon as it can: after a reboot the engine starts
        them so, too. The engine goes on with a stop whose caller has ended. A container that has not been started since
        `stop_begun` is therefore stopped to the end first, else it would end after its start. Raises KorrigoBackupError
        when a service does not run afterwards.
        """
        if not services:
            return
        if stop_begun and (pending := self._running_since_before(services, stop_begun)):
            self._halt([one for one in self._of(pending) if one.running])
        containers = self.project.containers()
        if gone := sorted(set(services) - {one.service for one in containers}):
            raise KorrigoBackupError(
                f"the project has no container of {', '.join(gone)} any more",
                hint=f"make it: {self.project.shown} up -d {' '.join(gone)}",
            )
        serving = asleep(services, {one.service: one for one in containers}) - self._wanted(containers)
        last = self._workers(containers)
        ordered = sorted(in_order(containers), key=lambda one: one.service in last)
        ids = [one.id for one in ordered if one.service in serving.union(services)]
        done = run(Command(("docker", "start", *ids), self.project.environment), timeout=STOP_SECONDS)
        if done.status:
            again = f"run it by hand: {self.project.shown} start {' '.join(sorted(serving.union(services)))}"
            raise self.project.failure(done.stderr, done.status, "start", again)
        self._require_running(services, {one.id: one.started for one in containers})

    def _halt(self, containers: Sequence[Container]) -> None:
        """Stop containers in parallel; the engine gives each the grace period from its Compose file.

        Compose v1 does not pass this period to the engine, so it stops its services itself.
        """
        if not containers:
            return
        names = sorted({one.service for one in containers})
        if self.project.program != PROGRAMS[0]:
            self.project.call("stop", *names, timeout=STOP_SECONDS)
            return
        ids = [one.id for one in containers]
        done = run(Command(("docker", "stop", *ids), self.project.environment), timeout=STOP_SECONDS)
        if done.status:
            again = f"run it by hand: {self.project.shown} stop {' '.join(names)}"
            raise self.project.failure(done.stderr, done.status, "stop", again)

    def _workers(self, containers: Sequence[Container]) -> frozenset[str]:
        """Return the services that visitors do not use directly: of the backend's image, no ports, no dependents."""
        images = {one.image for one in containers if one.service == self.backend}
        needed = {name for one in containers for name in one.depends_on}
        return frozenset(
            one.service
            for one in containers
            if one.image in images - {""} and one.service not in needed | {self.backend} and not one.ports
        )

    def _of(self, services: Sequence[str]) -> list[Container]:
        return [one for one in self.project.containers() if one.service in services]

    def _running_since_before(self, services: Sequence[str], moment: datetime) -> list[str]:
        return sorted({one.service for one in self._of(services) if one.running and one.started < moment})

    def _require_running(self, services: Sequence[str], earlier: Mapping[str, datetime]) -> None:
        """Raise KorrigoBackupError for services that do not run, given when each was started `earlier`.

        A service that was started now and has ended with status 0 has done its work.
        """
        ended = {
            one.service: one
            for one in self._of(services)
            if not one.running and (one.exit_code or one.started == earlier.get(one.id))
        }
        if ended:
            named = ", ".join(f"{name} ({one.status}, status {one.exit_code})" for name, one in sorted(ended.items()))
            words, shown = " ".join(sorted(ended)), self.project.shown
            raise KorrigoBackupError(
                f"{named} does not run after the start: {shown} start {words}",
                hint=f"see why: {shown} logs {words}; then: {shown} start {words}",
            )

    def _wanted(self, containers: Sequence[Container]) -> frozenset[str]:
        return frozenset(self.names) or writers(containers, database=self.database, media=self.media)

    def look(self) -> Health:
        """Ask the engine, and the address: the configured address, else a published one of the project that answers."""
        present = self.project.containers()
        wanted = self._wanted(present)
        ill = frozenset(
            one.service for one in present if one.service in wanted and one.running and one.health == "unhealthy"
        )
        reason = probe(self.health_url) if self.health_url else None
        if self.health_url and reason is None:
            return Health(ill, self.health_url)
        silent = f"{self.health_url} does not answer: {reason}" if self.health_url else ""
        return Health(ill, learnt(present, backend=self.backend, database=self.database), silent)

    def await_health(self, names: Sequence[str], before: Health, on_wait: Callable[[float], None]) -> tuple[str, ...]:
        """Return when every service runs and is healthy, and the address that answered before answers.

        A container is healthy if its own check passes, run by the engine or by us. Each has the time that its check
        gives it, unless `health_timeout` is set. Raises KorrigoBackupError naming each that is not healthy; those that
        were unhealthy before the stop are returned.
        """
        if not names:
            return ()
        begun, limit = time.monotonic(), self._limit(self._of(names))
        on_wait(limit)
        ill = self._await_ready(names, begun, before)
        if url := before.url or self.health_url:
            ill += await_address(url, max(1.0, begun + limit - time.monotonic()), before)
        return ill

    def _limit(self, containers: Sequence[Container]) -> float:
        return self.health_timeout or max((one.limit or DEFAULT_SECONDS for one in containers), default=DEFAULT_SECONDS)

    def _await_ready(self, services: Sequence[str], begun: float, before: Health) -> tuple[str, ...]:
        """Return when all are ready, with those that were unwell `before` and are not; raises KorrigoBackupError else.

        Our own checks begin when the address answers: asking the address costs very little while the site starts.
        """
        pause, answers, spared = _PAUSE, before.url is None, before.unwell
        while True:
            answers = answers or probe(before.url or "", _QUESTION) is None
            elapsed, states = time.monotonic() - begun, {one.service: one for one in self._of(services)}
            unready = {name: states.get(name) for name in services if not _ready(states.get(name))}
            left = self._not_passing(unready) if answers else unready
            lost = {name: one for name, one in left.items() if self._is_lost(one, elapsed)}
            if bad := {name: one for name, one in lost.items() if name not in spared}:
                raise self._unhealthy(bad, elapsed)
            if left == lost:
                return tuple(f"{name} ({_state(one)})" for name, one in left.items())
            time.sleep(pause)
            pause = min(1.3 * pause, _LONGEST_PAUSE)

    def _not_passing(self, unready: Mapping[str, Container | None]) -> dict[str, Container | None]:
        """Return the services whose own check does not pass; the checks run side by side."""
        checks = {name: Background(partial(self.checks.passes, one)) for name, one in unready.items()}
        return {name: unready[name] for name, check in checks.items() if not check.result()}

    def _is_lost(self, one: Container | None, elapsed: float) -> bool:
        """Return whether a service will not become healthy any more: reported unhealthy, or its time is over."""
        if one is not None and one.running and one.health == "unhealthy":
            return True
        return elapsed > self._limit([one] if one else [])

    def _unhealthy(self, bad: Mapping[str, Container | None], elapsed: float) -> KorrigoBackupError:
        named = ", ".join(f"{name} ({_state(one)})" for name, one in bad.items())
        return KorrigoBackupError(
            f"not healthy after {elapsed:.0f} s: {named}", hint=f"see why: {self.project.shown} logs {' '.join(bad)}"
        )


def in_order(containers: Sequence[Container]) -> list[Container]:
    """Return containers so that each stands after those of the services that it depends on; a circle is entered."""
    ordered: list[Container] = []
    left = list(containers)
    while left:
        names = {one.service for one in left}
        ready = [one for one in left if not one.depends_on & names - {one.service}] or left
        ordered += ready
        left = [one for one in left if one not in ready]
    return ordered


def asleep(services: Sequence[str], present: Mapping[str, Container]) -> set[str]:
    """Return the services that do not run, are not among `services`, and on which those depend, directly or not."""
    needed, todo = set[str](), list(services)
    while todo:
        container = present.get(todo.pop())
        more = container.depends_on - needed if container else frozenset[str]()
        needed |= more
        todo += more
    return {name for name in needed.difference(services) if name in present and not present[name].running}


def _ready(container: Container | None) -> bool:
    return container is not None and container.running and container.health in {None, "healthy"}


def _state(container: Container | None) -> str:
    return "gone" if container is None else container.health or container.status
