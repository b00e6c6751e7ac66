"""`korrigo-backup schedule`: have the backups start by themselves (runbook 4.6)."""

from __future__ import annotations

import os
import time
from difflib import unified_diff
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.app.unattended import prepare, require_in_files
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.history import proven
from korrigo_backup.cli.output import CommandContext, say, say_findings, say_json
from korrigo_backup.cli.program.commands import Actions
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.errors import Interrupted, KorrigoBackupError, UsageError
from korrigo_backup.run.journal import read
from korrigo_backup.schedule.loop import GRACE, Loop, newest
from korrigo_backup.schedule.model import By, Change, next_runs, overdue
from korrigo_backup.schedule.systemd import boots

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from korrigo_backup.app.build import Wired
    from korrigo_backup.schedule.model import Job, NextRun
    from korrigo_backup.schedule.schedule import Installed, Schedule


Systemd = Annotated[bool, typer.Option("--systemd", help="By timers of systemd: the system's for root.")]
Cron = Annotated[bool, typer.Option("--cron", help="By lines in the crontab.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the changes, and stop.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON document.")]


def install(context: typer.Context, systemd: Systemd = False, cron: Cron = False, dry_run: DryRun = False) -> None:
    """Write the timers or the lines; installing again updates them."""
    by = _by(systemd=systemd, cron=cron)
    _install(_wired(context), by or (By.SYSTEMD if boots() else By.CRON), dry_run=dry_run)


def show(context: typer.Context, systemd: Systemd = False, cron: Cron = False, as_json: AsJson = False) -> None:
    """Show the installed jobs and their next runs."""
    by = _by(systemd=systemd, cron=cron)
    if as_json:
        _show_json(_wired(context).schedule(), by, local_now())
    else:
        _show(_wired(context).schedule(), by, local_now())


def remove(context: typer.Context, systemd: Systemd = False, cron: Cron = False, dry_run: DryRun = False) -> None:
    """Take the schedule away."""
    by = _by(systemd=systemd, cron=cron)
    _remove(_wired(context).schedule(), by, dry_run=dry_run)


def run(context: typer.Context) -> None:
    """Start the runs from here until ended: for a container."""
    _run_until_ended(_wired(context))


def health(context: typer.Context) -> None:
    """Exit 0 when no backup is missing: for a container."""
    _say_health(_wired(context), local_now())


ACTIONS = Actions(
    {"install": install, "show": show, "remove": remove, "run": run, "health": health},
    default="show",
    help="""Have backups start by themselves: daily at 03:00, and a backup loaded and proven on Sundays at 05:00.

    Hours, jitter and user are in [schedule] of the configuration.
    """,
)


def _wired(context: typer.Context) -> Wired:
    return context.ensure_object(CommandContext).wired()


def _by(*, systemd: bool, cron: bool) -> By | None:
    if systemd and cron:
        raise UsageError(
            "--systemd and --cron exclude each other", hint="choose systemd or cron: with both each job would run twice"
        )
    return By.SYSTEMD if systemd else By.CRON if cron else None


def _install(wired: Wired, by: By, *, dry_run: bool) -> None:
    schedule = wired.schedule()
    require_in_files(wired.config, wired.directory, wired.file, os.environ)
    place = schedule.at(by)
    if not dry_run:
        place.require()
    changes = schedule.plan(by)
    add_to_document(by=by, changes=_changes(changes), applied=False)
    _say_changes(changes)
    if dry_run:
        say("No change was made (--dry-run)")
        return
    prepare(wired.config, wired.catalog)
    place.apply(changes)
    add_to_document(applied=True)
    say(f"✅ Schedule installed by {by}" if changes else f"✅ Schedule installed by {by}: it was up to date")
    _say_installed(schedule, by, local_now())


def _remove(schedule: Schedule, by: By | None, *, dry_run: bool) -> None:
    removals = schedule.removal(by)
    add_to_document(changes=_changes(change for _, changes in removals for change in changes), applied=False)
    for _, changes in removals:
        _say_changes(changes)
    if dry_run:
        say("No change was made (--dry-run)")
        return
    for place, changes in removals:
        place.apply(changes)
        say(f"✅ Schedule removed from {place.by}")
    add_to_document(applied=True)


