"""The host's side: take the requests of the spool, make their plans, carry out a plan that was shown.

    lock > read > record > plan > answer                                  a plan: nothing changed
    lock > read > record > (a person approves) > undelete, if its plan has the shown digest > record > answer

A request has the effect of `undelete` with objects and a backup that is named, and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.core.paths import on_one_line
from korrigo_backup.errors import Cancelled, KorrigoBackupError, Locked, NotFound, PartlyDone, Refused, UsageError
from korrigo_backup.requests.host import A_DAY, AN_HOUR, end_request, forget_old, journal_look, room_for_more
from korrigo_backup.requests.looks import look
from korrigo_backup.requests.model import BringBackRequest, LookRequest, State, WrongRequestError, plan_digest
from korrigo_backup.requests.records import (
    DIRECTORY,
    RequestRecord,
    find_record,
    forget_record,
    read_records,
    write_record,
)
from korrigo_backup.rescue.points import dump_named
from korrigo_backup.rescue.undelete import UndeleteOptions, undelete
from korrigo_backup.rescue.undelete_plan import UndeletePlan
from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome
from korrigo_backup.site.erasures import erased_from
from korrigo_backup.system.lock import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable

    from korrigo_backup.requests.host import RequestHost
    from korrigo_backup.requests.model import Request

AT_ONCE = 20
"""Requests that a run takes."""

_AHEAD = timedelta(minutes=5)
"""How far the site's clock may be ahead."""


@dataclass(frozen=True)
class Round:
    """The result of a run: the records of the requests that it took, the number of those left for later, the reason."""

    handled: tuple[RequestRecord, ...]
    left: int = 0
    why: str = ""


def handle_requests(host: RequestHost) -> Round:
    """Take the requests that wait, the oldest first; a single run does so at a time (Locked)."""
    host.spool.require()
    with exclusive(host.catalog.directory / f"{DIRECTORY}.lock", "requests"):
        forget_old(host)
        _end_interrupted(host)
        pending, _strange = host.spool.pending()
        room = room_for_more(host)
        handled = list[RequestRecord]()
        for id_ in pending[: min(AT_ONCE, room)]:
            try:
                handled.append(_handle(host, id_))
            except Locked as problem:
                return Round(tuple(handled), len(pending) - len(handled), problem.message)
        left = len(pending) - len(handled)
        why = f"{AN_HOUR} requests an hour and {A_DAY} a day are taken" if left and room < AT_ONCE else ""
        return Round(tuple(handled), left, why)


def approve(
    host: RequestHost, id_: str, confirm: Callable[[UndeletePlan], bool]
) -> tuple[RequestRecord, UndeletePlan | None]:
    """Carry out a request that waits for a person; return its new record and the plan that was made now.

    `confirm` is asked with the plan, if the site has shown this plan. Raises Cancelled without its yes.
    """
    host.spool.require()
    with exclusive(host.catalog.directory / f"{DIRECTORY}.lock", "requests"):
        record = waiting_record(host, id_)
        if host.now() - record.received > host.rules.expire:
            return end_request(host, record, State.REFUSED, "it has expired"), None
        return _carry_out(host, record, confirm)


def refuse(host: RequestHost, id_: str, reason: str) -> RequestRecord:
    """Refuse a request that waits for a person, for a reason that its user reads."""
    host.spool.require()
    with exclusive(host.catalog.directory / f"{DIRECTORY}.lock", "requests"):
        record = waiting_record(host, id_)
        return end_request(host, record, State.REFUSED, f"refused by {journal.user()}: {on_one_line(reason)}")


def waiting_record(host: RequestHost, id_: str) -> RequestRecord:
    """Return the record of a request that waits for a person, by its id or the beginning of it; raises NotFound."""
    waiting = [one for one in read_records(host.catalog.directory, host.site.name) if one.state is State.WAITING]
    found = [one for one in waiting if one.id.startswith(id_)] if id_ else []
    hint = "korrigo-backup requests list shows the ids"
    if not found:
        raise NotFound(f"no request with the id {id_!r} waits for approval", hint=hint, id_="requests.absent")
    if len(found) > 1:
        raise UsageError(f"several requests that wait for approval begin with {id_!r}", hint=hint)
    return found[0]


def _end_interrupted(host: RequestHost) -> None:
    """Answer the requests whose run has died: they are not tried again."""
    for record in read_records(host.catalog.directory, host.site.name):
        if record.state is State.TAKEN:
            words = "the run that worked on it was interrupted: a new plan shows what is still missing"
            end_request(host, record, State.REFUSED, words)


def _handle(host: RequestHost, id_: str) -> RequestRecord:
    former = find_record(host.catalog.directory, id_)
    if former is not None:
        host.spool.remove(id_)
        return former  # sent again: once is enough
    record = RequestRecord(id=id_, wants="", by="", received=host.now(), site=host.site.name)
    try:
        request = host.spool.read(id_)
    except (WrongRequestError, FileNotFoundError) as problem:
        why = str(problem) if isinstance(problem, WrongRequestError) else "it is gone"
        ended = end_request(host, record, State.REFUSED, why)
        host.spool.remove(id_)
        return ended
    record = _taken(record, request)
    write_record(host.catalog.directory, record)
    try:
        _require_fresh(host, request)
        match request:
            case BringBackRequest():
                ended = _bring_back(host, record, request)
            case LookRequest():
                ended = _look(host, record, request)
            case _:
                ended = _plan(host, record)
    except Locked:
        forget_record(host.catalog.directory, id_)
        raise
    except KorrigoBackupError as problem:
        ended = end_request(host, record, State.REFUSED, problem.message, problem.hint)
    host.spool.remove(id_)
    return ended


