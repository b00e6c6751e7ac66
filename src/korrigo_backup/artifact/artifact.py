"""Artifacts: restorable things on disk, as the catalog found them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.header import ManifestHeader, header
from korrigo_backup.artifact.kinds import KINDS, LISTING_SUFFIX, ArtifactLayout, Kind, Origin
from korrigo_backup.artifact.signature import Authenticity  # noqa: TC001 - msgspec reads it when it decodes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from korrigo_backup.artifact.manifest import Manifest


class ArtifactEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An artifact in a list, without its place and its manifest: the form that the published status has.

    `name` is the file or directory name. `created` comes from the manifest, else from the stamp in the name, never from
    mtime. `size` is in bytes, all members together. `authenticity` is the result of checking the manifest's signature;
    without a manifest there is none. `problem` says why a manifest that exists cannot be used. `ours` is False for an
    artifact of another site.
    """

    name: str
    kind: Kind
    origin: Origin
    stamp: str
    created: datetime
    size: int
    authenticity: Authenticity
    problem: str | None = None
    head: ManifestHeader | None = None
    ours: bool = True


class Artifact(ArtifactEntry, frozen=True, kw_only=True, dict=True):
    """An artifact in a directory.

    `source` gives the manifest: the manifest itself, None for a file without a manifest (made by the runbook's former
    script), or a function that reads it on demand, since a list of thousands needs only their headers. `passed_over`
    names newer artifacts that `latest` did not choose, each with the reason.
    """

    directory: Path
    source: Manifest | Callable[[], Manifest] | None
    passed_over: tuple[Stranger, ...] = ()

    @cached_property
    def path(self) -> Path:
        """The file or directory."""
        return self.directory / self.name

    @cached_property
    def manifest(self) -> Manifest | None:
        """The whole manifest; ProofFailed when it must be read, and has changed since it was first read."""
        return self.source() if callable(self.source) else self.source

    @cached_property
    def header(self) -> ManifestHeader | None:
        """The head of the manifest, None without a usable manifest; it reads no file."""
        return self.head or (header(self.manifest) if self.manifest else None)

    @property
    def is_listing(self) -> bool:
        """Whether it is a listing of the media store, which holds its files."""
        return self.name.endswith(LISTING_SUFFIX)

    @property
    def stored_listing(self) -> Path | None:
        """The listing of its files in the media store: itself, or a file of it; None if it has its files itself."""
        if self.is_listing:
            return self.path
        media = self.manifest.media if KINDS[self.kind].layout is ArtifactLayout.DIRECTORY and self.manifest else None
        return self.path / media.members if media and media.store else None


@dataclass(frozen=True)
class Stranger:
    """An entry of the backup directory that is no artifact, with the reason; this program never touches it.

    `name` is fit for any output: bytes that are no text are escaped. `ours` is True for an entry that is named like an
    artifact, and is no artifact or cannot be read.
    """

    name: str
    why: str
    ours: bool = False


@dataclass(frozen=True)
class CatalogSurvey:
    """All that was found in a directory of artifacts: those, newest first, and the rest, by name."""

    artifacts: tuple[Artifact, ...] = ()
    strangers: tuple[Stranger, ...] = ()
