"""The sections of unattended runs: retention, hours, goals, contacts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from korrigo_backup.config.values import Count, Place, Section, no_switch
from korrigo_backup.retention.policy import Policy
from korrigo_backup.schedule.model import check_hours

if TYPE_CHECKING:
    from pathlib import Path


def _hours(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty; never turns it off")
    return "" if value.strip() == "never" else check_hours(value)


Hours = Annotated[str, AfterValidator(_hours)]
"""A cron expression in the machine's time zone, or `never`, which becomes ""."""


class RuleSection(Section):
    """How many backups of one sort are kept.

    All of `days`, the `last` so many, the newest of so many days, weeks, months and years. All of them 0: for ever.
    """

    days: Count = 0
    last: Count = 0
    daily: Count = 0
    weekly: Count = 0
    monthly: Count = 0
    yearly: Count = 0


class RetentionSection(Section):
    """How long artifacts and previous copies are kept (runbook 7.1), by sort.

    `max_age`, in days, wins over all but holds. The days of the `database` are BACKUP_RETENTION_DAYS unless they are
    set here.
    """

    database: RuleSection | None = None
    media: RuleSection = RuleSection(days=Policy.media.days)
    complete: RuleSection = RuleSection(days=Policy.complete.days)
    safety: RuleSection = RuleSection(days=Policy.safety.days)
    kept: RuleSection = RuleSection(days=Policy.kept.days)
    max_age: Count = 0


class NightlySection(Section):
    """Options of `nightly`: the depth of verification, and how many seconds it waits for another run to end.

    With `drill` the first backup, and the first backup of a changed schema, are also loaded into a scratch copy and
    proven.
    """

    verify: Literal["structure", "content", "full"] = "content"
    wait: Annotated[float, Field(ge=0, le=86400)] = 7200
    drill: bool = True


def _for_node_exporter(value: Path | None) -> Path | None:
    if value and value.suffix != METRICS_ENDING:
        raise ValueError(f"must end in {METRICS_ENDING}: node_exporter reads no other files")
    return value


METRICS_ENDING = ".prom"
"""The ending of the files that node_exporter reads; it ignores all others."""


class StatusSection(Section):
    """How old the newest backups may be, in hours (0: any age), how long a proof by a restore counts, in days.

    `accept` names warnings of `status` that this site lives with. At its end `nightly` writes `publish` (for the page
    in Django's admin) and `textfile` (for node_exporter).
    """

    rpo_hours: Annotated[float, BeforeValidator(no_switch), Field(ge=0, le=100_000)] = 26
    media_rpo_hours: Annotated[float, BeforeValidator(no_switch), Field(ge=0, le=100_000)] = 170
    proof_days: Annotated[float, BeforeValidator(no_switch), Field(gt=0, le=10_000)] = 31
    accept: tuple[Annotated[str, Field(pattern=r"^status\.[a-z_]+$")], ...] = ()
    publish: Place | None = None
    textfile: Annotated[Place | None, AfterValidator(_for_node_exporter)] = None


class Contact(Section):
    """A person to ask, with the matters to ask about (runbook 9.3)."""

    role: Annotated[str, Field(min_length=1)]
    contact: Annotated[str, Field(min_length=1)]
    scope: str = ""


class ContactsSection(Section):
    """The people to ask for help, in the order in which they are asked; shown where help is needed."""

    people: tuple[Contact, ...] = ()


class KitSection(Section):
    """The public keys (age or SSH) that the recovery kit is encrypted to, and the files in it besides the usual files.

    An invalid recipient is found when a kit is made: it must not keep a backup from running.
    """

    recipients: tuple[str, ...] = ()
    files: tuple[Place, ...] = ()

    @field_validator("recipients", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        """Split a value that is a single text (a variable) at commas; an SSH key contains spaces."""
        return tuple(part.strip() for part in re.split(r"[,\n]", value)) if isinstance(value, str) else value


class ScheduleSection(Section):
    """When backups run by themselves (runbook 4.6), when their absence is reported, and which resources they may use.

    `jitter` spreads the starts of many machines, in seconds. A run that takes longer than `limit_hours` is ended.
    `media` sets when the uploads are saved: with each `daily` run, so that `weekly` runs only where it is set, or with
    the `weekly` run alone. `user` runs the jobs when root installs the schedule. `log` is for cron, `writable` for
    units: directories that a run writes in besides those that are derived from the configuration.
    """

    daily: Hours = "0 3 * * *"
    weekly: Hours = "0 4 * * 0"
    media: Literal["daily", "weekly"] = "daily"
    drill: Hours = "0 5 * * 3"
    overdue: Annotated[Hours, Field(validate_default=True)] = "never"
    jitter: Annotated[int, BeforeValidator(no_switch), Field(ge=0, le=43200)] = 300
    limit_hours: Annotated[int, BeforeValidator(no_switch), Field(ge=1, le=168)] = 12
    user: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")] | None = None
    log: Place | None = None
    writable: tuple[Place, ...] = ()
