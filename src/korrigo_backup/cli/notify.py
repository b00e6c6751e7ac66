"""`korrigo-backup notify`: try the channels that tell people how a run went."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.cli.announcing import NOT_CONFIGURED
from korrigo_backup.cli.output import Context, say, say_json
from korrigo_backup.domain.notice import Event, journal_tail
from korrigo_backup.errors import UNCHANGED, PartlyDone, Unreachable, UsageError
from korrigo_backup.operations import journal

if TYPE_CHECKING:
    from korrigo_backup.notify.announce import Told
    from korrigo_backup.wiring import Wired

_MESSAGE = "this is a trial by korrigo-backup notify test: nothing happened"
_HINT = "correct the address in [notify] or .env, then try again: korrigo-backup notify test"


class Action(StrEnum):
    """What is done with the channels."""

    TEST = "test"


def command(
    context: typer.Context,
    _action: Annotated[Action, typer.Argument(metavar="test", help="test: send a trial to every channel.")],
    event: Annotated[Event, typer.Option(help="The event whose words are sent.")] = Event.SUCCESS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Send a trial to every channel, whatever events it wants, and say what came of each.

    Healthchecks gets it in its log: no check turns green or red. Exit 0: all took it, 3: some did, 8: none did.
    """
    wired: Wired = context.ensure_object(Context).wired()
    announcer = wired.announcer()
    if announcer.silent:
        raise UsageError("nobody is configured to be told", hint=NOT_CONFIGURED)
    tail = journal_tail(journal.read(wired.catalog.directory))
    trial = announcer.notice(event, "backup", message=_MESSAGE, state=UNCHANGED, tail=tail, test=True)
    told = announcer.deliver(announcer.channels, trial)
    if as_json:
        say_json("notify", {"event": event, "channels": told})
    else:
        for one in told:
            say(f"❌ {one.channel}: {one.problem}" if one.problem else f"✅ {one.channel}: sent")
    _require_all(told)


def _require_all(told: tuple[Told, ...]) -> None:
    failed = [one.channel for one in told if one.problem]
    if len(failed) == len(told):
        raise Unreachable("no channel took the notification", hint=_HINT)
    if failed:
        state = f"{len(told) - len(failed)} of {len(told)} took it"
        raise PartlyDone(f"not every channel took the notification: {', '.join(failed)}", hint=_HINT, state=state)
