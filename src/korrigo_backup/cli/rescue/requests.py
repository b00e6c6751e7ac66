"""`korrigo-backup requests`: requests of the site's admin to the host, carried out under the operator's rules."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, ask_yes, in_language, narrator, say, say_json, say_table
from korrigo_backup.cli.program.commands import Actions
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, Yes, say_unchanged
from korrigo_backup.cli.undelete import QUESTION, say_undelete_plan
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.paths import on_one_line
from korrigo_backup.errors import Interrupted, Refused, UsageError
from korrigo_backup.requests.handle import approve, handle_requests, plan_again, refuse, waiting_record
from korrigo_backup.requests.host import RequestHost, RequestRules, has_work
from korrigo_backup.requests.model import State, plan_digest
from korrigo_backup.requests.records import read_records
from korrigo_backup.requests.spool import Spool
from korrigo_backup.rescue.steps.possible import require_possible
from korrigo_backup.run.step import UndeleteStep

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.requests.records import RequestRecord
    from korrigo_backup.rescue.undelete_plan import UndeletePlan

_PAUSE = 2.0
"""Seconds between two looks of `--watch`."""

_SELDOM = 30.0
"""Seconds between two rounds of `--watch` without a request: old answers go, the admin sees that the host looks."""

_SHOWN = 8
"""Letters of an id that are shown."""

_WANTS = {"plan": "make a plan for", "bring_back": "bring back", "look": "look at rows:", "file": "look at media:"}
"""The words of the kinds of requests."""

_MARKS = {State.REFUSED: "❌", State.FAILED: "❌", State.CHANGED: "⚠️", State.WAITING: "⏳"}

_ID = Annotated[str, typer.Argument(metavar="ID", help="The id of a request, or its beginning: requests list.")]


def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """List the requests of the last days, and those that nobody has taken yet."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    pending, strange = _spool(wired).pending()
    records = read_records(wired.catalog.directory, wired.config.site.name)
    if as_json:
        say_json("requests", {"requests": records, "pending": len(pending), "strange": strange})
        return
    if records:
        say_table(("ID", "RECEIVED", "BY", "WANTS", "STATE"), [_row(one) for one in records], data={"BY", "WANTS"})
    say(f"{counted(len(pending), 'request')} not taken yet")
    if strange:
        say(f"⚠️ {strange} other files in the directory of the requests")


def run(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch/--once", help="Go on until ended; default: once.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Take the requests: plans are answered, what is brought back waits for approval unless the rules say auto."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    spool = _spool(wired)
    spool.require()
    if dry_run:
        pending, _ = spool.pending()
        add_to_document(pending=pending)
        say(f"{counted(len(pending), 'request')} would be taken")
        say_unchanged()
        return
    last = float("-inf")
    try:
        while True:
            if spool.pending()[0] or time.monotonic() - last >= _SELDOM:
                last = time.monotonic()
                if has_work(spool, wired.catalog.directory, wired.config.site.name, local_now()):
                    _round(wired, spool)
            if not watch:
                return
            time.sleep(_PAUSE)
    except Interrupted:
        if not watch:
            raise
        say("⏹️  ended")


def approve_(
    context: typer.Context,
    id_: _ID,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Carry out a request that waits: its plan is made again, and refused if it is not the one that was shown."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    host = _host(wired, _spool(wired))
    if dry_run:
        _say_planned(*plan_again(host, id_))
        return

    def confirm(plan: UndeletePlan) -> bool:
        say_undelete_plan(plan)
        return yes or ask_yes(QUESTION)

    record, plan = approve(host, id_, confirm)
    add_to_document(request=record, plan=plan)
    if record.state is State.CHANGED and plan:
        say_undelete_plan(plan)
    if record.state is not State.DONE:
        raise Refused(
            f"the request was not carried out: {record.message}",
            hint="its user sees this in the admin, and may ask again",
            id_="requests.refused",
        )
    say(f"✅ {counted(plan.count if plan else 0, 'row')} brought back, each as in the backup")
    say("   to undo it: korrigo-backup rollback")


def _say_planned(waiting: RequestRecord, plan: UndeletePlan) -> None:
    """Print the plan of a request as it is now. Raises Refused if the site has shown another plan, or for a conflict.

    The site has then to make a new plan: its user has not seen this one.
    """
    add_to_document(request=waiting, plan=plan)
    say_undelete_plan(plan)
    if plan_digest(plan) != waiting.digest:
        raise Refused(
            "the plan has changed since it was shown: this is the new one",
            hint="requests approve shows it to its user, and brings nothing back",
            id_="requests.refused",
        )
    require_possible(plan)
    say(f"{_words(waiting)} would be carried out")
    say_unchanged()


def refuse_(
    context: typer.Context,
    id_: _ID,
    reason: Annotated[str, typer.Option(help="Why; the user of the admin reads it.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Refuse a request that waits for approval."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    if not on_one_line(reason):
        raise UsageError("a refusal needs a reason", hint='add --reason "…": its user reads it')
    host = _host(wired, _spool(wired))
    if dry_run:
        waiting = _words(waiting_record(host, id_))
        say(f"{waiting} would be refused")
        say_unchanged()
        return
    record = refuse(host, id_, reason)
    add_to_document(request=record)
    say(f"✅ {_words(record)} is refused")


ACTIONS = Actions(
    {"list": list_, "run": run, "approve": approve_, "refuse": refuse_},
    default="list",
    help="""Take the requests of Django's admin: plan an undelete, carry out a plan that was shown.

    They come through the directory of [requests]. What is brought back waits for approval unless approve is auto.
    """,
)


def _spool(wired: Wired) -> Spool:
    spool = wired.requests_spool()
    if spool is None:
        raise UsageError(
            "no directory of requests is configured",
            hint="set [requests] directory: docs/how-to/bring-back-from-the-admin.md",
            id_="requests.unset",
        )
    return spool


def _host(wired: Wired, spool: Spool) -> RequestHost:
    section = wired.config.requests
    rules = RequestRules(
        ask=section.approve == "ask",
        looks=section.looks,
        previews=section.previews,
        expire=timedelta(seconds=section.expire),
    )
    return RequestHost(wired.site(), wired.catalog, spool, rules, local_now, narrator(UndeleteStep))


def _round(wired: Wired, spool: Spool) -> None:
    done = handle_requests(_host(wired, spool))
    add_to_document(handled=done.handled, left=done.left)
    for record in done.handled:
        mark = _MARKS.get(record.state, "✅")
        say(f"{mark} {_words(record)}: {record.state}")
        if record.message:
            say(f"   {record.message}")
        if record.state is State.WAITING:
            say(f"   korrigo-backup requests approve {record.id[:_SHOWN]}")
    if done.left:
        say(f"⚠️ {counted(done.left, 'request')} left for later{f': {done.why}' if done.why else ''}")


def _words(record: RequestRecord) -> str:
    number, by = record.id[:_SHOWN], record.by or "an unknown user"
    if record.objects:
        return f"request {number} by {by} about {on_one_line(first_of(record.objects))}"
    return f"request {number} by {by}"


def _row(record: RequestRecord) -> tuple[str, ...]:
    wants = in_language(_WANTS.get(record.wants, record.wants))
    if record.objects:
        wants = f"{wants} {first_of(record.objects)}"
    received = f"{record.received.astimezone():%Y-%m-%d %H:%M}"
    return (record.id[:_SHOWN], received, record.by, on_one_line(wants), record.state)
