"""The files of a Django backup, opened once: the bytes that were verified are those that are loaded."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from korrigo_backup.artifact.components import usable_manifest
from korrigo_backup.artifact.naming import DIRECTORY_MANIFEST
from korrigo_backup.errors import ProofFailed
from korrigo_backup.system.files import explained, open_plain
from korrigo_backup.verify import django_artifact as django_format

if TYPE_CHECKING:
    from contextlib import ExitStack

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import Manifest
    from korrigo_backup.core.finding import Finding


def open_verified(artifact: Artifact, stack: ExitStack) -> tuple[Manifest, list[Finding], dict[str, IO[bytes]]]:
    """Open the files of the artifact, read every byte, and return its manifest, the findings, and the files."""
    with explained(f"read {artifact.path}"):
        manifest, findings = django_format.verify(artifact.path)
        if manifest != usable_manifest(artifact):
            raise ProofFailed(
                f"the manifest of {artifact.name} has changed just now", hint="find the program that writes to it"
            )
        names = (DIRECTORY_MANIFEST, manifest.database_backup, manifest.media_backup)
        listing = manifest.media.members if manifest.media else None
        files = {name: stack.enter_context(open_plain(artifact.path / name)) for name in (*names, listing) if name}
    return manifest, findings, files
