"""`korrigo-backup doctor`: whether this machine and this site meet the needs of backups and restores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.cli.output import CommandContext, say, say_findings, say_json
from korrigo_backup.cli.setup.checks import checks
from korrigo_backup.core.finding import Level
from korrigo_backup.errors import ProblemsFound

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired


def command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Check the machine, Docker, the services, the database, the media, the disk and the settings. Exit 10 if ill."""
    wired: Wired = context.ensure_object(CommandContext).wired(quiet=True)
    findings = checks(wired)
    ill = [finding for finding in findings if finding.level is Level.ERROR]
    if as_json:
        say_json("doctor", {"passed": not ill, "findings": findings})
    else:
        say_findings(findings)
    if ill:
        raise ProblemsFound(
            f"{len(ill)} of {len(findings)} checks failed: {ill[0].message}", hint=ill[0].hint or "see above"
        )
    if not as_json:
        say("✅ No prerequisite is missing")