def _say_installed(schedule: Schedule, by: By | None, now: datetime) -> None:
    for found in _those(schedule, by):
        for job in found.jobs:
            say(f"  {_line(schedule, job, now)}")
        say_findings(found.findings)


def _show(schedule: Schedule, by: By | None, now: datetime) -> None:
    if not _those(schedule, by):
        say("No schedule is installed: korrigo-backup schedule install --systemd, or --cron")
        return
    for found in _those(schedule, by):
        say(f"Installed by {found.by}:")
        _say_installed(schedule, found.by, now)
        if found.changes:
            say("Changes that korrigo-backup schedule install would make now:")
            _say_changes(found.changes)


def _those(schedule: Schedule, by: By | None) -> list[Installed]:
    return [found for found in schedule.installed() if by in {None, found.by}]


def _line(schedule: Schedule, job: Job, now: datetime) -> str:
    at = next_runs([job], now)[0].at
    late = f" (up to {schedule.jitter} s later)" if schedule.jitter else ""
    return f"{job.id:<7} {job.title:<24} {job.hours:<12} next run {at:%Y-%m-%d} {at:%H:%M}{late}"


def _show_json(schedule: Schedule, by: By | None, now: datetime) -> None:
    installed = [
        {"by": found.by, "jobs": found.jobs, "current": not found.changes, "findings": found.findings}
        for found in _those(schedule, by)
    ]
    say_json("schedule", {"installed": installed, "next": schedule.next_runs(now)})


def _say_changes(changes: Iterable[Change]) -> None:
    """Print the added and removed lines, as `diff -u` does; of a file that is removed as a whole only the name."""
    for change in changes:
        if change.after is None:
            say(f"removed: {change.where}")
            continue
        say(f"{'new' if change.before is None else 'changed'}: {change.where}")
        for line in _difference(change, around=1):
            say(f"  {line}")


def _changes(changes: Iterable[Change]) -> list[dict[str, object]]:
    """Return changes for the document: of a crontab our own lines alone, since the others may hold secrets."""
    return [
        {
            "where": change.where,
            "action": "remove" if change.after is None else "write" if change.before is None else "change",
            "lines": [] if change.after is None else _difference(change, around=0),
        }
        for change in changes
    ]


def _difference(change: Change, *, around: int) -> list[str]:
    """Return the added and removed lines, as `diff -u` marks them, and `around` lines before and after."""
    whole = unified_diff(_lines(change.before), _lines(change.after), n=around, lineterm="")
    return [line for line in list(whole)[2:] if not line.startswith("@@")]


def _lines(text: str | None) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _run_until_ended(wired: Wired) -> None:
    """Begin the runs in this process, each as if it had been typed; the configuration is read anew for each."""
    from korrigo_backup.cli.main import guarded  # noqa: PLC0415 - it loads this module

    if not wired.jobs():
        raise UsageError("[schedule] has no hours: no job would ever run", hint="set [schedule] daily, weekly or drill")
    around = wired.around()

    def begin(job: Job) -> int:
        say(f"▶️  {job.id}: korrigo-backup {' '.join(job.arguments)}")
        began = time.monotonic()
        code = guarded([*CommandContext.common_options(), *around.command[1:], *job.arguments])
        say(f"{'❌' if code else '✅'} {job.id}: exit code {code} after {time.monotonic() - began:.0f} s")
        return code

    try:
        code = Loop(wired.jobs(), around, wired.catalog.artifacts, partial(_last_proof, wired)).forever(
            begin, clock=local_now, sleep=time.sleep, tell=_say_coming
        )
    except Interrupted:
        say("⏹️  ended while no run was under way")
    else:
        raise typer.Exit(code)


def _say_health(wired: Wired, now: datetime) -> None:
    """Print that no backup is missing; KorrigoBackupError if a backup is missing."""
    made = newest(artifact for artifact in wired.catalog.artifacts() if artifact.created <= now)
    add_to_document(newest=made)
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
