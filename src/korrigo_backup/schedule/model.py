"""When backups run by themselves: the jobs, their hours, and the times that follow from them.

Hours are a cron expression for each job, in the machine's time zone. A systemd timer, cron, or the loop of `schedule
run` starts the job; the expressions allowed here are understood by all three.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

WAIT = "2h"
"""How long a scheduled run waits for the site's lock before it gives up: the longest restore to be expected."""

MARK = "made by korrigo-backup schedule install for"
"""The beginning of the first line of our units; the site follows."""

_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_WORD = r"(\d{1,2}|[A-Za-z]{3})"
_ITEM = re.compile(rf"{_WORD}|(\*|{_WORD}-{_WORD})(/\d{{1,2}})?")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Job:
    """Something that runs by itself: `arguments` of the command, at `hours`; most jobs make a backup."""

    id: str
    title: str
    hours: str
    arguments: tuple[str, ...]
    backs_up: bool = True
    is_prompt: bool = False
    """Begins at its time, without the delay of the machine."""


class By(StrEnum):
    """The program that starts the runs."""

    SYSTEMD = "systemd"
    CRON = "cron"


@dataclass(frozen=True)
class Change:
    """A file, or a crontab, as it is and as it would be; None: it is not there."""

    where: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class NextRun:
    """A job and when it begins next; the jitter comes on top."""

    job: str
    at: datetime


@dataclass(frozen=True)
class RunEnvironment:
    """The surroundings of an unattended run: command, directory, user, and the directories that it may use.

    `command` is absolute, `directory` the site's, `identity` distinguishes the site from others on this machine;
    `writable` are the directories it writes in, `needed` all others that it must see. Times are seconds.
    """

    site: str
    identity: str
    command: tuple[str, ...]
    directory: str
    path: str
    user: str | None = None
    writable: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    compose: bool = False
    gains_rights: bool = False
    jitter: int = 0
    limit: int = 0
    log: str | None = None

    def delay(self, job: Job) -> int:
        """Return this machine's own delay of a job in seconds, always the same: it spreads many machines."""
        if job.is_prompt:
            return 0
        digest = hashlib.sha256(f"{self.identity}\0{job.id}".encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8]) % (self.jitter + 1)


DRILL = "drill"
"""The job that proves a backup by a restore."""

JOBS = (
    Job("daily", "the database", "0 3 * * *", ("nightly", "--db", "--wait", WAIT)),
    Job("weekly", "database and media", "0 4 * * 0", ("nightly", "--full", "--wait", WAIT)),
    Job(DRILL, "a restore, proven", "0 5 * * 0", ("drill", "--with-media", "--wait", WAIT), backs_up=False),
)
"""The runbook's jobs (4.6), at its hours; and once a week the restore test, of database and media (6.1)."""

_BACKED_UP_FIRST = ("nightly", "--db", "--depth", "full", "--wait", WAIT)
"""The arguments of the drill in a schedule in which no other job makes the backup that it restores."""

POINTS = Job("points", "a restore point", "", ("point",))
"""Restore points through the day; it has no hours unless the configuration sets them."""

LEVELS = (
    Job("disaster", "a disaster on a private stack", "", ("drill", "--level", "disaster"), backs_up=False),
    Job("incident", "damages that must be found", "", ("drill", "--level", "incident"), backs_up=False),
)
"""The runbook's monthly and quarterly tests (6.1); they have no hours unless the configuration sets them."""

OVERDUE = Job("overdue", "tell when one is missing", "", ("notify", "overdue"), backs_up=False)
"""Reports runs that did not even begin; it has no hour unless the configuration sets it."""

REQUESTS = Job("requests", "requests of the admin", "", ("requests", "run"), backs_up=False, is_prompt=True)
"""Takes the requests of the site's admin; it has no hours unless the configuration names their directory."""

EACH_MINUTE = "* * * * *"

FULL = "--full"
"""The option of a run that saves the media, too."""


