"""`korrigo-backup nightly`: the run of the schedule: backup, verify, prune, copy, notify."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.announcing import announcer
from korrigo_backup.cli.copy import copied, say_results
from korrigo_backup.cli.fetch import reader
from korrigo_backup.cli.list_ import summary
from korrigo_backup.cli.output import CommandContext, narrator, say, say_findings
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.durations import seconds
from korrigo_backup.cli.prune import prune_target
from korrigo_backup.cli.status.publish import shown
from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Level
from korrigo_backup.core.size import human
from korrigo_backup.errors import KorrigoBackupError, PartlyDone
from korrigo_backup.kit.kit import save_if_changed
from korrigo_backup.nightly import Night, nightly
from korrigo_backup.notify.run import announced
from korrigo_backup.retention.prune import Meant
from korrigo_backup.run.step import BackupStep, CopyStep, NightStep, PruneStep
from korrigo_backup.status.erasures import ledger_findings
from korrigo_backup.verify.verify import Depth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.core.finding import Finding

_WEEK = timedelta(days=7)
"""How often a night reads all receipts of a target, to find the objects there that none names."""


def command(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full/--db", help="Database and media, or the database alone.")] = False,
    depth: Annotated[Depth | None, typer.Option(help="How deep to verify; default: [nightly] verify.")] = None,
    wait: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long to wait for another run: 90s, 30m, 2h.")
    ] = None,
    notify: Annotated[
        bool | None, typer.Option(help="Notify the channels of [notify]; default: when no user is at the terminal.")
    ] = None,
) -> None:
    """Back up, verify, prune, copy and notify, as one run: the command of the schedule.

    A step after the backup that fails never hides that the backup is good: exit 3, and all failures are named. If the
    new backup does not verify, no backup is removed or copied: exit 9.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    now = local_now()
    subject = "full" if full else "db"
    announcing = announced(announcer(wired, notify), wired.catalog.directory, "nightly", subject, say=say_findings)
    with announcing as telling, shown(wired):
        configured = wired.config.nightly
        night = Night(
            full=full,
            policy=wired.policy(),
            now=now,
            depth=depth or Depth(configured.verify),
            wait=configured.wait if wait is None else seconds(wait),
            listen=narrator(BackupStep, NightStep, PruneStep),
            drill=configured.drill,
            canary=configured.canary,
            accept=wired.config.status.accept,
            erasures=lambda: _erasures(wired),
            settings=lambda: save_if_changed(wired.catalog, wired.kit_source(), now=now),
            copy=lambda: _copy(wired),
        )
        done = nightly(wired.site(), wired.catalog, night)
        say_findings(done.findings)
        say(f"🧹 Cleaned {done.removed} old backups{f', {human(done.freed)} freed' if done.freed else ''}")
        telling.facts["removed"] = str(done.removed)
        add_to_document(
            **(summary(done.artifact) if done.artifact else {}),
            findings=done.findings,
            removed=done.removed,
            freed=done.freed,
            recovery=done.recovery,
        )
        if done.artifact:
            say(f"✅ Done: {done.artifact.path}")
            telling.facts |= {"backup": done.artifact.name, "size": human(done.artifact.size)}
        if done.recovery is not None:
            say(f"⏱️  Recovery time measured: {done.recovery:.1f} s")
            telling.facts["recovery time"] = f"{done.recovery:.1f} s"


def _erasures(wired: Wired) -> Sequence[Finding]:
    """Read the ledger, and look at what the site's own code asks to forget; it is recorded if the configuration allows.

    Raises UnreadableLedger, as every restore would.
    """
    wired.ledger().read()
    lost = [one for one in ledger_findings(wired.ledger(), wired.catalog.directory) if one.level is Level.ERROR]
    if (spool := wired.erasure_spool()) is None:
        return lost
    from korrigo_backup.cli.rescue.forget import withdraw  # noqa: PLC0415 - only such a site needs it
    from korrigo_backup.rescue.forget.requests import accept_by_night  # noqa: PLC0415 - as above

    auto = wired.config.erasure.accept == "auto"
    found = accept_by_night(wired.site(), wired.catalog, wired.ledger(), spool, auto=auto, now=local_now())
    withdraw(wired)
    return [*lost, *found]


def _copy(wired: Wired) -> Sequence[Finding]:
    """Copy to every target, if there are any; PartlyDone names those that lack a copy."""
    if not wired.config.targets:
        return ()
    from korrigo_backup.targets.copy import require_all  # noqa: PLC0415 - only a site with targets needs it

    results = copied(wired, (), (), listen=narrator(CopyStep))
    say_results(results)
    problems = [problem for result in results if not result.problems for problem in _pruned_on(wired, result.name)]
    try:
        require_all(results)
    except PartlyDone as problem:
        problems.insert(0, problem)
    if problems:
        raise PartlyDone(
            "; ".join(one.message for one in problems),
            hint="; ".join(dict.fromkeys(one.hint for one in problems)),
            state=problems[0].state,
        )
    return ()


def _pruned_on(wired: Wired, name: str) -> list[KorrigoBackupError]:
    """Remove old copies from a target that has all new ones, if this host may; return the problem there."""
    if not wired.config.targets[name].may_delete:
        return []
    try:
        _, done = prune_target(wired, reader(wired, name, None, None), Meant(), listen=narrator(PruneStep), pause=_WEEK)
    except KorrigoBackupError as problem:
        return [problem]
    if done.removed or done.swept:
        say(
            f"🧹 {name}: {counted(len(done.removed), 'copy', 'copies')} and {counted(done.swept, 'object')} removed,"
            " read back as gone"
        )
    return []
