"""The host that takes requests: its rules and limits, the end of a request, and its line in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.core.paths import on_one_line
from korrigo_backup.core.secret import redact
from korrigo_backup.errors import Refused
from korrigo_backup.requests.model import HostAnswer, SavedPage, State, plan_digest, shown_plan
from korrigo_backup.requests.records import RequestRecord, forget_record, read_records, write_record
from korrigo_backup.requests.withdraw import withdraw_erased
from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome
from korrigo_backup.run.step import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.requests.spool import Spool
    from korrigo_backup.rescue.undelete_plan import UndeletePlan
    from korrigo_backup.run.step import Listener
    from korrigo_backup.site.site import Site

AN_HOUR, A_DAY = 60, 300
"""Requests that are taken in an hour and in a day; more have to wait."""

KEPT = timedelta(days=7)
"""How long records and answers stay."""


@dataclass(frozen=True)
class RequestRules:
    """Whether a person approves each plan, whether the site may look, how long a request stands."""

    ask: bool = True
    looks: bool = False
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


def forget_old(host: RequestHost) -> None:
    """Remove records and answers that are older than `KEPT`, and the rows of answers from before an erasure."""
    before = host.now() - KEPT
    for record in read_records(host.catalog.directory, host.site.name):
        if record.received < before:
            forget_record(host.catalog.directory, record.id)
    host.spool.forget_answers(before.timestamp())
    withdraw_erased(host.spool, host.catalog.directory, host.site.ledger)


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
    journaled: bool = False,
) -> RequestRecord:
    """Record how a request stands now, and answer."""
    message, hint = (on_one_line(redact(text, host.site.secrets))[:1000] for text in (message, hint))
    digest = plan_digest(plan) if plan else record.digest
    ended = replace(record, state=state, message=message, digest=digest)
    write_record(host.catalog.directory, ended)
    if not journaled:
        outcome = Outcome.CANCELLED if state is State.REFUSED else Outcome.DONE
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
        digest=digest if state in {State.PLANNED, State.CHANGED} else "",
    )
    host.spool.answer(answer)
    return ended


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
