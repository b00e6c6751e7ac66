"""The files of an artifact and its manifest: whether they are the saved ones, and artifacts without a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import Manifest


def require_member(artifact: Artifact, manifest: Manifest, name: str, sha256: str, size: int) -> None:
    """Raise ProofFailed unless the manifest names this member with this checksum and size.

    A renamed artifact (its own file only) is still known by its content.
    """
    saved = {(member.sha256, member.size) for member in manifest.members}
    if (sha256, size) not in saved:
        raise not_saved(artifact, name)


def not_saved(artifact: Artifact, name: str) -> ProofFailed:
    """Return the error for a member that differs from the manifest."""
    return ProofFailed(
        f"{name} is not the saved file: its checksum differs from the manifest's",
        hint=f"it was changed or damaged since {artifact.created:%Y-%m-%d %H:%M}: use another backup",
    )


def unproven(artifact: Artifact) -> Finding:
    """Return the warning about an artifact without a manifest."""
    return warning(
        "artifact.unproven",
        f"{artifact.name} has no manifest: it is whole, but its content cannot be proven",
        "it was made by another tool or its .manifest.json was lost",
    )
