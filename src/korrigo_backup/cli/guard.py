"""`korrigo-backup guard -- COMMAND`: a restore point, the command, a validation, and a way back."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.consistency import recorded_findings
from korrigo_backup.artifact.kinds import Origin
from korrigo_backup.backup.backup import BackupOptions
from korrigo_backup.backup.point import backup_full
from korrigo_backup.cli.list_ import summary
from korrigo_backup.cli.output import CommandContext, ask_yes, narrator, say, say_findings
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.questions import Questions
from korrigo_backup.cli.restore import restore_and_say
from korrigo_backup.core.finding import Level
from korrigo_backup.errors import Interrupted, ProblemsFound, UsageError
from korrigo_backup.restore.restore import RestoreOptions
from korrigo_backup.run.step import BackupStep, ValidateStep
from korrigo_backup.system.run import describe_status, run_in_foreground, which
from korrigo_backup.validate.validate import validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact


class OnFailure(StrEnum):
    """The data after a command that failed, or that left a site which does not work."""

    ASK = "ask"
    RESTORE = "restore"
    KEEP = "keep"


def command(
    context: typer.Context,
    argv: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND...", help="What is run, and its words.")
    ] = None,
    on_failure: Annotated[
        OnFailure,
        typer.Option(
            help="restore: put the data of before back; keep: leave them; ask: ask, or keep without a terminal."
        ),
    ] = OnFailure.ASK,
    pre_deployment: Annotated[
        bool, typer.Option("--pre-deployment", help="Keep the restore point for ever, under a name of its own.")
    ] = False,
) -> None:
    """Run a command that changes the site, with a way back: restore point, command, validation.

    If the command fails or the site does not work afterwards, the data of before are restored on request. Exit 0: the
    command succeeded and the site is valid. Exit 10: it did not, whatever was done with the data.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    if not argv:
        raise UsageError("no command is given", hint="korrigo-backup guard -- python manage.py migrate")
    if which(argv[0]) is None:
        raise UsageError(f"cannot run {argv[0]}: there is no such program", hint="check its name, or give its path")
    point = _make_point(wired, Origin.PRE_DEPLOYMENT if pre_deployment else Origin.ROUTINE)
    add_to_document(**summary(point))
    failure = _run(argv, point) or _invalid(wired)
    if failure:
        _go_back(wired, point, failure, on_failure)
    say(f"✅ Done, and the site is valid; to go back to the data of before: korrigo-backup restore {point.name}")


def _make_point(wired: Wired, origin: Origin) -> Artifact:
    options = BackupOptions(origin=origin)
    done = backup_full(wired.site(), wired.catalog, options, now=local_now(), listen=narrator(BackupStep))
    say_findings((*recorded_findings(done.artifact.manifest), *done.findings))
    return done.artifact


def _run(argv: Sequence[str], point: Artifact) -> str:
    """Run the command on this terminal; return why it failed, "" if it did not."""
    say(f"▶️ {shlex.join(argv)}")
    try:
        status = run_in_foreground(argv)
    except Interrupted:
        words = f"{argv[0]} was ended, its changes may be made in part"
        raise Interrupted(f"{words}; to go back: korrigo-backup restore {point.name}") from None
    return f"{argv[0]} {describe_status(status)}" if status else ""


def _invalid(wired: Wired) -> str:
    """Validate the site; return the failed checks in words, "" if there are none."""
    say("🔍 Validating the site...")
    found = validate(wired.site(), None, accept=wired.config.validate.accept, listen=narrator(ValidateStep))
    bad = [finding.id for finding in found if finding.level is Level.ERROR]
    return f"{len(bad)} of {len(found)} validation checks failed: {', '.join(dict.fromkeys(bad))}" if bad else ""


def _go_back(wired: Wired, point: Artifact, failure: str, on_failure: OnFailure) -> None:
    """Restore the data of before if that is chosen. Raises ProblemsFound in any case."""
    say(f"❌ {failure}")
    way_back = f"korrigo-backup restore {point.name}"
    asks = on_failure is OnFailure.ASK and sys.stdin.isatty()
    if not (on_failure is OnFailure.RESTORE or (asks and ask_yes(f"Restore the data of {point.name}? (yes/no): "))):
        raise ProblemsFound(
            failure, hint=f"to go back to the data of before: {way_back}", state="the data are as the command left them"
        )
    questions = Questions(yes=True, answers={"reason": failure})
    restore_and_say(wired, point, RestoreOptions(), questions)
    raise ProblemsFound(
        failure, hint="read the command's output, then try again", state=f"restored: the data are those of {point.name}"
    )
