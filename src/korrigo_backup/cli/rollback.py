"""`korrigo-backup rollback`: undo a restore."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.kinds import KINDS, Kind, Origin
from korrigo_backup.cli.output import CommandContext, ask_yes, narrator, say, say_findings, say_services
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, PlanShown, Yes, ends_at_plan
from korrigo_backup.cli.program.questions import Questions
from korrigo_backup.cli.rescue.restore_files import undo_files_and_say
from korrigo_backup.cli.restore import restore_and_say
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.errors import NotFound, Refused, UsageError
from korrigo_backup.recovery.in_place import saved_in_vain
from korrigo_backup.recovery.undoable import undoable, undoable_in_replaced_data
from korrigo_backup.rescue.undo_undelete import undo_undelete
from korrigo_backup.restore.restore import RestoreOptions
from korrigo_backup.restore.rollback import RollbackOptions, RollbackPlan, rollback
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import RollbackStep, StoppingServices

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.recovery.actions import Undoable
    from korrigo_backup.rescue.undo_undelete import UndoPlan

QUESTION = "⚠️  This puts the data of before the restore back in place. Continue? (yes/no): "


UNDELETE_QUESTION = "⚠️  This deletes the rows of the undelete again. Continue? (yes/no): "

VALUES_QUESTION = "⚠️  This gives the rows above the values of before again. Continue? (yes/no): "


class RollbackTarget(StrEnum):
    """The state to go back to (runbook 5.7)."""

    BEFORE = "before"
    SAFETY = "safety"
    AUTOMATIC = "automatic"
    AFTER = "after"


def command(
    context: typer.Context,
    to: Annotated[
        RollbackTarget,
        typer.Option(
            help="before: the data the last restore replaced, by a rename; safety: the newest safety backup;"
            " automatic: the newest routine backup; after: undo the last rollback."
        ),
    ] = RollbackTarget.BEFORE,
    undo: Annotated[
        str | None,
        typer.Option("--undo", metavar="ID", help="This undelete, revert or restore of rows or files (ids: list)."),
    ] = None,
    media_only: Annotated[bool, typer.Option("--media-only", help="Only the uploaded files (before, after).")] = False,
    allow_unsigned: Annotated[
        bool, typer.Option("--allow-unsigned", help="As restore --allow-unsigned (safety, automatic).")
    ] = False,
    in_place: Annotated[bool, typer.Option("--in-place", help="As restore --in-place (safety, automatic).")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the result although the services are not healthy.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Undo a restore. No data are deleted: the live data are kept and can be brought back with --to after."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    if undo is not None and (to is not RollbackTarget.BEFORE or media_only):
        raise UsageError("--undo names a single operation", hint="leave --to and --media-only out")
    if to in {RollbackTarget.SAFETY, RollbackTarget.AUTOMATIC}:
        if media_only:
            raise UsageError(
                "--media-only goes with --to before or after", hint="korrigo-backup restore media_backup_….tar.gz"
            )
        artifact = _newest_safety(wired) if to is RollbackTarget.SAFETY else wired.catalog.find("latest", Kind.SQL)
        options = RestoreOptions(dry_run=dry_run, allow_unsigned=allow_unsigned, in_place=in_place, keep=keep)
        restore_and_say(wired, artifact, options, Questions(yes))
        return
    with ends_at_plan():
        newest = _chosen(wired, undo)
        if to is RollbackTarget.BEFORE and newest and (not media_only or newest[0].verb == Verb.RESTORE_FILES):
            if newest[0].verb == Verb.RESTORE_FILES:
                undo_files_and_say(wired, newest[0], yes=yes, dry_run=dry_run)
            else:
                _undo_undelete(wired, newest[0].stamp, yes=yes, dry_run=dry_run)
            return
        done = rollback(
            wired.site(),
            wired.catalog,
            RollbackOptions(media_only=media_only, redo=to is RollbackTarget.AFTER, keep=keep, dry_run=dry_run),
            confirm=lambda plan: _confirm(plan, yes=yes, dry_run=dry_run),
            listen=narrator(RollbackStep, StoppingServices),
        )
        add_to_document(plan=done.plan if done else None)
        if done is None and dry_run:
            say("Plan: undo the interrupted restore, and take no other step")
            raise PlanShown
        if done is None:
            say("✅ The interrupted restore is undone: the site is as it was before it")
            return
        say("✅ Rollback completed successfully")
        for kept in (done.plan.database_kept_as, done.plan.media_kept_as):
            if kept:
                say(f"   the replaced data is kept as {kept}")
        say_services(done.health, "the rollback is done")


def _chosen(wired: Wired, undo: str | None) -> list[Undoable]:
    """Return the operation that is taken back before any restore: that with the id, else the newest, if any."""
    directory, site = wired.catalog.directory, wired.config.site.name
    found = undoable(directory, site)
    if undo is None:
        return found[:1]
    if chosen := [one for one in found if one.stamp == undo]:
        return chosen
    if any(one.stamp == undo for one in undoable_in_replaced_data(directory, site)):
        raise Refused(
            f"{undo} belongs to data that a restore, or its rollback, has replaced",
            hint="korrigo-backup rollback brings the data of before the restore back; then it can be undone",
            id_="undo.replaced",
        )
    raise NotFound(
        f"there is no operation {undo} to undo", hint="korrigo-backup list shows the ids", id_="undo.unknown"
    )


def _undo_undelete(wired: Wired, undo: str, *, yes: bool, dry_run: bool) -> None:
    """Undo the operation with the id: an undelete, a revert, or the restore of a table."""

    def confirm(plan: UndoPlan) -> bool:
        say(f"Plan: roll back the {plan.verb} of {first_of(plan.asked)}, from {plan.artifact}")
        for table, count in plan.changed.items():
            say(f"  table     {table}: {counted(count, 'row')} with the values of before again")
        for table, count in plan.removed.items():
            say(f"  table     {table}: {counted(count, 'removed row')} inserted again")
        for table, count in plan.tables.items():
            say(f"  table     {table}: {counted(count, 'row')} deleted again")
        say_findings(plan.findings)
        if plan.links:
            say(f"  links     {counted(plan.links, 'reference')} emptied again")
        if plan.files:
            say(f"  files     {counted(plan.files, 'file')} removed again")
        if plan.former:
            say(f"  files     {counted(plan.former, 'file')} with the former content again")
        say("  downtime  none: the site goes on serving")
        if dry_run:
            add_to_document(plan=plan)
            raise PlanShown
        return yes or ask_yes(VALUES_QUESTION if plan.changed or plan.removed else UNDELETE_QUESTION)

    listen = narrator(RollbackStep)
    done = undo_undelete(wired.site(), wired.catalog, confirm=confirm, stamp=undo, listen=listen, dry_run=dry_run)
    add_to_document(plan=done)
    say(_undone(done))


def _undone(done: UndoPlan) -> str:
    if done.verb != Verb.UNDELETE or done.changed:
        return f"✅ The {done.verb} is undone: the values are those of before it"
    if done.tables:
        return "✅ The undelete is undone: its rows are deleted again"
    return "✅ The undelete is undone: none of its rows was live"


def _newest_safety(wired: Wired) -> Artifact:
    """Return the newest safety backup; that of a restore that did not take place is passed over."""
    site = wired.site()
    for artifact in wired.catalog.artifacts():
        if artifact.ours and KINDS[artifact.kind].is_dump and artifact.origin is Origin.SAFETY:
            if not saved_in_vain(site, wired.catalog, artifact):
                return artifact
            say(f"   {artifact.name} is passed over: the restore that made it did not take place")
    raise NotFound(
        f"there is no safety backup in {wired.config.backup.dir}",
        hint="korrigo-backup rollback brings back the data that the last restore replaced, if it is still kept",
    )


def _confirm(plan: RollbackPlan, *, yes: bool, dry_run: bool) -> bool:
    say(f"Plan: roll back {'the restore' if plan.move == 'before' else 'the rollback'} of {plan.stamp}")
    for part, back, kept in (
        ("database", plan.database, plan.database_kept_as),
        ("media", plan.media, plan.media_kept_as),
    ):
        if back:
            if part == "database" and plan.safety:
                say(f"  {part:<9} {back} is loaded from {plan.safety} first, while the site serves")
            say(f"  {part:<9} {back} becomes live, the present {part} is kept as {kept}")
        else:
            say(f"  {part:<9} stays as it is")
    say_findings(plan.findings)
    if dry_run:
        add_to_document(plan=plan)
        raise PlanShown
    return yes or ask_yes(QUESTION)
