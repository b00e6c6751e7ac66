"""The loop of `schedule run`: a scheduler in the foreground, for containers without another scheduler."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.errors import INTERRUPTED
from korrigo_backup.schedule.model import DRILL, FULL, NextRun, due_since, next_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.schedule.model import Job, RunEnvironment

GRACE = timedelta(hours=3)
"""How long after its hour a backup may be missing: waiting for another run, and making it."""

_PAUSE = 60.0
"""Seconds that are slept at most: a clock that was set, or a machine that slept, is noticed after them."""


@dataclass(frozen=True)
class Loop:
    """Begins jobs at their hours, one at a time, in this process.

    A job that was missed (the container did not run, another job took longer) is made up for at once, and only once,
    even if it fails. Missed jobs are found from the existing backups, so a new container knows them, too.
    """

    jobs: tuple[Job, ...]
    around: RunEnvironment
    artifacts: Callable[[], Iterable[Artifact]]
    proven: Callable[[], datetime | None] = lambda: None
    """When a backup was last loaded and proven."""
    _done: dict[str, datetime] = field(default_factory=dict)
    """When each job was tried, or its backup was made, last.

    The backups are read only if one seems to be missing.
    """

    def forever(
        self,
        run: Callable[[Job], int],
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        tell: Callable[[NextRun], None],
    ) -> int:
        """Run due jobs and sleep until the next, until a run is interrupted; return its exit code then.

        `run` runs a job to its end and returns its exit code; `tell` is called with the next run.
        """
        shown = None
        # a job that makes no backup cannot have been missed, but for a drill, whose proof is in the journal
        self._done.update({job.id: clock() for job in self.jobs if not job.backs_up and job.id != DRILL})
        while True:
            now = clock()
            if job := self.due(now):
                self._done[job.id] = now
                if (code := run(job)) == INTERRUPTED:
                    return code
                continue
            coming = self.coming(now)
            if coming != shown:
                tell(coming)
                shown = coming
            sleep(min(_PAUSE, max(0.0, (coming.at - clock()).total_seconds())))

    def due(self, now: datetime) -> Job | None:
        """Return the job that should have begun by now and did not; the job of most content first, a drill last.

        The first backup of a site is drilled anyway.
        """
        backups = [job for job in reversed(self.jobs) if job.id != DRILL]
        drills = [job for job in self.jobs if job.id == DRILL]
        return next((job for job in (*backups, *drills) if self._is_due(job, now)), None)

    def coming(self, now: datetime) -> NextRun:
        """Return the next job, and its time, this machine's delay included."""
        delays = {job.id: timedelta(seconds=self.around.delay(job)) for job in self.jobs}
        runs = [run for job in self.jobs for run in next_runs([job], now - delays[job.id])]
        return min((NextRun(run.job, run.at + delays[run.job]) for run in runs), key=lambda run: run.at)

    def _is_due(self, job: Job, now: datetime) -> bool:
        last = due_since([job], now - timedelta(seconds=self.around.delay(job)))
        if last is None or self._covers(self._done.get(job.id), last.at, now):
            return False
        made = self._made(job)
        if made and self._covers(made, last.at, now):
            self._done[job.id] = made
            return False
        return True

    def _made(self, job: Job) -> datetime | None:
        if job.id == DRILL:
            return self.proven()
        kind = Kind.POINT if FULL in job.arguments else Kind.SQL
        return newest(self.artifacts(), kind) if job.backs_up else None

    @staticmethod
    def _covers(time: datetime | None, due: datetime, now: datetime) -> bool:
        """Return whether a job done at a time is enough; a time in the future (the clock went back) does not count."""
        return time is not None and due <= time <= now


def newest(artifacts: Iterable[Artifact], kind: Kind = Kind.SQL) -> datetime | None:
    """Return when the newest good routine backup of a kind was made."""
    good = (a for a in artifacts if a.kind is kind and a.origin is Origin.ROUTINE and a.header and not a.problem)
    return max((artifact.created for artifact in good), default=None)