def _taken(record: RequestRecord, request: Request) -> RequestRecord:
    by = on_one_line(request.by)
    if isinstance(request, BringBackRequest):
        return replace(record, wants="bring_back", by=by, digest=request.digest, of=request.plan)
    if isinstance(request, LookRequest):
        about = f"{request.table}:{request.key}" if request.key else f"{request.table}, page {request.page}"
        return replace(record, wants="look", by=by, backup=request.backup, objects=(about,))
    return replace(record, wants="plan", by=by, backup=request.backup, objects=request.objects, skip=request.skip)


def _require_fresh(host: RequestHost, request: Request) -> None:
    age = host.now() - request.asked
    if age > host.rules.expire:
        raise Refused("it has expired", hint="ask again")
    if age < -_AHEAD:
        raise Refused("it is of a time to come: the clocks of site and host differ", hint="set both clocks")


def _plan(host: RequestHost, record: RequestRecord) -> RequestRecord:
    """Make the plan and answer with it; the look is journaled."""
    _require_known(host, record.backup)
    began = host.now()
    plan = undelete(host.site, host.catalog, _options(record, dry_run=True), now=began, confirm=lambda _: False)
    journal_look(host, record, "look", Outcome.DONE, "")
    return end_request(host, record, State.PLANNED, plan=plan, journaled=True)


def _look(host: RequestHost, record: RequestRecord, request: LookRequest) -> RequestRecord:
    """Answer with rows of a backup; the look is journaled."""
    if not host.rules.looks:
        raise Refused("the operator of the host lets nobody look into backups from the admin", hint="[requests] looks")
    _require_known(host, record.backup)
    dump = dump_named(host.catalog, record.backup)
    found = look(dump, request, erased_from(host.site, dump))
    journal_look(host, record, "look", Outcome.DONE, "a search" if request.words else "")  # the words may be a name
    return end_request(host, record, State.SHOWN, found=found, journaled=True)


def _bring_back(host: RequestHost, record: RequestRecord, request: BringBackRequest) -> RequestRecord:
    shown = find_record(host.catalog.directory, request.plan)
    if shown is None or shown.site != host.site.name or not shown.has_shown_plan:
        raise Refused("no plan of that request was shown, or it is too old", hint="make a new plan")
    if shown.digest != request.digest:
        raise Refused("the plan that was shown is another one", hint="make a new plan")
    record = replace(record, backup=shown.backup, objects=shown.objects, skip=shown.skip)
    _require_known(host, record.backup)
    if host.rules.ask:
        write_record(host.catalog.directory, record)
        return end_request(host, record, State.WAITING, "the operator of the host has to approve it")
    return _carry_out(host, record, lambda _: True)[0]


def _carry_out(
    host: RequestHost, record: RequestRecord, confirm: Callable[[UndeletePlan], bool]
) -> tuple[RequestRecord, UndeletePlan | None]:
    """Undelete if the plan that is made now has the digest of the plan that was shown."""
    made = list[UndeletePlan]()

    def same(plan: UndeletePlan) -> bool:
        made.append(plan)
        agreed = plan_digest(plan) == record.digest and confirm(plan)
        if agreed:
            write_record(host.catalog.directory, replace(record, state=State.TAKEN))
        return agreed

    try:
        plan = undelete(host.site, host.catalog, _options(record), now=host.now(), confirm=same, listen=host.listen)
    except Locked:
        write_record(host.catalog.directory, record)
        raise
    except Cancelled:
        if not made or plan_digest(made[0]) == record.digest:  # the operator said no
            write_record(host.catalog.directory, record)
            raise
        words = "the plan has changed since it was shown: this is the new one"
        return end_request(host, record, State.CHANGED, words, plan=made[0]), made[0]
    except PartlyDone as problem:  # the rows and files are back
        return end_request(host, record, State.DONE, problem.message, problem.hint, plan=made[0]), made[0]
    except KorrigoBackupError as problem:
        return end_request(host, record, State.REFUSED, problem.message, problem.hint), None
    return end_request(host, record, State.DONE, plan=plan, journaled=True), plan


def _options(record: RequestRecord, *, dry_run: bool = False) -> UndeleteOptions:
    return UndeleteOptions(
        objects=record.objects, source=record.backup, skip=record.skip, dry_run=dry_run, why=_why(record)
    )


def _why(record: RequestRecord) -> dict[str, str]:
    return {"asked by": f"{record.by} (admin)", "request": record.id}


def _require_known(host: RequestHost, name: str) -> None:
    """Raise NotFound unless a backup of this site has exactly this name: a name that means another is none."""
    if not any(one.ours and one.name == name for one in host.catalog.artifacts()):
        raise NotFound(f"this site has no backup {name}", hint="korrigo-backup list shows the backups")
