"""`korrigo-backup verify`: read every byte of a backup and hold it against its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.catalog import local_now
from korrigo_backup.cli.output import Context, say, say_findings, say_json
from korrigo_backup.domain.finding import Level
from korrigo_backup.errors import ProofFailed
from korrigo_backup.operations.verify import verify

if TYPE_CHECKING:
    from korrigo_backup.wiring import Wired


def command(
    context: typer.Context,
    artifact: Annotated[str, typer.Argument(help="A path, a name in BACKUP_DIR, or latest.")] = "latest",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Verify a backup: existence, integrity, checksums, completeness, size, age, mode. Exit 9 when it is bad."""
    wired: Wired = context.ensure_object(Context).wired()
    found = wired.catalog.find(artifact)
    findings = verify(wired.catalog, found, now=local_now())
    bad = next((finding for finding in findings if finding.level is Level.ERROR), None)
    if as_json:
        say_json("verify", {"path": str(found.path), "passed": bad is None, "findings": findings})
    else:
        say_findings(finding for finding in findings if finding is not bad)
    if bad:
        raise ProofFailed(f"{found.path}: {bad.message}", hint=bad.hint)
    if not as_json:
        say(f"✅ Backup validation passed: {artifact if artifact != 'latest' else found.path}")
