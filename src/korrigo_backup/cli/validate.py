"""`korrigo-backup validate`: is the restored site whole, and does it work (runbook 5.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.components import compared, members_of, saved_database
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.cli.output import CommandContext, narrator, say, say_json
from korrigo_backup.cli.program.names import find_artifact
from korrigo_backup.core.finding import Level
from korrigo_backup.errors import ProofFailed
from korrigo_backup.run.step import ValidateStep, silent
from korrigo_backup.validate.validate import validate

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired


def command(
    context: typer.Context,
    artifact: Annotated[
        str | None, typer.Argument(help="The backup that was restored: its tables, rows or files are compared.")
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="The site was not used since the restore: a table that differs is an error."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Validate the live site after a restore. Every check is made and reported. Exit 9 when a check fails."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    site = wired.site()
    found = find_artifact(wired, artifact) if artifact else None
    if not as_json:
        say("🔍 Validating restore...")
    point = found if found and KINDS[found.kind].components else None
    against = members_of(wired.catalog, point)[0] if point else found
    findings = validate(
        site,
        against,
        point=compared(wired.catalog, found),
        saved=saved_database(wired.catalog, found),
        accept=wired.config.validate.accept,
        strict=strict,
        listen=silent if as_json else narrator(ValidateStep),
    )
    bad = [finding for finding in findings if finding.level is Level.ERROR]
    if as_json:
        named = str(found.path) if found else None
        say_json("validate", {"site": site.name, "against": named, "passed": not bad, "findings": findings})
    if bad:
        names = ", ".join(dict.fromkeys(finding.id for finding in bad))
        raise ProofFailed(
            f"{len(bad)} of {len(findings)} validation checks failed: {names}",
            hint="each is explained where it is marked ❌; korrigo-backup rollback undoes a restore",
            id_=bad[0].id,
        )
    if not as_json:
        say("")
        say("✅ All validation checks passed!")
        say("⚠️  Manual testing still recommended")
