"""The last step of a backup: the published artifact is read as every later command will read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.errors import ProofFailed
from korrigo_backup.run.step import Listener, Published

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog


def published(catalog: Catalog, path: Path, listen: Listener) -> Artifact:
    """Return the artifact that has just been given its name, and report it.

    Raises ProofFailed when the catalog cannot decode its manifest, or does not take it for authentic.
    """
    artifact = catalog.find(str(path))
    if problem := artifact.problem or _unsigned(catalog, artifact):
        raise ProofFailed(
            f"{path} was written, but cannot be read again as a backup: {problem}",
            hint="check the disk, and other programs that write to the backup directory; then run the backup again",
            state=f"{path} is no backup and is never restored; the earlier backups are as they were",
        )
    listen(Published(str(path), artifact.size))
    return artifact


def _unsigned(catalog: Catalog, artifact: Artifact) -> str | None:
    if artifact.manifest is None:
        return "its manifest is missing"
    if catalog.is_signing and artifact.authenticity is not Authenticity.AUTHENTIC:
        return f"its signature is {artifact.authenticity}"
    return None
