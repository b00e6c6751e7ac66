"""`korrigo-backup status`: how the backups stand, on one screen."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path  # noqa: TC003 - typer reads it when the verb runs
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import structs

from korrigo_backup.app.build_status import status
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.history import last_incident
from korrigo_backup.cli.output import CommandContext, say, say_data, say_findings, say_json, say_table
from korrigo_backup.cli.printed.undoable import undo_line
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.status.publish import write_status
from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Level, headline
from korrigo_backup.core.size import human
from korrigo_backup.errors import KorrigoBackupError, ProblemsFound
from korrigo_backup.status.attention import named, span
from korrigo_backup.status.copies import describe_copies
from korrigo_backup.status.nagios import UNKNOWN, plugin_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.history import Proof
    from korrigo_backup.config.unattended import Contact
    from korrigo_backup.status.model import Good, Status, TargetCopies


def command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
    nagios: Annotated[
        bool, typer.Option("--nagios", help="Print a line for a monitoring system, with its own exit codes 0 to 3.")
    ] = False,
    publish: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the status to FILE, for the page in Django's admin."),
    ] = None,
) -> None:
    """Show how the backups stand: last good, last proven, age, copies, space, next steps. Exit 10 for an error."""
    if nagios:
        raise typer.Exit(_as_plugin(context))
    wired: Wired = context.ensure_object(CommandContext).wired()
    found = write_status(wired, publish) if publish else status(wired, now=local_now(), ask=True)
    people = wired.config.contacts.people
    if as_json:
        say_json("status", {**found.document(), "contacts": [structs.asdict(person) for person in people]})
    else:
        say_status(found, people)
    require_calm(found)


def require_calm(found: Status) -> None:
    """Raise ProblemsFound for the most urgent error, if any."""
    bad = [finding for finding in found.attention if finding.level is Level.ERROR]
    if bad:
        raise ProblemsFound(headline(bad), hint=bad[0].hint, id_=bad[0].id)


def say_status(found: Status, people: Sequence[Contact]) -> None:
    """Print the screen."""
    say(_headline(found))
    for label, text in _lines(found):
        say(f"  {label:<10} {text}")
    if found.good:
        say("")
        say_table(
            ("NEWEST GOOD", "AGE", "SIZE", "CONTENT", "TOOK", "COUNT", "IN ALL"),
            [_row(g) for g in found.good],
            data={"NEWEST GOOD"},
        )
    if found.facts.strangers:
        say("")
        say(f"Not ours, never touched: {named([stranger.name for stranger in found.facts.strangers])}")
    if found.attention:
        say("")
        say("Needs attention:")
        say_findings(found.attention)
        say_contacts(people)


def say_contacts(people: Sequence[Contact]) -> None:
    """Print the contacts (runbook 9.3)."""
    if people:
        say("")
        say("Contacts:")
    for person in people:
        say(f"  {person.line}")


def _as_plugin(context: typer.Context) -> int:
    """Print the line and return the exit code; every fault of the configuration is UNKNOWN."""
    try:
        found = status(context.ensure_object(CommandContext).wired(), now=local_now(), ask=False)
    except KorrigoBackupError as problem:
        say_data(f"BACKUP UNKNOWN - {problem.message}")
        return UNKNOWN
    line, code = plugin_line(found)
    add_to_document(line=line, exit_code=code)
    say_data(line)
    return code


def _headline(found: Status) -> str:
    errors = sum(finding.level is Level.ERROR for finding in found.attention)
    warnings = len(found.attention) - errors
    name = f"{found.facts.site} ({found.facts.environment})"
    if errors:
        return f"❌ {name}: {errors} to do now, {warnings} to know"
    return f"⚠️ {name}: no errors, {warnings} to know" if warnings else f"✅ {name}: all is well"


def _target(target: TargetCopies, now: datetime) -> str:
    """Return how the copies on a target stand, in words."""
    if not target.copies:
        return "no copies so far: korrigo-backup copy"
    newest, read = target.copies[0], max((copy.read for copy in target.copies if copy.read), default=None)
    back = f"last read back from there {read.astimezone():%Y-%m-%d %H:%M}" if read else "never read back from there"
    return (
        f"{counted(len(target.copies), 'copy', 'copies')}, the last {newest.sent.astimezone():%Y-%m-%d %H:%M}"
        f" ({newest.name}); {back}"
        f"{_locks(target, now)}"
    )


def _locks(target: TargetCopies, now: datetime) -> str:
    """Return the retention of the copies as it was read back, in words; "" without any."""
    locked = [copy for copy in target.copies if copy.is_immutable(now)]
    ends = [copy.locked_until for copy in locked if copy.locked_until]
    reads = [copy.lock_read for copy in locked if copy.lock_read]
    if not ends or not reads:
        return ""
    return (
        f"; {len(locked)} immutable until {min(ends).astimezone():%Y-%m-%d} or later,"
        f" as the server said {max(reads).astimezone():%Y-%m-%d %H:%M}"
    )


def _lines(found: Status) -> Iterator[tuple[str, str]]:
    yield "backups", found.facts.directory
    yield "objective", _objective(found)
    yield "verified", _proof(found.verified, "never")
    yield "proven", _proof(found.proven, "never by a restore or a comparison")
    yield from _incident(found)
    yield "copies", describe_copies(found.copies)
    for target in found.facts.targets:
        yield target.name, _target(target, found.now)
    if found.space:
        space = found.space
        part = f"{human(space.free)} of {human(space.total)} free ({space.free_part:.0%})"
        yield "space", f"{part}, backups take {human(space.backups)}; {space.forecast}"
    if found.last_run:
        yield "last run", f"{found.last_run.astimezone():%Y-%m-%d %H:%M %Z}"
    if found.facts.next_run:
        yield "next run", f"{found.facts.next_run.astimezone():%Y-%m-%d %H:%M %Z}"
    if found.skipped:
        last, reason = found.skipped.last, found.skipped.reason and f": {found.skipped.reason}"
        yield (
            "skipped",
            f"{counted(found.skipped.count, 'point')} in 24 hours, the last {last.astimezone():%Y-%m-%d %H:%M}{reason}",
        )
    if found.facts.holder:
        yield "running", _in_local_time(found.facts.holder)
    if found.holds:
        yield "held", f"{len(found.holds)}: {named(list(dict.fromkeys(hold.name for hold in found.holds)))}"
    yield from _ways_back(found)
    if found.others:
        yield "others", f"{found.others} backups of another site or environment are not counted"


def _ways_back(found: Status) -> Iterator[tuple[str, str]]:
    """Yield the previous copies of restores, and the operations that can be undone before them."""
    if found.facts.kept:
        oldest = span(int((found.now - found.facts.kept[-1].at).total_seconds()))
        yield (
            "kept",
            (
                f"{counted(len(found.facts.kept), 'previous copy', 'previous copies')} of restores,"
                f" the oldest {oldest} old: korrigo-backup prune"
            ),
        )
    if found.facts.undoable:
        yield "undo", undo_line(found.facts.undoable)


def _in_local_time(text: str) -> str:
    """Return a text with its UTC times as the lines beside it have theirs: in this machine's zone, to the minute."""
    return re.sub(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00",
        lambda match: f"{datetime.fromisoformat(match[0]).astimezone():%Y-%m-%d %H:%M %Z}",
        text,
    )


