"""`korrigo-backup schedule run` and `health`: for containers without another scheduler or monitor."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.history import proven
from korrigo_backup.cli.output import say
from korrigo_backup.errors import Interrupted, KorrigoBackupError, UsageError
from korrigo_backup.run.journal import read
from korrigo_backup.schedule.loop import GRACE, Loop, newest
from korrigo_backup.schedule.model import overdue

if TYPE_CHECKING:
    from datetime import datetime

    from korrigo_backup.app.build import Wired
    from korrigo_backup.schedule.model import Job, NextRun


def run_until_ended(wired: Wired) -> None:
    """Begin the runs in this process, each as if it had been typed; the configuration is read anew for each."""
    from korrigo_backup.cli.main import guarded  # noqa: PLC0415 - it loads this module

    if not wired.jobs():
        raise UsageError("[schedule] has no hours: no job would ever run", hint="set [schedule] daily, weekly or drill")
    around = wired.around()

    def run(job: Job) -> int:
        say(f"▶️  {job.id}: korrigo-backup {' '.join(job.arguments)}")
        began = time.monotonic()
        code = guarded([*around.command[1:], *job.arguments])
        say(f"{'❌' if code else '✅'} {job.id}: exit code {code} after {time.monotonic() - began:.0f} s")
        return code

    try:
        code = Loop(wired.jobs(), around, wired.catalog.artifacts, partial(_last_proof, wired)).forever(
            run, clock=local_now, sleep=time.sleep, tell=_say_coming
        )
    except Interrupted:
        say("⏹️  ended while no run was under way")
    else:
        raise typer.Exit(code)


def say_health(wired: Wired, now: datetime) -> None:
    """Print that no backup is missing; KorrigoBackupError if a backup is missing."""
    made = newest(artifact for artifact in wired.catalog.artifacts() if artifact.created <= now)
    last = f"the newest is of {made.astimezone():%a %Y-%m-%d %H:%M}" if made else "there is none"
    if missing := overdue(wired.jobs(), made, now, GRACE):
        raise KorrigoBackupError(
            f"no good backup since the run that was due at {missing:%a %Y-%m-%d %H:%M}: {last}",
            hint="read the output of the last runs (docker logs, journalctl, cron's mail)",
        )
    say(f"✅ No backup is missing: {last}")


def _last_proof(wired: Wired) -> datetime | None:
    found = proven(read(wired.catalog.directory))
    return found.at if found else None


def _say_coming(coming: NextRun) -> None:
    say(f"⏳ Next: {coming.job}, {coming.at:%a %Y-%m-%d %H:%M:%S %Z}")
