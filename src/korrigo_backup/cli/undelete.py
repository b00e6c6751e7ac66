"""`korrigo-backup undelete`: bring deleted rows back, with all that belongs to them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, ask_yes, narrator, say, say_findings, say_named
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, Yes, say_unchanged
from korrigo_backup.cli.rescue.accepted import Accepted, accepted
from korrigo_backup.cli.rescue.value_plan import short
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.paths import printable
from korrigo_backup.rescue.points import read_moment, read_window
from korrigo_backup.rescue.steps.conditions import require_condition
from korrigo_backup.rescue.steps.possible import require_possible
from korrigo_backup.rescue.steps.rounded_values import holds_less
from korrigo_backup.rescue.undelete import UndeleteOptions, undelete
from korrigo_backup.rescue.undelete_plan import ConflictKind
from korrigo_backup.run.step import UndeleteStep

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.rescue.undelete_plan import Conflict, NewValue, PlannedTable, UndeletePlan

QUESTION = "⚠️  This inserts the rows above into the live database. Continue? (yes/no): "

NAMED = 3
"""Rows of a table that are named without --verbose."""


class OnConflict(StrEnum):
    """The treatment of a row that the live database does not take."""

    STOP = "stop"
    SKIP = "skip"


def command(
    context: typer.Context,
    objects: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL:PK", help="The deleted objects: exams.Exam:12, exams_exam:12.")
    ] = None,
    table: Annotated[str, typer.Option("--table", "-T", help="Deleted rows of this model or table.")] = "",
    where: Annotated[str | None, typer.Option(metavar="SQL", help="With --table: only where this holds.")] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="ARTIFACT", help="From this backup; default: the newest with them.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="From the newest backup before this time.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="What was deleted since then; alone: in all tables.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --since: and was gone in the first backup after this time.")
    ] = None,
    on_conflict: Annotated[
        OnConflict, typer.Option(help="A row that the live database does not take: stop, or skip it and what needs it.")
    ] = OnConflict.STOP,
    new_value: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE.COLUMN=VALUE", help="For a refused value, or a column that is new; repeatable."),
    ] = None,
    overwrite: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL:PK", help="This live row becomes that of the backup; may be given again."),
    ] = None,
    overwrite_file: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="This live media file becomes that of the backup; may be given again."),
    ] = None,
    relink: Annotated[
        bool, typer.Option("--relink", help="Also set the references that the deletion has emptied.")
    ] = False,
    files: Annotated[
        bool, typer.Option("--files/--no-files", help="Also bring back the media files of the rows.")
    ] = True,
    allow_unsigned: Annotated[bool, typer.Option("--allow-unsigned", help="As restore --allow-unsigned.")] = False,
    accept: Accepted = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Bring deleted rows back, with all that was deleted with them and all that they need, while the site serves.

    The rows of the plan are inserted and proven in one transaction; no live row is changed but those of --overwrite and
    --relink, no live file but those of --overwrite-file. A conflict is named.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    require_condition(where, table)
    window = read_window(since, until)
    options = UndeleteOptions(
        objects=tuple(objects or ()),
        table=table,
        where=where or "",
        source=source,
        at=read_moment(at) if at else None,
        since=window.since,
        until=window.until,
        dry_run=dry_run,
        skip=on_conflict is OnConflict.SKIP,
        relink=relink,
        new_values=tuple(new_value or ()),
        overwrite=tuple(overwrite or ()),
        overwrite_files=tuple(overwrite_file or ()),
        files=files,
        allow_unsigned=allow_unsigned,
        accept=accepted(accept),
    )

    def show(plan: UndeletePlan) -> None:
        add_to_document(plan=plan)
        say_undelete_plan(plan)

    def confirm(_: UndeletePlan) -> bool:
        return yes or ask_yes(QUESTION)

    plan = undelete(
        wired.site(),
        wired.catalog,
        options,
        now=local_now(),
        confirm=confirm,
        show=show,
        listen=narrator(UndeleteStep),
    )
    if dry_run:
        show(plan)
        require_possible(plan)
        say_unchanged()
        return
    _say_done(plan)


def _say_done(plan: UndeletePlan) -> None:
    add_to_document(applied=True)
    values = sum(one.rows for one in plan.new_values)
    but = f", but for {counted(values, 'new value')}" if values else ""
    rows = counted(plan.count, "row")
    say(
        f"✅ {rows} brought back, each as the live columns hold it{but}"
        if holds_less(plan.findings)
        else f"✅ {rows} brought back, each as in the backup{but}"
    )
    if plan.file_count:
        say(f"✅ {counted(plan.file_count, 'file')} brought back, each with the checksum of the backup")
    say("   to undo it: korrigo-backup rollback")


def say_undelete_plan(plan: UndeletePlan) -> None:
    """Print a plan: each table with its rows by reason, the emptied references, the conflicts."""
    say(f"Plan: undelete {first_of(plan.asked, NAMED)}")
    say(f"  from      {plan.artifact}, made {plan.created.astimezone():%Y-%m-%d %H:%M:%S %Z}")
    _say_rows(plan)
    for one in plan.tables:
        say(f"  table     {one.table}: {_numbers(one)}")
        lines = [f"            + {', '.join(back.key)}{f' ({back.name})' if back.name else ''}" for back in one.rows]
        say_named(lines, one.asked + one.with_asked + one.needed, NAMED)
    for new in plan.new_values:
        _say_new_value(new)
    for row in plan.overwritten:
        values = first_of([f"{value.column} {short(value.now)} → {short(value.then)}" for value in row.values], NAMED)
        say(f"  overwrite {row.table}:{','.join(row.key)}: {values}")
    for link in plan.links:
        does = "set again" if plan.relink else "stays empty"
        say(f"  link      {link.table}.{', '.join(link.columns)} of {counted(len(link.keys), 'live row')}: {does}")
    _say_files(plan)
    say("  downtime  none: the site goes on serving")
    say_named([_conflict(one) for one in plan.conflicts], len(plan.conflicts), 2 * NAMED)
    say_findings(plan.findings)


def _say_new_value(new: NewValue) -> None:
    if new.in_all:
        rows = counted(new.rows, "row")
        say(f"  value     {new.table}: {new.column} is new since the backup, {new.value!r} in {rows}")
    elif new.kind is ConflictKind.UNIQUE:
        say(f"  value     {new.table}:{','.join(new.key)}: {new.column} {new.former!r} is taken, {new.value!r} instead")
    else:
        former = short(new.former)
        say(f"  value     {new.table}:{','.join(new.key)}: {new.column} {former} is refused, {new.value!r} instead")


def _say_rows(plan: UndeletePlan) -> None:
    linked = sum(len(link.keys) for link in plan.links) if plan.relink else 0
    if plan.overwritten:
        live = counted(len(plan.overwritten) + linked, "live row")
        say(f"  rows      {counted(plan.count, 'row')} back, {live} changed")
    elif linked:
        say(
            f"  rows      {counted(plan.count, 'row')} back, references of {counted(linked, 'live row')} are set again,"
            " no other live row is changed"
        )
    else:
        say(f"  rows      {counted(plan.count, 'row')} back, no live row is changed")


def _say_files(plan: UndeletePlan) -> None:
    if plan.file_count:
        say(f"  files     {counted(plan.file_count, 'file')} back among the media")
        say_named([f"            + {printable(path)}" for path in plan.files], plan.file_count, NAMED)
    for path in plan.overwritten_files:
        say(f"  overwrite {printable(path)}: the live file has other content, and is kept for a rollback")


def _numbers(table: PlannedTable) -> str:
    words = (
        f"{table.asked} asked for" if table.asked else "",
        f"{table.with_asked} deleted with them" if table.with_asked else "",
        f"{table.needed} needed by them" if table.needed else "",
    )
    return ", ".join(filter(None, words))


def _conflict(conflict: Conflict) -> str:
    mark, does = ("⚠️", " (left out)") if conflict.left else ("❌", "")
    row = ":".join(filter(None, (conflict.table, printable(",".join(conflict.key)))))
    return f"{mark} {row}{does}: {conflict.words}"
