"""`korrigo-backup plan`: the effect of a restore, without doing it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.cli.output import CommandContext, narrator, say, say_findings, say_json, say_table
from korrigo_backup.cli.printed.space import space_lines
from korrigo_backup.cli.program.names import ARTIFACT
from korrigo_backup.core.counted import counted
from korrigo_backup.core.size import human
from korrigo_backup.errors import UsageError
from korrigo_backup.restore.plan import refusal
from korrigo_backup.restore.restore import RestoreOptions, restore
from korrigo_backup.run.step import silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.restore.plan import Replacement, RestorePlan, TableChange

NAMED = 3
"""Paths of each sort that are shown; --json has more."""


def command(
    context: typer.Context,
    artifact: Annotated[
        str | None,
        typer.Argument(help=f"{ARTIFACT} Default: latest."),
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="As restore --at.")] = None,
    allow_unsigned: Annotated[bool, typer.Option("--allow-unsigned", help="As restore --allow-unsigned.")] = False,
    into_other_site: Annotated[bool, typer.Option("--into-other-site", help="As restore --into-other-site.")] = False,
    in_place: Annotated[bool, typer.Option("--in-place", help="As restore --in-place.")] = False,
    accept: Annotated[list[str] | None, typer.Option(help="As restore --accept.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show the changes that restoring a backup would make. Everything is read and verified, no data are changed."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    found = named_or_before(wired.catalog, "latest" if artifact is None and at is None else artifact, at)
    options = RestoreOptions(
        dry_run=True,
        allow_unsigned=allow_unsigned,
        into_other_site=into_other_site,
        in_place=in_place,
        accept=frozenset(accept or ()),
    )
    listen = silent if as_json else narrator()
    site = wired.site()
    done = restore(site, wired.catalog, found, options, now=local_now(), confirm=lambda _: None, listen=listen)
    plan = done.plan
    if as_json:
        say_json("plan", plan)
    else:
        say_plan(plan, space_lines(wired, site, plan, safety_backup=True))
    refuse(plan)


def named_or_before(catalog: Catalog, artifact: str | None, at: str | None) -> Artifact:
    """Return the artifact of that name, or the newest good restore point before a time of this machine's clock.

    Raises UsageError without one of the two, or with both; NotFound if there is none.
    """
    if artifact is not None and at is None:
        return catalog.find(artifact)
    if artifact is not None or at is None:
        raise UsageError("name a backup, or a time with --at", hint="korrigo-backup list shows the names and times")
    try:
        moment = datetime.fromisoformat(at.strip()).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(f"{at!r} is not a time", hint='write it as --at "2026-05-04 14:05"') from None
    return catalog.find_before(moment)


def refuse(plan: RestorePlan) -> None:
    """Raise Refused when the restore would be refused: a plan must not end well where the real run does not."""
    if plan.refused:
        raise refusal(plan.findings)


def say_plan(plan: RestorePlan, space: Sequence[tuple[str, str]] = ()) -> None:
    """Print a plan for people: replacements, changes, previous copies; `space` are lines of the room that it takes."""
    say(f"Plan: restore {plan.artifact}")
    say(f"  made      {plan.created.astimezone():%Y-%m-%d %H:%M:%S %Z}")
    for one in plan.replaces:
        say(f"  replaces  {one.target}")
        say(f"  keeps     {_keeps(one)}")
        free = "free space not visible" if one.free is None else f"{human(one.free)} free"
        say(f"  needs     {human(one.needs)}, {free}")
    for label, words in space:
        say(f"  {label:<9} {words}")
    say(f"  downtime  {_downtime(plan)}")
    changes = [table for table in plan.tables if not table.identical]
    if plan.tables:
        verb = "are replaced" if KINDS[plan.kind].loaded_by_django else "change"
        say(f"  tables    {len(changes)} of {len(plan.tables)} {verb}")
    if changes:
        _say_changes(changes, compared=not KINDS[plan.kind].loaded_by_django)
    if plan.media:
        files = plan.media
        counts = f"{files.added.count} vanish, {files.removed.count} come back, {files.changed.count} change"
        say(f"  files     {counts}, {files.same} stay")
        if files.erased:
            say(f"            erased on request, and so not coming back: {counted(files.erased, 'file')}")
        for sign, found in (("-", files.added), ("+", files.removed), ("~", files.changed)):
            for path in found.first[:NAMED]:
                say(f"            {sign} {path}")
    say_findings(plan.findings)


def effect(plan: RestorePlan) -> str:
    """Return what a restore does with the live data, as a sentence for the question before it."""
    parts = [
        f"the live {one.part} is replaced inside it, and only a safety backup keeps it"
        if one.in_place
        else f"the live {one.part} is replaced, and kept as {one.kept_as}"
        if one.kept_as
        else f"a new {one.part} is made, since there is none"
        for one in plan.replaces
    ]
    return "; ".join(parts)


def _keeps(one: Replacement) -> str:
    if one.in_place:
        return "no database: only a safety backup, made first"
    return f"the present state as {one.kept_as}" if one.kept_as else "no copy: there is no present state"


def _downtime(plan: RestorePlan) -> str:
    if any(one.in_place for one in plan.replaces):
        return "as long as the safety backup and the load take"
    return f"{'not known yet' if plan.downtime is None else f'about {plan.downtime:g} s'}, at any size"


def _say_changes(tables: list[TableChange], *, compared: bool) -> None:
    """Print a line a table, `compared` by content or only counted.

    With `+ ~ -`, the rows added, changed and removed since the backup, where that is known.
    """
    header: tuple[str, ...] = ("  TABLE", "NOW", "AFTER", "ROWS")
    texts = [_difference(t.now, t.after, compared=compared) for t in tables]
    rows = [(f"  {t.name}", _count(t.now), _count(t.after), words) for t, words in zip(tables, texts, strict=True)]
    since = [(_count(t.added), _count(t.changed), _count(t.removed)) for t in tables]
    if any(t.added is not None for t in tables):
        say("  rows since the backup: + added, ~ changed, - removed; a restore undoes these changes")
        say_table(
            (*header, "+", "~", "-"), [(*row, *more) for row, more in zip(rows, since, strict=True)], data={"  TABLE"}
        )
    else:
        say_table(header, rows, data={"  TABLE"})


def _count(rows: int | None) -> str:
    return "-" if rows is None else str(rows)


def _difference(now: int | None, after: int | None, *, compared: bool) -> str:
    if now is None or after is None:
        return "comes back" if now is None else "vanishes"
    difference = after - now
    return f"{difference:+d}" if difference else "other content" if compared else "as many"
