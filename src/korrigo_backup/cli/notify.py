"""`korrigo-backup notify`: try the channels that notify people of a run, or notify them that no run has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.app.build_status import status
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, say, say_findings, say_json
from korrigo_backup.cli.program.commands import Actions
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.durations import seconds
from korrigo_backup.errors import UNCHANGED, PartlyDone, ProblemsFound, Unreachable, UsageError
from korrigo_backup.notify.event import Event, journal_tail
from korrigo_backup.notify.send import NOT_CONFIGURED
from korrigo_backup.run import journal
from korrigo_backup.status.attention import span

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.notify.send import Announcer, Notified

_MESSAGE = "this is a trial by korrigo-backup notify test: no backup has failed or succeeded"
_HINT = "correct the address in [notify] or .env, then try again: korrigo-backup notify test"
_BACK_UP = "korrigo-backup backup; then find the reason that the schedule did not run"
_HOUR = 3600


def trial(
    context: typer.Context,
    event: Annotated[Event, typer.Option(help="The event whose words are sent.")] = Event.SUCCESS,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Send a trial to every channel, and print each result.

    A channel gets it also if it is not subscribed to the event. Healthchecks gets it in its log: no check turns green
    or red. Exit 0: all took it, 3: some did, 8: none did.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    _test(wired, _announcer(wired), event, as_json=as_json)


def overdue(
    context: typer.Context,
    max_age: Annotated[
        str | None, typer.Option(metavar="TIME", help="The limit of age; default: [status] rpo_hours.")
    ] = None,
) -> None:
    """Notify, and exit with 10, when the newest good backup of the database is too old.

    It is for a schedule of its own, on which a run that never came has no influence.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    _tell_when_overdue(wired, _announcer(wired), max_age)


ACTIONS = Actions(
    {"test": trial, "overdue": overdue}, help="Try the channels of [notify], or notify them that a backup has not come."
)


def _announcer(wired: Wired) -> Announcer:
    announcer = wired.announcer()
    if announcer.silent:
        raise UsageError("no notification channel is configured", hint=NOT_CONFIGURED)
    return announcer


def _test(wired: Wired, announcer: Announcer, event: Event, *, as_json: bool) -> None:
    tail = journal_tail(journal.read(wired.catalog.directory))
    trial = announcer.notice(event, "backup", message=_MESSAGE, state=UNCHANGED, tail=tail, test=True)
    results = announcer.deliver(announcer.channels, trial)
    if as_json:
        say_json("notify", {"event": event, "channels": results})
    else:
        for one in results:
            say(f"❌ {one.channel}: {one.problem}" if one.problem else f"✅ {one.channel}: sent")
    _require_all(results)


def _tell_when_overdue(wired: Wired, announcer: Announcer, max_age: str | None) -> None:
    """Notify, and raise ProblemsFound, if no good backup of the database is young enough."""
    limit = wired.config.status.rpo_hours * _HOUR if max_age is None else seconds(max_age)
    if not limit:
        raise UsageError("the limit of a backup's age is not set", hint="set [status] rpo_hours, or give --max-age 26h")
    age = status(wired, now=local_now(), ask=False).age
    add_to_document(age=age, limit=limit)
    if age is not None and age <= limit:
        say(f"✅ The newest good backup of the database is {span(age)} old")
        return
    have = "there is none" if age is None else f"the newest is {span(age)} old"
    message = f"no good backup of the database in the last {span(int(limit))}: {have}"
    tail = journal_tail(journal.read(wired.catalog.directory))
    say_findings(announcer.tell(announcer.notice(Event.OVERDUE, "backup", message=message, hint=_BACK_UP, tail=tail)))
    raise ProblemsFound(message, hint=_BACK_UP)


def _require_all(results: tuple[Notified, ...]) -> None:
    failed = [one.channel for one in results if one.problem]
    if len(failed) == len(results):
        raise Unreachable("no channel took the notification", hint=_HINT)
    if failed:
        state = f"{len(results) - len(failed)} of {len(results)} took it"
        raise PartlyDone(f"not every channel took the notification: {', '.join(failed)}", hint=_HINT, state=state)
