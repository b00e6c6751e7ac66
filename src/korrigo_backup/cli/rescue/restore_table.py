"""`korrigo-backup restore --table`: single tables become those of a backup again, while the site serves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import ask_yes, narrator, say
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import say_unchanged
from korrigo_backup.cli.rescue.accepted import accepted
from korrigo_backup.cli.rescue.value_plan import say_value_plan
from korrigo_backup.cli.rescue.whole_restore import of_a_whole_restore
from korrigo_backup.core.counted import counted
from korrigo_backup.errors import UsageError
from korrigo_backup.rescue.points import dump_of
from korrigo_backup.rescue.steps.rounded_values import holds_less
from korrigo_backup.rescue.values.table import TableOptions, restore_tables
from korrigo_backup.run.step import RevertStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.cli.program.questions import Questions
    from korrigo_backup.rescue.values.plan import ValuePlan
    from korrigo_backup.restore.restore import RestoreOptions

QUESTION = "⚠️  This changes the tables above in the live database. Continue? (yes/no): "


def restore_tables_and_say(
    wired: Wired,
    artifact: Artifact,
    tables: Sequence[str],
    options: RestoreOptions,
    questions: Questions,
    *,
    exact: bool,
    new_values: Sequence[str] = (),
) -> None:
    """Bring tables to the state of a backup, with a plan first."""
    _require_fitting(tables, options)
    accept = accepted(options.accept)
    chosen = TableOptions(tuple(tables), exact, tuple(new_values), options.dry_run, options.allow_unsigned, accept)

    def confirm(plan: ValuePlan) -> bool:
        say_value_plan(plan)
        add_to_document(plan=plan)
        return questions.yes or ask_yes(QUESTION)

    dump = dump_of(wired.catalog, artifact)
    plan = restore_tables(
        wired.site(), wired.catalog, dump, chosen, now=local_now(), confirm=confirm, listen=narrator(RevertStep)
    )
    add_to_document(plan=plan)
    if options.dry_run:
        say_value_plan(plan)
        say_unchanged()
        return
    add_to_document(applied=True)
    removed = sum(table.removed for table in plan.tables)
    rows = counted(plan.count - removed, "row")
    say(
        f"✅ {rows} put back, each as the live columns hold it"
        if holds_less(plan.findings)
        else f"✅ {rows} put back, each as in the backup"
    )
    if removed:
        say(f"   {counted(removed, 'newer row')} removed")
    say("   to undo it: korrigo-backup rollback")


def _require_fitting(tables: Sequence[str], options: RestoreOptions) -> None:
    """Raise UsageError for an option of a whole restore."""
    if not tables:
        raise UsageError("--exact goes with --table", hint="korrigo-backup restore --table T --exact ARTIFACT")
    if wrong := of_a_whole_restore(replace(options, accept=frozenset())):
        raise UsageError(
            f"{wrong} is an option of a whole restore, not of --table",
            hint="leave it out: the rows are changed in one transaction, and rollback undoes it",
        )
