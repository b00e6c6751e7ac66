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

from korrigo_backup.core.paths import on_one_line, printable
from korrigo_backup.errors import KorrigoBackupError, Locked, NotFound, Refused, UsageError
from korrigo_backup.requests.bring_back import bring_back, carry_out, end_by, shown_record, undelete_options
from korrigo_backup.requests.host import (
    A_DAY,
    AN_HOUR,
    answer_taken,
    end_request,
    forget_old,
    journal_look,
    room_for_more,
)
from korrigo_backup.requests.interrupted import settle_interrupted
from korrigo_backup.requests.known import require_known
from korrigo_backup.requests.looks import look
from korrigo_backup.requests.model import BringBackRequest, FileRequest, LookRequest, State, WrongRequestError, path_of
from korrigo_backup.requests.previews import list_files, read_file
from korrigo_backup.requests.records import (
    DIRECTORY,
    RequestRecord,
    find_record,
    forget_record,
    read_records,
    write_record,
)
from korrigo_backup.requests.withdraw import withdraw_erased
from korrigo_backup.rescue.points import rows_named
from korrigo_backup.rescue.steps.possible import require_not_erased
from korrigo_backup.rescue.steps.transaction import EndUnknown
from korrigo_backup.rescue.undelete import undelete
from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome
from korrigo_backup.system.lock import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from korrigo_backup.requests.host import RequestHost
    from korrigo_backup.requests.model import Request
    from korrigo_backup.rescue.undelete_plan import UndeletePlan

RUN, APPROVE, REFUSE = "requests run", "requests approve", "requests refuse"
"""The words of the commands in the lock."""

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
    """Take the requests that wait, the oldest first; a single run does so at a time (Locked).

    They are left for later while a person approves one.
    """
    host.spool.require()
    try:
        with _locked(host, RUN):
            waits = settle_interrupted(host)
            forget_old(host.spool, host.catalog.directory, host.site.name, host.now())
            withdraw_erased(host.spool, host.catalog.directory, host.site.ledger)
            return _take(host, waits)
    except Locked as problem:
        if problem.doing in {APPROVE, REFUSE}:
            return Round((), len(host.spool.pending()[0]), problem.message)
        raise


def _take(host: RequestHost, waits: Mapping[str, KorrigoBackupError]) -> Round:
    """Take the requests that wait but for some, each with the reason."""
    pending = [id_ for id_ in host.spool.pending()[0] if id_ not in waits]
    taken = {one.id for one in read_records(host.catalog.directory, host.site.name) if one.state is State.TAKEN}
    again = [id_ for id_ in pending if id_ in taken]
    room = room_for_more(host)
    fresh = [id_ for id_ in pending if id_ not in taken][: min(AT_ONCE, room)]
    handled = list[RequestRecord]()
    for id_ in (*again, *fresh):
        try:
            handled.append(_handle(host, id_))
        except (Locked, EndUnknown) as problem:
            return Round(tuple(handled), len(waits) + len(pending) - len(handled), problem.message)
    left = len(pending) - len(handled)
    why = f"{AN_HOUR} requests an hour and {A_DAY} a day are taken" if left and room < AT_ONCE else ""
    return Round(tuple(handled), left + len(waits), next((one.message for one in waits.values()), why))


def _locked(host: RequestHost, doing: str) -> AbstractContextManager[None]:
    return exclusive(host.catalog.directory / f"{DIRECTORY}.lock", doing)


def approve(
    host: RequestHost, id_: str, confirm: Callable[[UndeletePlan], bool]
) -> tuple[RequestRecord, UndeletePlan | None]:
    """Carry out a request that waits for a person; return its new record and the plan that was made now.

    `confirm` is asked with the plan, if the site has shown this plan. Raises Cancelled without its yes.
    """
    host.spool.require()
    with _locked(host, APPROVE):
        record = _decided_record(host, id_)
        if host.now() - record.received > host.rules.expire:
            return end_request(host, record, State.REFUSED, "it has expired"), None
        return carry_out(host, record, confirm)


def plan_again(host: RequestHost, id_: str) -> tuple[RequestRecord, UndeletePlan]:
    """Return a request that waits for a person, and its plan as it is made now. Nothing is changed."""
    record = waiting_record(host, id_)
    if host.now() - record.received > host.rules.expire:
        raise Refused("it has expired", hint="its user may ask again", id_="requests.refused")
    options = undelete_options(record, dry_run=True)
    return record, undelete(host.site, host.catalog, options, now=host.now(), confirm=lambda _: False)


def refuse(host: RequestHost, id_: str, reason: str) -> RequestRecord:
    """Refuse a request that waits for a person, for a reason that its user reads."""
    host.spool.require()
    with _locked(host, REFUSE):
        record = _decided_record(host, id_)
        return end_request(host, record, State.REFUSED, f"refused by {journal.user()}: {on_one_line(reason)}")


def _decided_record(host: RequestHost, id_: str) -> RequestRecord:
    """Return the record of a request that waits for a person, after a dead run, too; raises also the reason to wait."""
    waits = settle_interrupted(host)
    for one in (problem for taken, problem in waits.items() if id_ and taken.startswith(id_)):
        raise one
    return waiting_record(host, id_)