def _objective(found: Status) -> str:
    age = "there is none" if found.age is None else f"the newest is {span(found.age)} old"
    hours = found.goals.rpo_hours
    return f"a database backup every {hours:g} h; {age}" if hours else f"none set; {age}"


def _proof(proof: Proof | None, otherwise: str) -> str:
    if proof is None:
        return otherwise
    took = f", {proof.seconds:.1f} s" if proof.seconds is not None else ""
    down = f", site down {proof.downtime:.1f} s" if proof.downtime is not None else ""
    recovery = f", recovery time {proof.recovery:.1f} s" if proof.recovery is not None else ""
    how = "read back when it was made" if proof.by == "backup" else proof.by
    return f"{proof.at.astimezone():%Y-%m-%d %H:%M %Z}: {proof.what} ({how}{took}{recovery}{down})"


def _incident(found: Status) -> Iterator[tuple[str, str]]:
    """Yield the score of the last incident simulation, if there was any."""
    if record := last_incident(found.facts.records):
        at, why = record.started.astimezone(), record.why
        score = f"{why['found']} of {why['tried']} damages found (seed {why['seed']})"
        yield "incident", f"{at:%Y-%m-%d %H:%M %Z}: {score}"


def _row(good: Good) -> tuple[str, ...]:
    content = [
        f"{counted(good.rows, 'row')}" if good.rows is not None else "",
        f"{counted(good.files, 'file')}" if good.files else "",
    ]
    took = "?" if good.seconds is None else f"{good.seconds:.1f} s"
    what = ", ".join(filter(None, content)) or "-"
    return good.name, span(good.age), human(good.size), what, took, str(good.count), human(good.bytes)
