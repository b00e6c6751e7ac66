"""`korrigo-backup canary`: the newest backups against the site's own history, and the end of an alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.canary.alarm import accept, read_facts
from korrigo_backup.canary.evaluate import is_alarm, lowest, usual
from korrigo_backup.canary.watch import alarms, findings, watch
from korrigo_backup.cli.output import CommandContext, in_language, say, say_findings, say_json, say_table
from korrigo_backup.cli.program.commands import Actions
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, say_unchanged
from korrigo_backup.cli.program.names import find_artifact
from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Level, error, headline
from korrigo_backup.core.paths import on_one_line
from korrigo_backup.errors import NotFound, ProblemsFound, Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.canary.model import HistoryComparison, SavedCounts, Watch
    from korrigo_backup.status.model import Facts

_OWN = frozenset({"files", "bytes"})
"""The numbers whose names are ours; the others are tables."""

_ROWS = 15
"""Tables that are shown, those with the largest change first; `--json` has all."""


def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Compare the newest backups with the site's own history. Exit 10 for an alarm."""
    _, facts, watched = _watched(context)
    found = findings(facts, watched)
    if as_json:
        say_json("canary", {"alarm": is_alarm(found), "watched": [_document(one) for one in watched]})
    else:
        for one in watched:
            _say(one)
        if not watched:
            say("there is no good backup to compare: korrigo-backup status says why")
        say_findings([one for one in found if one.id == "canary.stands"])
        say_findings([error("status.holds", *facts.held_unread)] if facts.held_unread else [])
    if is_alarm(found):
        raise ProblemsFound(headline(found), hint=found[0].hint)


def accept_(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="The backup that is as it should be; default: those of the alarm.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why its content is right; the journal keeps it.")] = None,
    dry_run: DryRun = False,
) -> None:
    """End an alarm: the new state is the usual one from now on."""
    wired, facts, watched = _watched(context)
    _accept(wired, facts, watched, name, reason, dry_run=dry_run)


ACTIONS = Actions(
    {"show": show, "accept": accept_},
    default="show",
    help="""Compare the newest backups with the site's own history, or end an alarm.

    An alarm keeps the last calm backup, as a hold does, until a person accepts the new state.
    """,
)


def _watched(context: typer.Context) -> tuple[Wired, Facts, Sequence[Watch]]:
    wired: Wired = context.ensure_object(CommandContext).wired()
    facts = read_facts(wired.catalog, wired.config.site.name, wired.config.site.environment, now=local_now())
    return wired, facts, watch(facts, accept=wired.config.status.accept)


def _accept(
    wired: Wired, facts: Facts, watched: Sequence[Watch], name: str | None, reason: str | None, *, dry_run: bool
) -> None:
    if facts.held_unread:
        raise Refused(facts.held_unread[0], hint=facts.held_unread[1])
    if not reason or not on_one_line(reason):
        raise UsageError("an alarm ends for a reason", hint='add --reason "…": the journal keeps it')
    if name is not None:
        names = [find_artifact(wired, name).name]
        if names[0] not in {artifact.name for artifact in facts.artifacts}:
            raise UsageError(f"{name} is not in {wired.catalog.directory}", hint="the names: korrigo-backup list")
    else:
        names = [one.name for one in watched if is_alarm(one.findings)]
        names = names or [one.name for one in watched if alarms(facts)]
    if not names:
        raise NotFound("no alarm of the canary stands", hint="korrigo-backup canary shows the comparison")
    add_to_document(accepted=names)
    if dry_run:
        for one in names:
            say(f"{one} would be the usual state")
        say_unchanged()
        return
    for one in names:
        ended = accept(wired.catalog, wired.site(), one, reason=on_one_line(reason), now=local_now())
        say(f"✅ {one} is the usual state from now on")
        for hold in ended:
            say(f"✅ {hold.name} is no longer {hold.described()}")


def _say(one: Watch) -> None:
    label, seen = KINDS[one.kind].label, one.compared
    if seen is None or not seen.history:
        say(f"{label}: {one.name}, no backup before it is compared")
        return
    say(
        f"{label}: {one.name}, compared with {counted(len(seen.history), 'calm backup')},"
        f" the last {seen.history[0].name}"
    )
    changed = sorted(_changes(seen), key=lambda row: -abs(row[1] - row[2]))[:_ROWS]
    if changed:
        cells = [
            (in_language(row[0]) if row[0] in _OWN else row[0], *(f"{number:,.0f}" for number in row[1:]))
            for row in changed
        ]
        say_table(("CHANGED", "NOW", "LAST", "USUAL", "LOWEST"), cells, data={"CHANGED"})
    say_findings(one.findings)
    if not any(finding.level is not Level.OK for finding in one.findings):
        say("✅ as usual")


def _changes(seen: HistoryComparison) -> list[tuple[str, int, int, float, int]]:
    """Return each number of the newest backup that is not that of the last: name, now, last, usual, lowest."""
    newest, last = seen.newest, seen.history[0]
    found = []
    for name, now in _numbers(newest).items():
        values = [(state, value) for state in seen.history if (value := _numbers(state).get(name)) is not None]
        before = _numbers(last).get(name)
        if values and before is not None and before != now:
            found.append((name, now, before, usual(values, newest), lowest(values, newest)))
    return found


def _numbers(state: SavedCounts) -> dict[str, int]:
    media = {"files": state.files, "bytes": state.bytes}
    return {**state.rows, **{name: value for name, value in media.items() if value is not None}}


def _document(one: Watch) -> dict[str, object]:
    seen = one.compared
    return {
        "kind": one.kind,
        "name": one.name,
        "alarm": is_alarm(one.findings),
        "calm": one.calm,
        "compared": [state.name for state in seen.history] if seen else [],
        "changes": [
            {"name": name, "now": now, "last": last, "usual": median, "lowest": low}
            for name, now, last, median, low in (_changes(seen) if seen and seen.history else ())
        ],
        "findings": one.findings,
    }
