"""Artifacts: restorable things on disk, as the catalog found them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.domain.authenticity import Authenticity

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.domain.manifest import Manifest
    from korrigo_backup.domain.naming import Kind, Origin


@dataclass(frozen=True)
class Artifact:
    """One artifact. `created` comes from the manifest, else from the stamp in the name, never from mtime.

    `manifest` is None for a file without one (made by the runbook's former script); `problem` says why a
    manifest that is there cannot be used. `size` is in bytes, all members together. `authenticity` is what the
    manifest's signature says; without a manifest there is none.
    """

    path: Path
    kind: Kind
    origin: Origin
    stamp: str
    created: datetime
    size: int
    manifest: Manifest | None
    problem: str | None = None
    authenticity: Authenticity = Authenticity.UNSIGNED

    @property
    def name(self) -> str:
        """The file or directory name."""
        return self.path.name


@dataclass(frozen=True)
class Stranger:
    """Something in the backup directory that is no artifact, and why not; nothing of ours touches it.

    `ours` when it has the name of an artifact, and is none or cannot be read.
    """

    name: str
    why: str
    ours: bool = False


@dataclass(frozen=True)
class Survey:
    """All that was found in a directory of artifacts: those, newest first, and the rest, by name."""

    artifacts: tuple[Artifact, ...] = ()
    strangers: tuple[Stranger, ...] = ()
