"""`korrigo-backup rebuild`: the last resort, when the database cannot be saved or rolled back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, ask_yes, narrator, say, say_made, say_services
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, PlanShown, Yes, ends_at_plan
from korrigo_backup.cli.program.names import find_artifact
from korrigo_backup.cli.program.questions import Questions
from korrigo_backup.cli.restore import restore_and_say
from korrigo_backup.errors import UsageError
from korrigo_backup.restore.rebuild import RebuildOptions, RebuildPlan, newest_good, rebuild
from korrigo_backup.restore.restore import RestoreOptions
from korrigo_backup.run.step import RebuildStep, StoppingServices

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact

QUESTION = "⚠️  This puts an EMPTY database in the place of the present database. Continue? (yes/no): "


def command(
    context: typer.Context,
    source: Annotated[
        list[str] | None,
        typer.Option("--from", help="A backup, as restore takes it; or a fixture (….json), which may be given again."),
    ] = None,
    empty: Annotated[bool, typer.Option("--empty", help="Only the tables that the migrations make.")] = False,
    safety_backup: Annotated[bool, typer.Option(help="As restore --safety-backup.")] = True,
    allow_unsigned: Annotated[bool, typer.Option("--allow-unsigned", help="As restore --allow-unsigned.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the result although the services are not healthy.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Make the database anew, in an emergency: from the newest backup that is good, from a named backup, or empty.

    The present database is kept, readable or not, and `rollback` brings it back.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    named = source or []
    fixtures = tuple(Path(name) for name in named if _is_fixture(name))
    if (empty and named) or (fixtures and len(fixtures) < len(named)) or (len(named) > 1 and not fixtures):
        raise UsageError(
            "a database is rebuilt from a backup, from fixtures, or empty: the options exclude each other",
            hint="give a single --from BACKUP, or --from FIXTURE.json (may be given again), or --empty",
        )
    if empty or fixtures:
        with ends_at_plan():
            _anew(wired, fixtures, yes=yes, keep=keep, dry_run=dry_run)
        return
    artifact = find_artifact(wired, named[0]) if named else _newest_good(wired)
    options = RestoreOptions(dry_run=dry_run, safety_backup=safety_backup, allow_unsigned=allow_unsigned, keep=keep)
    restore_and_say(wired, artifact, options, Questions(yes))


def _is_fixture(name: str) -> bool:
    return name.endswith(".json") and not Path(name).name.startswith("restore_point_")


def _newest_good(wired: Wired) -> Artifact:
    say("🔍 Looking for the newest backup that is good...")
    choice = newest_good(wired.catalog, now=local_now())
    for artifact, reason in choice.passed_over:
        say(f"❌ {artifact.name}: {reason}")
    say(f"✅ {choice.artifact.name}")
    return choice.artifact


def _anew(wired: Wired, fixtures: tuple[Path, ...], *, yes: bool, keep: bool, dry_run: bool) -> None:
    done = rebuild(
        wired.site(say_made),
        wired.catalog,
        RebuildOptions(fixtures, keep, dry_run),
        now=local_now(),
        confirm=lambda plan: _confirm(plan, yes=yes, dry_run=dry_run),
        listen=narrator(RebuildStep, StoppingServices),
    )
    add_to_document(plan=done.plan)
    say("✅ Rebuild completed successfully")
    if done.plan.kept_as:
        say(f"   the replaced data is kept as {done.plan.kept_as}; to go back: korrigo-backup rollback")
    say_services(done.health, "the database is rebuilt")


def _confirm(plan: RebuildPlan, *, yes: bool, dry_run: bool) -> bool:
    say(f"Plan: rebuild database {plan.database}")
    say(f"  keeps     {f'the present database as {plan.kept_as}' if plan.kept_as else 'no copy: there is no database'}")
    for line in plan.commands:
        say(f"  then      manage.py {' '.join(line)}")
    say("  media     stay as they are")
    if dry_run:
        add_to_document(plan=plan)
        raise PlanShown
    return yes or ask_yes(QUESTION)
