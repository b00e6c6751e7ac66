"""`korrigo-backup list`: the backups there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.cli.output import Context, human, say, say_json, say_table
from korrigo_backup.domain.naming import Kind

if TYPE_CHECKING:
    from korrigo_backup.domain.artifact import Artifact
    from korrigo_backup.domain.manifest import Manifest
    from korrigo_backup.wiring import Wired


def command(
    context: typer.Context,
    kind: Annotated[Kind | None, typer.Option(help="Only this kind.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """List the backups, newest first. A backup without a manifest can be restored, but not proven."""
    wired: Wired = context.ensure_object(Context).wired()
    found = [a for a in wired.catalog.artifacts() if kind is None or a.kind is kind]
    if as_json:
        say_json("list", [summary(artifact) for artifact in found])
    elif not found:
        say(f"no backups in {wired.config.backup.dir}; make one: korrigo-backup backup")
    else:
        say_table(("NAME", "CREATED", "SIZE", "CONTENT", "PROOF"), [_row(artifact) for artifact in found])


def summary(artifact: Artifact) -> dict[str, object]:
    """Return what `--json` says of one artifact; paths absolute."""
    return {
        "name": artifact.name,
        "path": str(artifact.path.absolute()),
        "kind": artifact.kind,
        "origin": artifact.origin,
        "created": artifact.created,
        "size": artifact.size,
        "proof": proof(artifact),
        "problem": artifact.problem,
    }


def proof(artifact: Artifact) -> str:
    """Return in a word what the manifest lets us prove: rows, counts, files, or none."""
    manifest = artifact.manifest
    if artifact.problem:
        return "broken"
    if manifest is None or manifest.format == 0:
        return "none"
    if manifest.consistency:
        return "point"
    if manifest.database:
        return "rows" if manifest.database.digest else "counts"
    return "rows" if manifest.django else "files"


def content(manifest: Manifest | None) -> str:
    """Return in a few words what is inside."""
    parts = []
    if manifest and manifest.database:
        parts.append(f"{manifest.database.rows} rows")
    if manifest and manifest.django:
        parts.append(f"{manifest.django.rows} objects")
    if manifest and manifest.media:
        parts.append(f"{manifest.media.files} files")
    if manifest and manifest.consistency:
        found = manifest.consistency
        parts.append(f"{manifest.database_backup} + media, {found.missing} of {found.references} files missing")
    return ", ".join(parts) or "?"


def _row(artifact: Artifact) -> tuple[str, str, str, str, str]:
    created = f"{artifact.created.astimezone():%Y-%m-%d %H:%M:%S}"
    return artifact.name, created, human(artifact.size), content(artifact.manifest), proof(artifact)