def waiting_record(host: RequestHost, id_: str) -> RequestRecord:
    """Return the record of a request that waits for a person, by its id or the beginning of it; raises NotFound."""
    waiting = [one for one in read_records(host.catalog.directory, host.site.name) if one.state is State.WAITING]
    found = [one for one in waiting if one.id.startswith(id_)] if id_ else []
    hint = "korrigo-backup requests list shows the ids"
    if not found:
        ended = [one.state for one in read_records(host.catalog.directory, host.site.name) if one.id.startswith(id_)]
        why = f": it is {ended[0]}" if id_ and len(ended) == 1 else ""
        raise NotFound(f"no request with the id {id_!r} waits for approval{why}", hint=hint, id_="requests.absent")
    if len(found) > 1:
        raise UsageError(f"several requests that wait for approval begin with {id_!r}", hint=hint)
    return found[0]


def _handle(host: RequestHost, id_: str) -> RequestRecord:
    former = find_record(host.catalog.directory, id_)
    if former is not None and former.state is not State.TAKEN:
        host.spool.remove(id_)
        return former  # sent again: once is enough
    received, tries = (former.received, former.tries) if former else (host.now(), 0)
    record = RequestRecord(id=id_, wants="", by="", received=received, site=host.site.name, tries=tries + 1)
    try:
        request = host.spool.read(id_)
    except (WrongRequestError, FileNotFoundError) as problem:
        why = str(problem) if isinstance(problem, WrongRequestError) else "it is gone"
        ended = end_request(host, record, State.REFUSED, why)
        host.spool.remove(id_)
        return ended
    record = _taken(host, record, request)
    write_record(host.catalog.directory, record)
    answer_taken(host, record)
    try:
        _require_fresh(host, request)
        match request:
            case BringBackRequest():
                ended = bring_back(host, record, request)
            case LookRequest():
                ended = _look(host, record, request)
            case FileRequest():
                ended = _preview(host, record, request)
            case _:
                ended = _plan(host, record)
    except Locked:
        host.spool.forget_answer(id_)
        forget_record(host.catalog.directory, id_)
        raise
    except EndUnknown:
        raise
    except KorrigoBackupError as problem:
        ended = end_request(host, record, end_by(problem), problem.message, problem.hint)
    host.spool.remove(id_)
    return ended


def _taken(host: RequestHost, record: RequestRecord, request: Request) -> RequestRecord:
    by = on_one_line(request.by)
    if isinstance(request, BringBackRequest):
        record = replace(record, wants="bring_back", by=by, digest=request.digest, of=request.plan)
        shown = shown_record(host, request)
        return replace(record, backup=shown.backup, objects=shown.objects, skip=shown.skip) if shown else record
    if isinstance(request, LookRequest):
        about = f"{request.table}:{request.key}" if request.key else f"{request.table}, page {request.page}"
        return replace(record, wants="look", by=by, backup=request.backup, objects=(about,))
    if isinstance(request, FileRequest):
        about = printable(path_of(request.path))[:300] if request.path else f"page {request.page}"
        return replace(record, wants="file", by=by, backup=request.backup, objects=(f"files: {about}",))
    return replace(record, wants="plan", by=by, backup=request.backup, objects=request.objects, skip=request.skip)


def _require_fresh(host: RequestHost, request: Request) -> None:
    age = host.now() - request.asked
    if age > host.rules.expire:
        raise Refused("it has expired", hint="ask again")
    if age < -_AHEAD:
        raise Refused("it is of a time to come: the clocks of site and host differ", hint="set both clocks")


def _plan(host: RequestHost, record: RequestRecord) -> RequestRecord:
    """Make the plan and answer with it; the look is journaled."""
    require_known(host.catalog, record.backup)
    began = host.now()
    plan = undelete(host.site, host.catalog, undelete_options(record, dry_run=True), now=began, confirm=lambda _: False)
    require_not_erased(plan)
    journal_look(host, record, "look", Outcome.DONE, "")
    return end_request(host, record, State.PLANNED, plan=plan, journaled=True)


def _look(host: RequestHost, record: RequestRecord, request: LookRequest) -> RequestRecord:
    """Answer with rows of a backup; the look is journaled."""
    if not host.rules.looks:
        raise Refused("the operator of the host lets nobody look into backups from the admin", hint="[requests] looks")
    require_known(host.catalog, record.backup)
    found = look(host.site, rows_named(host.catalog, record.backup), request)
    journal_look(host, record, "look", Outcome.DONE, "a search" if request.words else "")  # the words may be a name
    return end_request(host, record, State.SHOWN, found=found, journaled=True)


def _preview(host: RequestHost, record: RequestRecord, request: FileRequest) -> RequestRecord:
    """Answer with a file of a backup, or with a list of its files; the look is journaled."""
    if not host.rules.previews:
        raise Refused(
            "the operator of the host lets nobody look at files of backups from the admin", hint="[requests] previews"
        )
    require_known(host.catalog, record.backup)
    if not request.path:
        found = list_files(host.site, host.catalog, request)
        journal_look(host, record, "look", Outcome.DONE, "a search" if request.words else "")
        return end_request(host, record, State.SHOWN, found=found, journaled=True)
    shown, content = read_file(host.site, host.catalog, request)
    journal_look(host, record, "look", Outcome.DONE, "its content")
    host.spool.answer_file(record.id, content)
    return end_request(host, record, State.SHOWN, file=shown, journaled=True)
