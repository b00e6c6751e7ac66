"""`korrigo-backup revert`: put changed values of a table back, where nobody has changed them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, ask_yes, narrator, say
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, Yes, say_unchanged
from korrigo_backup.cli.rescue.accepted import Accepted, accepted
from korrigo_backup.cli.rescue.value_plan import say_value_plan
from korrigo_backup.cli.undelete import OnConflict
from korrigo_backup.core.counted import counted
from korrigo_backup.errors import UsageError
from korrigo_backup.rescue.points import read_moment
from korrigo_backup.rescue.steps.conditions import require_condition
from korrigo_backup.rescue.steps.rounded_values import holds_less
from korrigo_backup.rescue.values.refusals import require_revertible
from korrigo_backup.rescue.values.revert import RevertOptions, revert
from korrigo_backup.run.step import RevertStep

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.rescue.values.plan import ValuePlan

QUESTION = "⚠️  This changes the rows above in the live database. Continue? (yes/no): "


def command(
    context: typer.Context,
    table: Annotated[str, typer.Option("--table", "-T", help="The model or table: exams.Exam, exams_exam.")] = "",
    column: Annotated[
        list[str] | None, typer.Option("--column", "-c", help="Only this column; may be given again.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="Only rows for which this holds, about the values in the backup.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="ARTIFACT", help="The backup with the former values.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="The newest backup before this time.")] = None,
    accident: Annotated[
        str | None,
        typer.Option(metavar="ARTIFACT", help="The backup of after the accident; default: the first that differs."),
    ] = None,
    on_conflict: Annotated[
        OnConflict,
        typer.Option(help="A value that was changed again since, or a row that is not taken: leave it, or stop."),
    ] = OnConflict.SKIP,
    allow_unsigned: Annotated[bool, typer.Option("--allow-unsigned", help="As restore --allow-unsigned.")] = False,
    accept: Accepted = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Put changed values of a table back, row by row and column by column, while the site serves.

    Values that somebody has changed again since the accident stay, and are named. Keys, deleted and new rows stay.
    """
    if not table:
        raise UsageError("no table is named", hint="korrigo-backup revert --table exams_exam --from ARTIFACT")
    require_condition(where, table)
    wired: Wired = context.ensure_object(CommandContext).wired()
    options = RevertOptions(
        table=table,
        columns=tuple(column or ()),
        where=where or "",
        source=source,
        at=read_moment(at) if at else None,
        accident=accident,
        dry_run=dry_run,
        stop=on_conflict is OnConflict.STOP,
        allow_unsigned=allow_unsigned,
        accept=accepted(accept),
    )

    def confirm(plan: ValuePlan) -> bool:
        say_value_plan(plan)
        add_to_document(plan=plan)
        return yes or ask_yes(QUESTION)

    plan = revert(wired.site(), wired.catalog, options, now=local_now(), confirm=confirm, listen=narrator(RevertStep))
    add_to_document(plan=plan)
    if dry_run:
        say_value_plan(plan)
        require_revertible(plan)
        say_unchanged()
        return
    add_to_document(applied=True)
    rows = counted(plan.count, "row")
    say(
        f"✅ {rows} put back, each value as the live columns hold it"
        if holds_less(plan.findings)
        else f"✅ {rows} put back, each value as in the backup"
    )
    if plan.conflict_count:
        say(f"⚠️  {counted(plan.conflict_count, 'value')} left as now: changed again since, or not taken")
    say("   to undo it: korrigo-backup rollback")
