"""The sections of unattended runs: retention, hours, goals, contacts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from korrigo_backup.config.values import Count, Reader, Section, Text, number, switch
from korrigo_backup.schedule.model import check_hours

NEVER = "never"
"""The hours of a job that is turned off."""

WEEKLY = "0 4 * * 0"
"""The hours of the weekly run where it is not set."""

METRICS_ENDING = ".prom"
"""The ending of the files that node_exporter reads; it ignores all others."""


def _hours(value: object) -> object:
    """Read a cron expression in the machine's time zone, or `never`."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        raise ValueError("must not be empty; never turns it off")
    return NEVER if value.strip() == NEVER else check_hours(value)


def _for_node_exporter(value: object) -> object:
    if isinstance(value, str) and value and Path(value).suffix != METRICS_ENDING:
        raise ValueError(f"must end in {METRICS_ENDING}: node_exporter reads no other files")
    return value


def _duration(value: object) -> object:
    """Read a duration as people type it: 90s, 30m, 24h, 7d; a number is seconds."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([0-9]{1,8})([smhd]?)", value.strip(), re.ASCII)
    if match is None:
        raise ValueError("must be a duration like 30m, 24h or 7d")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def _keys(value: object) -> object:
    """Split a value that is a single text (a variable) at commas; an SSH key contains spaces."""
    return [part.strip() for part in re.split(r"[,\n]", value)] if isinstance(value, str) else value


class RuleSection(Section, frozen=True):
    """How many backups of one sort are kept.

    All of `days` and `hours`, the `last` so many, the newest of so many hours, days, weeks, months and years. All of
    them 0: for ever.
    """

    readers: ClassVar[Mapping[str, Reader]] = dict.fromkeys(
        ("days", "hours", "last", "hourly", "daily", "weekly", "monthly", "yearly"), number
    )

    days: Count = 0
    hours: Count = 0
    last: Count = 0
    hourly: Count = 0
    daily: Count = 0
    weekly: Count = 0
    monthly: Count = 0
    yearly: Count = 0


class RetentionSection(Section, frozen=True):
    """How long artifacts and previous copies are kept (runbook 7.1), by sort.

    `max_age`, in days, wins over all but holds. The days of the `database` are BACKUP_RETENTION_DAYS unless they are
    set here. With restore points through the day, `database`, `media` and `complete` are thinned unless they are set
    here: all of 24 hours, one an hour for 72 hours, one a day.
    """

    readers: ClassVar[Mapping[str, Reader]] = {"max_age": number}
    parts: ClassVar[Mapping[str, type[Section]]] = dict.fromkeys(
        ("database", "media", "complete", "safety", "kept"), RuleSection
    )

    database: RuleSection | None = None
    media: RuleSection | None = None
    complete: RuleSection | None = None
    safety: RuleSection | None = None
    kept: RuleSection | None = None
    max_age: Count = 0


class NightlySection(Section, frozen=True):
    """Options of `nightly`: the depth of verification, and how many seconds it waits for another run to end.

    With `drill` the first backup, and the first backup of a changed schema, are also loaded into a scratch copy and
    proven. With `canary` the backup is compared with the history; `status` shows its findings.
    """

    readers: ClassVar[Mapping[str, Reader]] = {"drill": switch, "canary": switch, "wait": number}

    verify: Literal["structure", "content", "full"] = "content"
    wait: Annotated[float, Meta(ge=0, le=86400)] = 7200
    drill: bool = True
    canary: bool = True


class StatusSection(Section, frozen=True):
    """How old the newest backups may be, in hours (0: any age), how long a proof by a restore counts, in days.

    `accept` names warnings of `status` and of the canary that this site lives with. At its end `nightly` writes
    `publish` (for the page in Django's admin) and `textfile` (for node_exporter).
    """

    readers: ClassVar[Mapping[str, Reader]] = {
        **dict.fromkeys(("rpo_hours", "media_rpo_hours", "proof_days"), number),
        "textfile": _for_node_exporter,
    }

    rpo_hours: Annotated[float, Meta(ge=0, le=100_000)] = 26
    media_rpo_hours: Annotated[float, Meta(ge=0, le=100_000)] = 170
    proof_days: Annotated[float, Meta(gt=0, le=10_000)] = 31
    accept: tuple[Annotated[str, Meta(pattern=r"^(status|canary)\.[a-z_]+\Z")], ...] = ()
    publish: Path | None = None
    textfile: Path | None = None


class RequestsSection(Section, frozen=True):
    """The spool through which the site's admin asks the host to bring rows back; without a `directory` none is taken.

    `looks`, `previews`: whether rows and media files of a backup are shown to the site, without a person. `approve`:
    `ask` lets a person say yes to the rows that are brought back, `auto` does not. A request that is older than
    `expire`, in seconds, is refused.
    """

    readers: ClassVar[Mapping[str, Reader]] = {"expire": _duration, "looks": switch, "previews": switch}

    directory: Path | None = None
    approve: Literal["ask", "auto"] = "ask"
    looks: bool = False
    previews: bool = False
    expire: Annotated[float, Meta(ge=60, le=7 * 86400)] = 86400


class ReportSection(Section, frozen=True):
    """The targets of reports in seconds, None where the site sets none: `rpo` is how much data a loss may cost.

    `rto` is how long a recovery may take.
    """

    readers: ClassVar[Mapping[str, Reader]] = dict.fromkeys(("rpo", "rto"), _duration)

    rpo: Annotated[float, Meta(gt=0, le=366 * 86400)] | None = None
    rto: Annotated[float, Meta(gt=0, le=366 * 86400)] | None = None


class Contact(Section, frozen=True):
    """A person to ask, with the matters to ask about (runbook 9.3)."""

    role: Text
    contact: Text = ""
    scope: str = ""
    name: str = ""
    phone: str = ""
    mail: str = ""

    def __post_init__(self) -> None:
        """Refuse a person who cannot be reached (ValueError, to a decoder ValidationError)."""
        if not (self.contact or self.phone or self.mail):
            raise ValueError("needs a contact, a phone or a mail")

    @property
    def line(self) -> str:
        """The person in a line: role, name, then the ways to reach him."""
        ways = " · ".join(filter(None, (self.name, self.contact, self.phone, self.mail)))
        return f"{self.role}: {ways}{f' ({self.scope})' if self.scope else ''}"


class ContactsSection(Section, frozen=True):
    """The people to ask for help, in the order in which they are asked; shown where help is needed."""

    lists: ClassVar[Mapping[str, type[Section]]] = {"people": Contact}

    people: tuple[Contact, ...] = ()


class KitSection(Section, frozen=True):
    """The public keys (age or SSH) that the recovery kit is encrypted to, and the files in it besides the usual files.

    An invalid recipient is found when a kit is made: it must not keep a backup from running.
    """

    readers: ClassVar[Mapping[str, Reader]] = {"recipients": _keys}

    recipients: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


class ScheduleSection(Section, frozen=True):
    """When backups run by themselves (runbook 4.6), when their absence is reported, and which resources they may use.

    `jitter` spreads the starts of many machines, in seconds. A run that takes longer than `limit_hours` is ended.
    `media` sets when the uploads are saved: with each `daily` run, so that `weekly` runs only where it is set, or with
    the `weekly` run alone, by default at 0 4 * * 0. At the hours of `points` a restore point is made, without the other
    steps of a night. At those of `disaster` and `incident` a drill of that level is made. `user` runs the jobs when
    root installs the schedule. `log` is for cron, `writable` for units: directories that a run writes in besides those
    that are derived from the configuration.
    """

    readers: ClassVar[Mapping[str, Reader]] = {
        **dict.fromkeys(("daily", "weekly", "points", "drill", "disaster", "incident", "overdue"), _hours),
        **dict.fromkeys(("jitter", "limit_hours"), number),
    }

    daily: str = "0 3 * * *"
    weekly: str | None = None
    media: Literal["daily", "weekly"] = "daily"
    points: str = NEVER
    drill: str = "0 5 * * 0"
    disaster: str = NEVER
    incident: str = NEVER
    overdue: str = NEVER
    jitter: Annotated[int, Meta(ge=0, le=43200)] = 300
    limit_hours: Annotated[int, Meta(ge=1, le=168)] = 12
    user: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*\Z")] | None = None
    log: Path | None = None
    writable: tuple[Path, ...] = ()
