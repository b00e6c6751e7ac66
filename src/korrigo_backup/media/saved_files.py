"""The files of a media backup by its listing: that of an archive, or of the media store."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import LISTING_SUFFIX
from korrigo_backup.artifact.naming import MEMBERS_SUFFIX
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.media import listing as members
from korrigo_backup.media.store import listing as stored
from korrigo_backup.system.files import open_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.system.streams import ByteSource


def listing_path(artifact: Path) -> Path:
    """Return the path of the listing of a media backup: the artifact itself, or the file next to its archive."""
    return artifact if artifact.name.endswith(LISTING_SUFFIX) else artifact.with_name(artifact.name + MEMBERS_SUFFIX)


def links_of_archive(backup: Artifact) -> Mapping[str, str]:
    """Return the targets of the symbolic links of a media archive by their paths, as its signed manifest names them."""
    media = backup.manifest.media if backup.manifest else None
    is_signed = backup.authenticity is Authenticity.AUTHENTIC
    return media.links or {} if media and is_signed and not backup.is_listing else {}


@contextmanager
def saved_files(artifact: Path, root: str) -> Iterator[Iterator[tuple[str, str]]]:
    """Yield the SHA-256 and the path below the media root of every file of a media backup, in order.

    `root` is the beginning of every path in an archive. Raises FileNotFoundError if the listing is missing, ProofFailed
    if it is damaged.
    """
    path = listing_path(artifact)
    with open_plain(path) as raw:
        if path is artifact:
            yield stored_files(raw, path.name)
        else:
            with os.fdopen(os.dup(raw.fileno()), "rb") as lines:
                yield members.below(members.read(lines, artifact.name), root)


def stored_files(listing: ByteSource, source: str) -> Iterator[tuple[str, str]]:
    """Yield the SHA-256 and the path of every file of a listing of the media store."""
    return ((entry.sha256, entry.path) for entry in stored.read(listing, source) if entry.sha256)
