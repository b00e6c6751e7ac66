"""`korrigo-backup checklist`: the runbook's checklists, answered with evidence."""

from __future__ import annotations

from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.app.build_status import status
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, say, say_json
from korrigo_backup.cli.status.status import say_contacts
from korrigo_backup.errors import ProblemsFound
from korrigo_backup.status.checklists.answer import AnswerState
from korrigo_backup.status.checklists.collect import checklist

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.app.build import Wired
    from korrigo_backup.status.checklists.answer import Answer

_MARKS = {AnswerState.YES: "✅", AnswerState.NO: "❌", AnswerState.ASK: "❓ a person:"}


class List(StrEnum):
    """The checklists of the runbook."""

    DAILY = "daily"
    RELEASE = "release"


_SECTIONS = {List.DAILY: "9.2", List.RELEASE: "6.7"}


def command(
    context: typer.Context,
    name: Annotated[List, typer.Argument(help="daily (runbook 9.2) or release (runbook 6.7).")] = List.DAILY,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Answer a checklist of the runbook, each point with its evidence. Exit 10 when a point is not met."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    now, people = local_now(), wired.config.contacts.people
    answers = checklist(
        name,
        status(wired, now=now, ask=False),
        channels=len(wired.announcer().channels),
        people=len(people),
    )
    open_points = [answer for answer in answers if answer.state is AnswerState.NO]
    if as_json:
        say_json("checklist", {"name": name, "met": not open_points, "answers": answers})
    else:
        say(f"📋 Checklist {name} (runbook {_SECTIONS[name]}) of {wired.config.site.name}, {now:%Y-%m-%d %H:%M %Z}")
        _say(answers)
    if open_points:
        if not as_json:
            say_contacts(people)
        points = "; ".join(one.point for one in open_points)
        raise ProblemsFound(
            f"{len(open_points)} of {len(answers)} points {'is' if len(open_points) == 1 else 'are'} not met: {points}",
            hint="; ".join(dict.fromkeys(one.hint for one in open_points if one.hint)),
        )


def _say(answers: Iterable[Answer]) -> None:
    for group, points in groupby(answers, key=lambda answer: answer.group):
        say(f"\n{group}")
        for answer in points:
            say(f"{_MARKS[answer.state]} {answer.point}: {answer.evidence}")
            if answer.hint:
                say(f"   hint: {answer.hint}")
