"""A plan that was shown is carried out, if it is still the same: the undelete of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.errors import Cancelled, KorrigoBackupError, Locked, NotFound, PartlyDone, Refused, UsageError
from korrigo_backup.requests.host import end_request
from korrigo_backup.requests.interrupted import REQUEST
from korrigo_backup.requests.known import require_known
from korrigo_backup.requests.model import State, plan_digest
from korrigo_backup.requests.records import find_record, write_record
from korrigo_backup.rescue.steps.transaction import EndUnknown
from korrigo_backup.rescue.undelete import UndeleteOptions, undelete
from korrigo_backup.rescue.undelete_plan import UndeletePlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from korrigo_backup.requests.host import RequestHost
    from korrigo_backup.requests.model import BringBackRequest
    from korrigo_backup.requests.records import RequestRecord


def end_by(problem: KorrigoBackupError) -> State:
    """Return how a request stands that ended with an error: not allowed, or not possible for now."""
    return State.REFUSED if isinstance(problem, Refused | UsageError | NotFound) else State.FAILED


def bring_back(host: RequestHost, record: RequestRecord, request: BringBackRequest) -> RequestRecord:
    """Carry out a plan, or let it wait for a person, as the rules say."""
    shown = shown_record(host, request)
    if shown is None:
        raise Refused("no plan of that request was shown, or it is too old", hint="make a new plan")
    if shown.digest != request.digest:
        raise Refused("the plan that was shown is another one", hint="make a new plan")
    require_known(host.catalog, record.backup)
    if host.rules.ask:
        return end_request(host, record, State.WAITING, "the operator of the host has to approve it")
    return carry_out(host, record, lambda _: True)[0]


def shown_record(host: RequestHost, request: BringBackRequest) -> RequestRecord | None:
    """Return the record of the request whose plan is to be carried out, None if no plan of it was shown."""
    shown = find_record(host.catalog.directory, request.plan)
    return shown if shown and shown.site == host.site.name and shown.has_shown_plan else None


def carry_out(
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
        plan = undelete(
            host.site, host.catalog, undelete_options(record), now=host.now(), confirm=same, listen=host.listen
        )
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
    except EndUnknown:  # it stays taken: the next run asks the server
        raise
    except KorrigoBackupError as problem:
        return end_request(host, record, end_by(problem), problem.message, problem.hint), None
    return end_request(host, record, State.DONE, plan=plan, journaled=True), plan


def undelete_options(record: RequestRecord, *, dry_run: bool = False) -> UndeleteOptions:
    """Return the options of the undelete that a request asks for."""
    return UndeleteOptions(
        objects=record.objects, source=record.backup, skip=record.skip, dry_run=dry_run, why=_why(record)
    )


def _why(record: RequestRecord) -> dict[str, str]:
    return {"asked by": f"{record.by} (admin)", REQUEST: record.id}
