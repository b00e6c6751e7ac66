"""`korrigo-backup restore --file`, and its rollback: single files of the media come back, and go again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import ask_yes, narrator, say, say_findings, say_named
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import PlanShown, say_unchanged
from korrigo_backup.cli.rescue.whole_restore import of_a_whole_restore
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.paths import printable
from korrigo_backup.core.size import human
from korrigo_backup.errors import PartlyDone, UsageError
from korrigo_backup.rescue.media_files.plan import FilesOptions, left_as_they_are
from korrigo_backup.rescue.media_files.restore import restore_files
from korrigo_backup.rescue.media_files.undo import undo_restore_of_files
from korrigo_backup.rescue.points import read_moment
from korrigo_backup.run.step import FilesStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.cli.program.questions import Questions
    from korrigo_backup.recovery.actions import Undoable
    from korrigo_backup.rescue.media_files.plan import FilesPlan
    from korrigo_backup.rescue.media_files.undo import FilesUndoPlan
    from korrigo_backup.restore.restore import RestoreOptions

QUESTION = "⚠️  This puts the files above among the live media. Continue? (yes/no): "
UNDO_QUESTION = "⚠️  This takes the files of that restore away again. Continue? (yes/no): "

NAMED = 10
"""Files of each kind that are named; --json has more."""


def restore_files_and_say(
    wired: Wired,
    asked: Sequence[str],
    artifact: str | None,
    at: str | None,
    options: RestoreOptions,
    questions: Questions,
    *,
    overwrite: bool,
) -> None:
    """Bring single files back, with a plan first; the restored services are not touched."""
    _require_fitting(asked, artifact, at, options)
    chosen = FilesOptions(
        asked=tuple(asked),
        source=artifact,
        at=read_moment(at) if at else None,
        overwrite=overwrite,
        dry_run=options.dry_run,
        allow_unsigned=options.allow_unsigned,
        answers={key: answer for key, answer in questions.answers.items() if answer},
    )

    def confirm(plan: FilesPlan) -> bool:
        say_files_plan(plan)
        add_to_document(plan=plan)
        return questions.yes or ask_yes(QUESTION)

    try:
        plan = restore_files(
            wired.site(), wired.catalog, chosen, now=local_now(), confirm=confirm, listen=narrator(FilesStep)
        )
    except PartlyDone:
        add_to_document(applied=True)
        raise
    add_to_document(plan=plan)
    if options.dry_run or not plan.count:
        say_files_plan(plan)
    if options.dry_run:
        say_unchanged()
        return
    add_to_document(applied=bool(plan.count))
    if plan.count:
        say(f"✅ {counted(plan.count, 'file')} brought back, each with the checksum of the backup")
        say("   to undo it: korrigo-backup rollback")
    elif plan.conflict_count:
        raise left_as_they_are(plan)
    else:
        say(f"✅ {counted(plan.same, 'file')} live as in the backup: nothing to bring back")


def _require_fitting(asked: Sequence[str], artifact: str | None, at: str | None, options: RestoreOptions) -> None:
    if not asked:
        raise UsageError("--overwrite goes with --file", hint="korrigo-backup restore --file PATH --overwrite")
    if artifact and at:
        raise UsageError("a backup and --at exclude each other", hint="name a backup, or a time")
    if wrong := of_a_whole_restore(options):
        raise UsageError(
            f"{wrong} is an option of a whole restore, not of --file",
            hint="leave it out: single files are put among the live ones, and no database is touched",
        )


def say_files_plan(plan: FilesPlan) -> None:
    """Print a plan: the files that come back, those that are replaced, those that stay in conflict."""
    say(f"Plan: restore {first_of(list(map(printable, plan.asked)), NAMED)} among the media")
    for name, count in plan.sources.items():
        say(f"  from      {name}: {counted(count, 'file')}")
    if plan.count:
        size = "not in the listing of an archive" if plan.bytes is None else human(plan.bytes)
        say(f"  size      {size}")
    for title, sign, names, count in (
        ("missing", "+", plan.put, plan.put_count),
        ("replaced", "~", plan.overwrite, plan.overwrite_count),
    ):
        if count:
            say(f"  {title:<9} {counted(count, 'file')}")
            say_named([f"            {sign} {printable(path)}" for path in names], count, NAMED)
    if plan.same:
        say(f"  same      {counted(plan.same, 'file')} live as in the backup")
    say("  downtime  none: the site goes on serving, the database is not touched")
    _say_conflicts(plan)
    say_findings(plan.findings)


def _say_conflicts(plan: FilesPlan) -> None:
    for number, path in enumerate(plan.conflicts[:NAMED]):
        if number < plan.irregular_count:
            say(f"⚠️ {printable(path)}: live as a link, as a directory or behind a link, left as it is")
        else:
            say(f"⚠️ {printable(path)}: live with other content, left as it is (--overwrite replaces it)")
    if plan.conflict_count > NAMED:
        say(f"   and {plan.conflict_count - NAMED} more conflicts: --json names 10,000")


def undo_files_and_say(wired: Wired, newest: Undoable, *, yes: bool, dry_run: bool) -> None:
    """Undo the newest restore of files; PlanShown after the plan of a dry run."""

    def confirm(plan: FilesUndoPlan) -> bool:
        say(f"Plan: roll back the restore of {first_of(list(map(printable, plan.asked)), NAMED)}, from {plan.artifact}")
        if plan.removed:
            say(f"  files     {counted(plan.removed, 'file')} removed again")
        if plan.former:
            say(f"  files     {counted(plan.former, 'file')} with the former content again")
        say_findings(plan.findings)
        say("  downtime  none: the site goes on serving")
        if dry_run:
            add_to_document(plan=plan)
            raise PlanShown
        return yes or ask_yes(UNDO_QUESTION)

    done = undo_restore_of_files(
        wired.site(), wired.catalog, newest, confirm=confirm, listen=narrator(FilesStep), dry_run=dry_run
    )
    add_to_document(plan=done)
    say("✅ The restore of files is undone")
