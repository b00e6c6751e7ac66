"""The host that takes requests: its rules and limits, the end of a request, and its line in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.core.paths import on_one_line
from korrigo_backup.core.secret import redact
from korrigo_backup.errors import Refused
from korrigo_backup.requests.model import HostAnswer, SavedPage, ShownFile, State, plan_digest, shown_plan
from korrigo_backup.requests.records import (
    RequestRecord,
    forget_half_written,
    forget_record,
    read_records,
    write_record,
)
from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome
from korrigo_backup.run.step import silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.requests.spool import Spool
    from korrigo_backup.rescue.undelete_plan import UndeletePlan
    from korrigo_backup.run.step import Listener
    from korrigo_backup.site.site import Site

AN_HOUR, A_DAY = 60, 300
"""Requests that are taken in an hour and in a day; more have to wait."""

KEPT = timedelta(days=7)
"""How long records and answers stay."""

FILES_KEPT = timedelta(hours=1)
"""How long the content of a file stays among the answers."""

_OUTCOMES = {State.REFUSED: Outcome.CANCELLED, State.FAILED: Outcome.FAILED}
"""How the journal names the ends of a request that are not `done`."""


@dataclass(frozen=True)
class RequestRules:
    """Whether a person approves each plan, whether the site may look at rows and files, how long a request stands."""

    ask: bool = True
    looks: bool = False
    previews: bool = False
    expire: timedelta = timedelta(hours=24)


@dataclass(frozen=True)
class RequestHost:
    """The host at work: its site, its catalog, its spool."""

    site: Site
    catalog: Catalog
    spool: Spool
    rules: RequestRules
    now: Callable[[], datetime]
    listen: Listener = silent


def has_work(spool: Spool, directory: Path, site: str, now: datetime) -> bool:
    """Write when the host has looked, remove what is old, and return whether there is a request to work on.

    Neither the database nor Docker is asked.
    """
    spool.note_look(now)
    spool.forget_files((now - FILES_KEPT).timestamp())
    if spool.pending()[0] or any(one.state is State.TAKEN for one in read_records(directory, site)):
        return True
    forget_old(spool, directory, site, now)
    return False


def forget_old(spool: Spool, directory: Path, site: str, now: datetime) -> None:
    """Remove records and answers that are older than `KEPT`."""
    before = now - KEPT
    for record in read_records(directory, site):
        if record.received < before:
            forget_record(directory, record.id)
    forget_half_written(directory, before.timestamp())
    spool.forget_answers(before.timestamp())


def room_for_more(host: RequestHost) -> int:
    """Return how many requests may be taken now."""
    now = host.now()
    received = [one.received for one in read_records(host.catalog.directory, host.site.name)]
    hour = sum(now - one < timedelta(hours=1) for one in received)
    day = sum(now - one < timedelta(days=1) for one in received)
    return max(0, min(AN_HOUR - hour, A_DAY - day))


def end_request(
    host: RequestHost,
    record: RequestRecord,
    state: State,
    message: str = "",
    hint: str = "",
    *,
    plan: UndeletePlan | None = None,
    found: SavedPage | None = None,
    file: ShownFile | None = None,
    journaled: bool = False,
) -> RequestRecord:
    """Answer, and then record how a request stands now: after a kill in between it is answered again."""
    message, hint = (on_one_line(redact(text, host.site.secrets))[:1000] for text in (message, hint))
    digest = plan_digest(plan) if plan else record.digest
    ended = replace(record, state=state, message=message, digest=digest)
    if not journaled:
        outcome = _OUTCOMES.get(state, Outcome.DONE)
        journal_look(host, ended, "request", outcome, message or state)
    answer = HostAnswer(
        id=ended.id,
        state=state,
        at=host.now(),
        by=ended.by,
        backup=ended.backup,
        objects=ended.objects,
        message=message,
        hint=hint,
        plan=shown_plan(plan) if plan else None,
        found=found,
        file=file,
        wants=ended.wants,
        digest=digest if state in {State.PLANNED, State.CHANGED} else "",
    )
    host.spool.answer(answer)
    write_record(host.catalog.directory, ended)
    return ended


def answer_taken(host: RequestHost, record: RequestRecord) -> None:
    """Answer that a run is at work on a request."""
    fields = {name: getattr(record, name) for name in ("id", "by", "backup", "objects", "wants")}
    host.spool.answer(HostAnswer(**fields, state=State.TAKEN, at=host.now()))


def journal_look(host: RequestHost, record: RequestRecord, verb: str, outcome: Outcome, message: str) -> None:
    """Write a line of the journal: who asked for which objects of which backup."""
    about = f"{', '.join(record.objects)[:150]} of {record.backup}" if record.objects else record.id
    asked = f"asked by {record.by} (admin), request {record.id}" if record.by else ""
    words = "; ".join(filter(None, (asked, message)))
    journal.note_early(
        host.catalog.directory,
        host.site.secrets,
        (host.site.name, verb, about),
        host.now(),
        outcome=outcome,
        code=0 if outcome is Outcome.DONE else Refused.exit_code,
        message=words,
    )
