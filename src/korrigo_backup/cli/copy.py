"""`korrigo-backup copy`: send backups to every other place, and only names that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, narrator, say, say_findings, say_json
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, say_unchanged
from korrigo_backup.cli.program.names import find_artifact
from korrigo_backup.core.finding import Finding
from korrigo_backup.core.size import human
from korrigo_backup.errors import Refused
from korrigo_backup.retention import holds
from korrigo_backup.retention.hold import standing
from korrigo_backup.run.journal import SiteName
from korrigo_backup.run.step import CopyStep, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.run.step import Listener
    from korrigo_backup.targets.target_copy import TargetResult


def command(
    context: typer.Context,
    artifacts: Annotated[
        list[str] | None, typer.Argument(help="Paths or names; default: every good backup of this site.")
    ] = None,
    to: Annotated[list[str] | None, typer.Option(help="Only this target; may be given again.")] = None,
    dry_run: DryRun = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Copy backups to all targets of [targets.NAME] at once, sealed; only files that are not there are sent.

    A copy that was killed is resumed by the next one. Exit 3 when a target lacks a copy, with the reason of each; the
    backups here are never changed.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    artifacts = [str(find_artifact(wired, name).path) for name in artifacts or ()]
    if dry_run:
        _say_plan(wired, artifacts, to or ())
        return
    results = copied(wired, artifacts, to or (), listen=silent if as_json else narrator(CopyStep))
    from korrigo_backup.targets.copy import require_all  # noqa: PLC0415 - only this verb and the night need them

    if as_json:
        say_json("copy", {"targets": [_document(result) for result in results]})
    else:
        say_results(results)
    require_all(results)


def _say_plan(wired: Wired, artifacts: Sequence[str], to: Sequence[str]) -> None:
    """Print what would be sent, by what this host knows of each target; no target is asked."""
    from korrigo_backup.app.build_targets import destinations  # noqa: PLC0415 - see above
    from korrigo_backup.targets.items import items  # noqa: PLC0415
    from korrigo_backup.targets.ledger import Ledger  # noqa: PLC0415
    from korrigo_backup.targets.receipt import receipt_name  # noqa: PLC0415

    found = items(wired.catalog, artifacts, now=local_now())
    plan = {}
    for place in destinations(wired, to):
        ledger = Ledger(wired.catalog.directory, place.name)
        plan[place.name] = [one.name for one in found if not ledger.sent(receipt_name(one.name))]
        say(f"{place.name}: {len(plan[place.name])} of {len(found)} would be copied, {place.target.place}")
        for name in plan[place.name]:
            say(f"  {name}")
    add_to_document(plan=plan)
    say_unchanged()


def copied(wired: Wired, artifacts: Sequence[str], to: Sequence[str], *, listen: Listener) -> list[TargetResult]:
    """Copy to the targets called `to`, to all without names, and return the result of each."""
    from korrigo_backup.app.build_targets import destinations  # noqa: PLC0415 - see above
    from korrigo_backup.targets.copy import recorded_copy  # noqa: PLC0415
    from korrigo_backup.targets.items import items, require_site  # noqa: PLC0415
    from korrigo_backup.targets.target_copy import CopyOptions  # noqa: PLC0415

    places = destinations(wired, to)
    found = items(wired.catalog, artifacts, now=local_now())
    options = CopyOptions(
        require_site(wired.catalog),
        wired.keyring.signing(),
        found,
        listen,
        named=bool(artifacts),
        held=_held(wired),
    )
    return recorded_copy(wired.catalog, places, options, SiteName(wired.config.site.name, wired.secrets))


def _held(wired: Wired) -> frozenset[str] | None:
    """Return the names on hold, None if the holds cannot be read: a copy is made all the same."""
    try:
        return frozenset(standing(holds.read(wired.catalog.directory), local_now()))
    except Refused:
        return None


def say_results(results: Sequence[TargetResult]) -> None:
    """Print a line for each target, and its problems below."""
    for result in results:
        say_findings(result.findings)
        mark = "❌" if result.problems else "✅"
        done = f"{len(result.sent)} copied ({human(result.bytes)}), {len(result.already)} there already"
        say(f"{mark} {result.name}: {done}, {result.place}")
        for problem in result.problems:
            say(f"   {problem.message}")


def _document(result: TargetResult) -> dict[str, object]:
    return {
        "name": result.name,
        "place": result.place,
        "complete": not result.problems,
        "sent": result.sent,
        "already": result.already,
        "bytes": result.bytes,
        "problems": [{"message": one.message, "hint": one.hint} for one in result.problems],
        "findings": list[Finding](result.findings),
    }
