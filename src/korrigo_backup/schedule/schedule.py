"""Schedules: plan, install, inspect and remove the units or lines that start the backups (runbook 4.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.errors import KorrigoBackupError, NotFound, Refused, UsageError
from korrigo_backup.schedule.model import By, Change, Job, NextRun, next_runs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


class Scheduler(Protocol):
    """Where a schedule can stand: systemd's units, or a crontab."""

    @property
    def by(self) -> By:
        """The program that starts the runs."""
        ...

    def require(self) -> None:
        """Raise Refused when it is not to be had here."""
        ...

    def plan(self) -> list[Change]:
        """Return the changes of an installation; ValueError if this schedule cannot be expressed there."""
        ...

    def plan_removal(self) -> list[Change]:
        """Return the changes of a removal."""
        ...

    def apply(self, changes: Iterable[Change]) -> None:
        """Make the changes of a plan true, all of them or none."""
        ...

    def installed(self) -> tuple[Job, ...]:
        """Return the jobs that are installed, with the hours they have there."""
        ...

    def there(self) -> bool:
        """Return whether anything of ours is installed."""
        ...

    def findings(self) -> list[Finding]:
        """Return findings about an installed schedule that does not work."""
        ...


@dataclass(frozen=True)
class Installed:
    """A schedule that is installed; `changes` are those of another installation now."""

    by: By
    jobs: tuple[Job, ...]
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Schedule:
    """The schedule of a site, wherever it stands."""

    places: tuple[Scheduler, ...]
    jitter: int = 0
    """Seconds by which a run may begin later than its hour."""

    def at(self, by: By) -> Scheduler:
        """Return the place of a kind."""
        return next(place for place in self.places if place.by is by)

    def plan(self, by: By) -> list[Change]:
        """Return the changes of an installation.

        Raises Refused if it is installed in another place: each job would run twice; UsageError if these hours or these
        paths cannot be expressed there.
        """
        for other in self.places:
            if other.by is not by and other.there():
                raise Refused(
                    f"the schedule is installed by {other.by} already: each job would run twice",
                    hint=f"korrigo-backup schedule remove --{other.by}, then run this again",
                )
        return _plan(self.at(by))

    def installed(self) -> list[Installed]:
        """Return the installed schedules, by systemd, by cron, or both."""
        return [_installed(place) for place in self.there()]

    def there(self) -> list[Scheduler]:
        """Return the places where it is installed, without computing changes."""
        return [place for place in self.places if place.there()]

    def removal(self, only: By | None) -> list[tuple[Scheduler, list[Change]]]:
        """Return the changes of a removal in each place; NotFound if no schedule is installed there."""
        places = [place for place in self.places if (only is None or place.by is only) and place.there()]
        if not places:
            raise NotFound("no schedule of this site is installed" + (f" by {only}" if only else ""), hint=_SHOW)
        return [(place, place.plan_removal()) for place in places]

    def next_runs(self, now: datetime) -> list[NextRun]:
        """Return when each installed job makes its next backup, soonest first; its delay comes on top."""
        return next_runs([job for place in self.there() for job in place.installed() if job.backs_up], now)


def _plan(place: Scheduler) -> list[Change]:
    try:
        return place.plan()
    except ValueError as problem:
        raise UsageError(
            f"this schedule cannot be installed by {place.by}: {problem}",
            hint="correct [schedule] in korrigo-backup.toml, or install it the other way (--systemd, --cron)",
        ) from None


def _installed(place: Scheduler) -> Installed:
    found = place.findings()
    try:
        changes = _plan(place)
    except KorrigoBackupError as problem:  # the stack is down: the installed schedule can be shown all the same
        unknown = f"whether the schedule is up to date is not known: {problem.message}"
        return Installed(place.by, place.installed(), (), (*found, warning("schedule.unknown", unknown, problem.hint)))
    return Installed(place.by, place.installed(), tuple(changes), tuple(found))


_SHOW = "korrigo-backup schedule show, as the user and in the directory that it was installed from"
