"""Read an artifact and its manifest from the disk, and check the manifest's signature with this site's keys."""

from __future__ import annotations

import os
import stat
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, assert_never

from msgspec.structs import replace

from korrigo_backup.artifact import manifest as manifests
from korrigo_backup.artifact.artifact import Artifact
from korrigo_backup.artifact.dump_file import is_dump
from korrigo_backup.artifact.header import header
from korrigo_backup.artifact.kinds import KINDS, ArtifactLayout, Kind
from korrigo_backup.artifact.naming import DIRECTORY_MANIFEST, MANIFEST_SUFFIX, STAMP_FORMAT
from korrigo_backup.artifact.signature import Authenticity, check
from korrigo_backup.core.moment import require_moment
from korrigo_backup.errors import KorrigoBackupError, ProofFailed
from korrigo_backup.system import files

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.artifact.header import ManifestHeader
    from korrigo_backup.artifact.keyring import Keyring
    from korrigo_backup.artifact.manifest import Manifest
    from korrigo_backup.artifact.naming import Name


class Reader:
    """Reads artifacts. Without a keyring no artifact is AUTHENTIC."""

    def __init__(self, keyring: Keyring | None) -> None:
        self._keyring = keyring

    def read(self, path: Path, name: Name, *, strict: bool = True) -> Artifact:
        """Raise OSError or ValueError for a link, a device, a directory where a file should be, a date that is none."""
        size = _size(path, directory=KINDS[name.kind].layout is ArtifactLayout.DIRECTORY)
        manifest, problem, authenticity = self._manifest(path, name.kind, strict=strict)
        created = manifest.created if manifest and manifest.created else _local(name.stamp)
        return Artifact(
            directory=path.parent,
            name=path.name,
            kind=name.kind,
            origin=name.origin,
            stamp=name.stamp,
            created=created,
            size=size,
            source=manifest,
            problem=problem,
            authenticity=authenticity,
        )

    def glance(self, path: Path, name: Name) -> Artifact:
        """Return the artifact without the manifest it was checked by: that is read, and checked, again when needed."""
        seen = self.read(path, name, strict=False)
        head = seen.header
        if head is None:
            return seen
        return replace(seen, source=partial(self._again, head, path, name.kind, seen.authenticity), head=head)

    def _again(self, head: ManifestHeader, path: Path, kind: Kind, authenticity: Authenticity) -> Manifest:
        manifest, _, signed = self._manifest(path, kind, strict=True)
        if manifest is None or (header(manifest), signed) != (head, authenticity):
            raise ProofFailed(
                f"the manifest of {path} changed while it was looked at",
                hint="find the program that writes there, then run it again: korrigo-backup list",
            )
        return manifest

    def _manifest(self, path: Path, kind: Kind, *, strict: bool) -> tuple[Manifest | None, str | None, Authenticity]:
        place = manifest_path(path, kind)
        try:
            raw = files.read_plain(place, manifests.LARGEST + 1)
            manifests.require_size(raw, str(place))
            manifest = manifests.decode(raw, str(place))
            return manifest, None, self.authenticity(raw, manifest=None if strict else manifest)
        except FileNotFoundError:
            required = KINDS[kind].layout is ArtifactLayout.DIRECTORY
            problem = "Manifest file not found in backup directory" if required else None
            return None, problem, Authenticity.UNSIGNED
        except (OSError, ValueError, KorrigoBackupError) as problem:
            return None, str(problem), Authenticity.UNSIGNED

    def authenticity(self, raw: bytes, manifest: Manifest | None = None) -> Authenticity:
        """Return the result of checking the signature of a manifest or record; `raw` must be a JSON object.

        `manifest` is the part of it that was decoded, if no other part will be used (`check`).
        """
        return check(raw, self._keyring.by_id if self._keyring else {}, read=manifest)


def manifest_path(path: Path, kind: Kind) -> Path:
    """Return the path of an artifact's manifest: inside its directory, next to its file, or the file itself."""
    layout = KINDS[kind].layout
    match layout:
        case ArtifactLayout.MANIFEST:
            return path
        case ArtifactLayout.DIRECTORY:
            return path / DIRECTORY_MANIFEST
        case ArtifactLayout.FILE:
            return path.with_name(path.name + MANIFEST_SUFFIX)
        case _:
            assert_never(layout)


def _local(stamped: str) -> datetime:
    """Raise ValueError for a stamp that is no date, or of a year that cannot be calculated with in every zone."""
    shown = time.strptime(stamped, STAMP_FORMAT)
    require_moment(datetime(shown.tm_year, 1, 1, tzinfo=UTC))
    return datetime.fromtimestamp(time.mktime(shown)).astimezone()


def _size(path: Path, *, directory: bool) -> int:
    info = path.stat(follow_symlinks=False)
    directory = directory or (stat.S_ISDIR(info.st_mode) and is_dump(path))
    if directory and stat.S_ISDIR(info.st_mode):
        with os.scandir(path) as children:
            return sum(child.stat(follow_symlinks=False).st_size for child in children)
    if directory or not stat.S_ISREG(info.st_mode):
        raise ValueError("a link, a device, or a directory where a file should be")
    return info.st_size
