"""`korrigo-backup validate`: is the restored site whole, and does it work (runbook 5.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from korrigo_backup.artifact.components import compared, members_of, saved_database
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.cli.output import CommandContext, say, say_findings, say_json
from korrigo_backup.core.finding import Finding, Level
from korrigo_backup.errors import ProofFailed
from korrigo_backup.run.record import silent
from korrigo_backup.validate.validate import FOUND, validate

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.run.record import Step

LINES = {
    "validate.health": "1. Testing health endpoint...",
    "validate.tables": "2. Checking database tables...",
    "validate.users": "3. Checking users...",
    "validate.media": "4. Checking media files...",
    "validate.migrations": "5. Checking migrations...",
    "media.references": "6. Checking media against the database...",
    "validate.probe": "7. Testing login, create, update, delete...",
    "validate.database": "8. Checking database properties...",
}
"""The first four are the runbook's."""


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
    found = wired.catalog.find(artifact) if artifact else None
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
        listen=silent if as_json else narrate,
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
        )
    if not as_json:
        say("")
        say("✅ All validation checks passed!")
        say("⚠️  Manual testing still recommended")


def narrate(step: Step) -> None:
    """Print a step of a validation: a part that begins, or a finding."""
    if step.id == FOUND:
        say_findings([msgspec.convert(step.facts, Finding)])
    elif line := LINES.get(step.id):
        say(line)
