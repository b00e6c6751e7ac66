"""`korrigo-backup prune`: show the removals by the retention policy, and remove with --apply."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, narrator, say, say_json, say_table
from korrigo_backup.core.counted import counted
from korrigo_backup.core.size import human
from korrigo_backup.errors import KorrigoBackupError, UsageError
from korrigo_backup.retention.command import PruneOptions, Retention, applied, plan_removals
from korrigo_backup.retention.prune import Meant
from korrigo_backup.run.journal import SiteName
from korrigo_backup.run.step import PruneStep, silent

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.retention.on_target import TargetPruneOptions, TargetPruning
    from korrigo_backup.retention.policy import Decision
    from korrigo_backup.retention.target_removal import RemovalRecord
    from korrigo_backup.run.step import Listener
    from korrigo_backup.targets.read_back import TargetReader


def command(
    context: typer.Context,
    apply: Annotated[
        bool, typer.Option("--apply", help="Remove the backups that the plan names; default: only show the plan.")
    ] = False,
    clock_is_right: Annotated[
        bool, typer.Option("--clock-is-right", help="After a long silence: the clock was looked at and is right.")
    ] = False,
    allow_many: Annotated[
        bool, typer.Option("--allow-many", help="More than half of the backups of a kind may go at once.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan, as without --apply.")] = False,
    on: Annotated[str | None, typer.Option(metavar="TARGET", help="The copies on this target.")] = None,
    removed_only: Annotated[bool, typer.Option("--removed", help="Show only the removals.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show the backups that the retention policy keeps and removes, each with its reason; remove them with --apply.

    Never removed: the newest good backup of a kind, a backup on hold or made before a deployment, a safety copy younger
    than 7 days, a file that this program has not made. Exit 4 when the clock may have jumped or more than half would go
    at once. With --on the same for the copies on a target, by its own retention, where may_delete allows it.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    if apply and dry_run:
        raise UsageError("--apply and --dry-run exclude each other", hint="leave one of them out")
    meant = Meant(clock_is_right, allow_many)
    if on is not None:
        _prune_on(wired, on, meant, apply=apply, removed_only=removed_only, as_json=as_json)
        return
    policy = wired.policy()
    request = PruneOptions(
        policy=policy,
        name=wired.config.site.name,
        environment=wired.config.site.environment,
        now=local_now(),
        meant=meant,
        site=wired.site,
        listen=silent if as_json else narrator(PruneStep),
    )
    if not as_json:
        age = f" older than {counted(policy.database.days, 'day')}" if policy.database.days else ""
        say(f"🧹 Cleaning backups{age}...")
    if apply:
        plan, count = applied(wired.catalog, request)
    else:
        plan, count = plan_removals(wired.catalog, request), 0
    if as_json:
        say_json("prune", _document(plan, applied=apply))
    else:
        _say_plan(plan, removed_only=removed_only or apply)
        _say_end(plan, count, applied=apply)
        _say_erasures(wired)


def _say_erasures(wired: Wired) -> None:
    """Print how many entries of the erasure ledger no backup needs any more; none is removed here."""
    ledger = wired.ledger()
    if not ledger.path.exists():
        return
    from korrigo_backup.retention.erasures import UnknownOldestError, oldest_backup, that_may_go  # noqa: PLC0415

    with suppress(UnknownOldestError, KorrigoBackupError):  # doctor says what is wrong with the ledger
        going = that_may_go(ledger.read(), oldest_backup(wired.catalog, wired.site))
        if going:
            number = counted(len(going), "entry", "entries")
            say(
                f"ℹ️ {number} of the erasure ledger may go: korrigo-backup forget --list; nothing removes them by itself"
            )


def _prune_on(wired: Wired, on: str, meant: Meant, *, apply: bool, removed_only: bool, as_json: bool) -> None:
    """Show the copies on a target that its policy keeps and removes; remove with `apply`."""
    from korrigo_backup.cli.fetch import reader  # noqa: PLC0415 - only this option needs them
    from korrigo_backup.retention.on_target import plan  # noqa: PLC0415

    reading, record = reader(wired, on, None, None), None
    listen = silent if as_json else narrator(PruneStep)
    if apply:
        pruning, record = prune_target(wired, reading, meant, listen=listen)
    else:
        pruning = plan(reading, _options(wired, on, meant, listen))
    may = reading.destination.may_delete
    if as_json:
        say_json("prune-on", _document_on(on, pruning, record, may_delete=may))
        return
    rows = [_row(one) for one in pruning.decisions if one.remove or not (removed_only or apply)]
    if rows:
        say_table(("NAME", "PLAN", "SIZE", "REASON"), rows, data={"NAME"})
    if record:
        more = f", waiting: {counted(record.waiting, 'object')}" if record.waiting else ""
        if record.removed or record.swept:
            say(
                f"✅ {on}: {counted(len(record.removed), 'copy', 'copies')} and"
                f" {counted(record.swept, 'object')} removed, read back as gone{more}"
            )
        else:
            say(f"ℹ️ {on}: no old copies to remove{more}")
    elif pruning.refusal:
        say(f"⛔ {pruning.refusal.message}")
        say(f"   hint: {pruning.refusal.hint}")
    elif not pruning.leaving:
        say(f"ℹ️ {on}: no old copies to remove")
    else:
        how = f"do it: korrigo-backup prune --on {on} --apply" if may else "this host may not: may_delete is false"
        say(f"{len(pruning.leaving)} would be removed from {on}, {human(pruning.bytes)}; {how}")


def _options(wired: Wired, on: str, meant: Meant, listen: Listener) -> TargetPruneOptions:
    from korrigo_backup.app.build_targets import policy_of  # noqa: PLC0415 - see _prune_on
    from korrigo_backup.retention.on_target import TargetPruneOptions  # noqa: PLC0415

    return TargetPruneOptions(policy_of(wired, on), wired.config.site.name, local_now(), meant, listen)


def prune_target(
    wired: Wired, reading: TargetReader, meant: Meant, *, listen: Listener, pause: timedelta = timedelta()
) -> tuple[TargetPruning, RemovalRecord]:
    """Remove the copies that the policy of a target removes, and return plan and result."""
    from korrigo_backup.retention.target_removal import pruned  # noqa: PLC0415 - see _prune_on

    options = _options(wired, reading.destination.name, meant, listen)
    site = SiteName(wired.config.site.name, wired.secrets)
    return pruned(reading, options, site, wired.keyring.signing(), pause=pause)


def _document_on(
    on: str, pruning: TargetPruning, record: RemovalRecord | None, *, may_delete: bool
) -> dict[str, object]:
    return {
        "target": on,
        "applied": record is not None,
        "may_delete": may_delete,
        "refused": pruning.refusal.message if pruning.refusal else None,
        "artifacts": [_decision(one) for one in pruning.decisions],
        "result": record,
    }


def _decision(one: Decision) -> dict[str, object]:
    return {"name": one.artifact.name, "remove": one.remove, "size": one.artifact.size, "reason": one.reason}


def _say_plan(plan: Retention, *, removed_only: bool) -> None:
    rows = [_row(one) for one in plan.artifacts.decisions if one.remove or not removed_only]
    rows += [
        (name, _word(remove=one.remove), "", one.reason)
        for one in plan.kept
        if one.remove or not removed_only
        for name in one.kept.names
    ]
    if rows:
        say_table(("NAME", "PLAN", "SIZE", "REASON"), rows, data={"NAME"})
    if plan.unseen:
        say(f"⚠️ the previous copies of restores were not examined: {plan.unseen}")


def _say_end(plan: Retention, count: int, *, applied: bool) -> None:
    would = len(plan.artifacts.leaving) + sum(one.remove for one in plan.kept)
    if applied:
        say(f"✅ Deleted {count} old backups" if count else "ℹ️ No old backups to clean")
    elif plan.artifacts.refusal:
        say(f"⛔ {plan.artifacts.refusal.message}")
        say(f"   hint: {plan.artifacts.refusal.hint}")
    elif would:
        say(f"{would} would be removed, {human(plan.artifacts.bytes)} of backups; do it: korrigo-backup prune --apply")
    else:
        say("ℹ️ No old backups to clean")


def _row(decision: Decision) -> tuple[str, str, str, str]:
    artifact = decision.artifact
    return artifact.name, _word(remove=decision.remove), human(artifact.size), decision.reason


def _word(*, remove: bool) -> str:
    return "remove" if remove else "keep"


def _document(plan: Retention, *, applied: bool) -> dict[str, object]:
    refusal = plan.artifacts.refusal
    return {
        "applied": applied,
        "refused": refusal.message if refusal else None,
        "unseen": plan.unseen,
        "artifacts": [_decision(one) for one in plan.artifacts.decisions],
        "kept": [
            {"stamp": one.kept.stamp, "names": one.kept.names, "remove": one.remove, "reason": one.reason}
            for one in plan.kept
        ],
    }
