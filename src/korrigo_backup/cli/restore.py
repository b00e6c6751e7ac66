"""`korrigo-backup restore`: put a backup in the place of the live data, proven before it goes live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.catalog import local_now
from korrigo_backup.cli.output import Context, ask_yes, human, say
from korrigo_backup.cli.plan import say_plan
from korrigo_backup.operations.restore import Request, restore

if TYPE_CHECKING:
    from korrigo_backup.domain.artifact import Artifact
    from korrigo_backup.domain.journal import Step
    from korrigo_backup.domain.plan import RestorePlan
    from korrigo_backup.wiring import Wired

NAME = "restore"

QUESTION = "⚠️  DESTRUCTIVE OPERATION - This will DELETE all current data. Continue? (yes/no): "
"""The runbook's words (5.3.3). The present data is kept beside, as the plan above the question says."""

_LINES = {
    "restore.verify": "🔍 Verifying backup integrity...",
    "restore.create": "🆕 Creating fresh database... ({database}, beside the live one)",
    "restore.load": "📥 Restoring from {artifact}...",
    "restore.prove": "🔬 Proving what was loaded...",
    "restore.proven": "✅ Proven: {tables} tables, {rows} rows, every one as it was saved",
    "restore.stop": "🛑 Stopping backend...",
    "restore.stop.none": "🛑 Stopping backend... skipped: no command is configured ([services] stop)",
    "restore.start.none": "🚀 Starting backend... skipped: no command is configured ([services] start)",
    "restore.terminate": "🔌 Terminating database connections...",
    "restore.start": "🚀 Starting backend...",
    "restore.safety": "💾 Creating safety backup of current state... (as it was before the restore)",
}


def command(
    context: typer.Context,
    artifact: Annotated[str, typer.Argument(help="A path, a name in BACKUP_DIR, or latest.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for automation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop, as `plan` does.")] = False,
    safety_backup: Annotated[
        bool, typer.Option(help="Also write the replaced database to a pre_restore_safety_backup_… file.")
    ] = True,
) -> None:
    """Restore a backup: loaded and proven beside the live data, then swapped in; the old data is kept.

    Anything but the answer `yes` cancels and changes nothing (exit 5). A failure leaves the site as it was.
    """
    wired: Wired = context.ensure_object(Context).wired()
    restore_and_say(wired, wired.catalog.find(artifact), yes=yes, dry_run=dry_run, safety_backup=safety_backup)


def restore_and_say(
    wired: Wired, artifact: Artifact, *, yes: bool, dry_run: bool = False, safety_backup: bool = True
) -> None:
    """Restore one artifact and print every step; the plan first."""
    request = Request(
        artifact,
        local_now(),
        confirm=lambda plan: _confirm(plan, yes=yes),
        listen=_narrate,
        dry_run=dry_run,
        safety_backup=safety_backup,
    )
    done = restore(wired.site(), wired.catalog, request)
    if dry_run:
        say_plan(done.plan)
        return
    if done.safety:
        say(f"   {done.safety.path} ({human(done.safety.size)})")
    say("✅ Restore completed successfully")
    if done.plan.kept_as:
        say(f"   the replaced data is kept as {done.plan.kept_as}")
    say("📊 Verification recommended - check database contents")


def _confirm(plan: RestorePlan, *, yes: bool) -> bool:
    say_plan(plan)
    return yes or ask_yes(QUESTION)


def _narrate(step: Step) -> None:
    if step.id in _LINES:
        say(_LINES[step.id].format(**step.facts))
    elif step.id == "restore.proven.media":
        say(f"✅ Proven: {step.facts['files']} files, {human(int(step.facts['bytes']))}, every one as it was saved")
    elif step.id == "restore.swap":
        kept = step.facts["kept"]
        say(f"🔁 Swapping in the restored data... (the old is kept as {kept})" if kept else "🔁 Putting it in place...")
