"""`korrigo-backup show`: the manifest of a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.consistency import findings
from korrigo_backup.cli.list_ import content, proof, summary
from korrigo_backup.cli.output import CommandContext, say, say_findings, say_json, say_table
from korrigo_backup.cli.program.names import ARTIFACT, find_artifact
from korrigo_backup.core.size import human

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.manifest import Manifest, TableProof


def command(
    context: typer.Context,
    artifact: Annotated[str, typer.Argument(help=ARTIFACT)] = "latest",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show a backup's manifest: time, content, number of rows and files, proof."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    found = find_artifact(wired, artifact)
    if as_json:
        say_json("show", {**summary(found), "manifest": found.manifest})
        return
    say(f"{found.path}")
    say(f"  kind      {found.kind} ({found.origin})")
    say(f"  created   {found.created.astimezone():%Y-%m-%d %H:%M:%S %Z}")
    say(f"  size      {human(found.size)} ({found.size} bytes)")
    say(f"  content   {content(found)}")
    say(f"  proof     {found.problem or proof(found)}")
    say(f"  signature {found.authenticity}")
    if found.manifest:
        _say_details(found.manifest)


def _say_details(manifest: Manifest) -> None:
    if manifest.site:
        code = f", code {manifest.revision}" if manifest.revision else ""
        say(f"  site      {manifest.site} {manifest.environment or ''}{code}")
        say(f"  made by   {manifest.tool} in {manifest.seconds} s")
    if manifest.database:
        database = manifest.database
        say(f"  database  {database.name}, server {database.server_version}, pg_dump {database.client_version}")
    for member in manifest.members:
        say(f"  sha256    {member.sha256}  {member.name}")
    if manifest.media:
        for note in (
            *manifest.media.notes,
            *(f"changed while read: {path}" for path in manifest.media.unstable),
        ):
            say(f"  note      {note}")
    if manifest.consistency:
        say_findings(findings(manifest.consistency))
    tables: tuple[TableProof, ...] = manifest.database.tables if manifest.database else ()
    tables = manifest.django.models if manifest.django else tables
    if tables:
        say("")
        say_table(
            ("TABLE", "ROWS", "DIGEST"),
            [(t.name, str(t.rows), t.digest or "-") for t in tables],
            data={"TABLE", "DIGEST"},
        )