def jobs(hours: Mapping[str, str], *, media: bool = False) -> tuple[Job, ...]:
    """Return the jobs at these hours, by their ids; an empty or invalid expression leaves its job out.

    With `media` the daily job saves the media, too (runbook 1.3). A drill makes its own backup if no other job makes
    a backup.
    """
    found = tuple(
        replace(job, hours=hours[job.id])
        for job in (*JOBS, POINTS, *LEVELS, OVERDUE, REQUESTS)
        if _is_hours(hours.get(job.id, ""))
    )
    if not any(job.backs_up for job in found):
        found = tuple(
            replace(job, arguments=_BACKED_UP_FIRST, backs_up=True) if job.id == DRILL else job for job in found
        )
    return tuple(_with_media(job) if media and job.id == "daily" else job for job in found)


def _with_media(job: Job) -> Job:
    arguments = tuple(FULL if argument == "--db" else argument for argument in job.arguments)
    return replace(job, title="database and media", arguments=arguments)


def _is_hours(expression: str) -> bool:
    try:
        return bool(check_hours(expression))
    except ValueError:
        return False


def check_hours(expression: str) -> str:
    """Return a cron expression, its fields a single space apart; ValueError in words when no cron would take it."""
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"must be five fields: {', '.join(_FIELDS)}; for example 0 3 * * *")
    for field, name in zip(fields, _FIELDS, strict=True):
        if not all(_ITEM.fullmatch(item) for item in field.split(",")):
            raise ValueError(f"has {field!r} for the {name}: use numbers, names, * , - and / as cron does")
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - needed only to set hours or to compute times

    try:
        first = next(CronSim(expression, datetime(2024, 1, 1)), None)  # noqa: DTZ001 - any day will do
    except CronSimError as problem:
        raise ValueError(f"is no cron expression: {str(problem).lower()}") from None
    if first is None:
        raise ValueError("is a day that never comes")
    return " ".join(fields)


def times(expression: str, now: datetime, *, back: bool = False) -> Iterator[datetime]:
    """Yield the times after `now` (before it, newest first, with `back`), aware, in the machine's time zone.

    An hour that the clock repeats counts once; an hour that it leaves out comes when the clock goes on.
    """
    from cronsim import CronSim  # noqa: PLC0415

    local = now.astimezone().replace(tzinfo=None)
    for wall in CronSim(expression, local, reverse=back):
        at = wall.astimezone()
        if (at < now) if back else (at > now):
            yield at


def next_runs(wanted: Iterable[Job], now: datetime) -> list[NextRun]:
    """Return when each job begins next, soonest first."""
    return sorted((NextRun(job.id, next(times(job.hours, now))) for job in wanted), key=lambda run: run.at)


def due_since(wanted: Iterable[Job], now: datetime) -> NextRun | None:
    """Return the job that should have begun last, at `now` or before, and when."""
    soon = now + timedelta(seconds=1)
    last = [NextRun(job.id, next(times(job.hours, soon, back=True))) for job in wanted]
    return max(last, key=lambda run: run.at, default=None)


def overdue(wanted: Iterable[Job], newest: datetime | None, now: datetime, grace: timedelta) -> datetime | None:
    """Return the time at which a backup was due that is still missing `grace` later; None if no backup is missing.

    `newest` is when the newest good backup was made; the moment examined is `now` minus `grace`.
    """
    due = due_since([job for job in wanted if job.backs_up], now - grace)
    return due.at if due and (newest is None or newest < due.at) else None


def on_calendar(expression: str) -> str:
    """Return a cron expression as systemd writes it (systemd.time(7)), on a single line.

    Raises ValueError for days of the month and of the week at once: cron takes either, systemd both.
    """
    from cronsim import CronSim  # noqa: PLC0415

    read = CronSim(expression, datetime(2024, 1, 1))  # noqa: DTZ001 - only its fields are used
    _, _, day, _, weekday = expression.split()
    if not read.day_and:
        raise ValueError(f"{expression!r} means either day in cron, both in systemd: leave the day or the weekday as *")
    weekdays = {(int(number) - 1) % 7 for number in read.weekdays if isinstance(number, int)}
    names = "" if weekday == "*" else ",".join(_WEEKDAYS[number] for number in sorted(weekdays)) + " "
    date = f"*-{_list(read.months, 12)}-{'*' if day == '*' else _list(read.days, 31)}"
    return f"{names}{date} {_list(read.hours, 24)}:{_list(read.minutes, 60)}:00"


def _list(numbers: Iterable[int], all_of_them: int) -> str:
    found = sorted(numbers)
    return "*" if len(found) == all_of_them else ",".join(f"{number:02}" for number in found)
