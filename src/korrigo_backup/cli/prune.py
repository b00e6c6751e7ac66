"""`korrigo-backup prune`: show the removals by the retention policy, and remove with --apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, narrator, say, say_json, say_table
from korrigo_backup.core.size import human
from korrigo_backup.retention.command import PruneOptions, Retention, applied, planned
from korrigo_backup.retention.prune import Meant
from korrigo_backup.run.step import PruneStep, silent

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.retention.policy import Decision


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
    removed_only: Annotated[bool, typer.Option("--removed", help="Show only the removals.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show the backups that the retention policy keeps and removes, each with its reason; remove them with --apply.

    Never removed: the newest good backup of a kind, a backup on hold or made before a deployment, a safety copy younger
    than 7 days, a file that this program has not made. Exit 4 when the clock may have jumped or more than half would go
    at once.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    policy = wired.policy()
    request = PruneOptions(
        policy=policy,
        name=wired.config.site.name,
        environment=wired.config.site.environment,
        now=local_now(),
        meant=Meant(clock_is_right, allow_many),
        site=wired.site,
        listen=silent if as_json else narrator(PruneStep),
    )
    if not as_json:
        age = f" older than {policy.database.days} days" if policy.database.days else ""
        say(f"🧹 Cleaning backups{age}...")
    if apply:
        plan, count = applied(wired.catalog, request)
    else:
        plan, count = planned(wired.catalog, request), 0
    if as_json:
        say_json("prune", _document(plan, applied=apply))
    else:
        _say_plan(plan, removed_only=removed_only or apply)
        _say_end(plan, count, applied=apply)


def _say_plan(plan: Retention, *, removed_only: bool) -> None:
    rows = [_row(one) for one in plan.artifacts.decisions if one.remove or not removed_only]
    rows += [
        (name, _word(remove=one.remove), "", one.reason)
        for one in plan.kept
        if one.remove or not removed_only
        for name in one.kept.names
    ]
    if rows:
        say_table(("NAME", "PLAN", "SIZE", "REASON"), rows)
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
        "artifacts": [
            {"name": one.artifact.name, "remove": one.remove, "size": one.artifact.size, "reason": one.reason}
            for one in plan.artifacts.decisions
        ],
        "kept": [
            {"stamp": one.kept.stamp, "names": one.kept.names, "remove": one.remove, "reason": one.reason}
            for one in plan.kept
        ],
    }
