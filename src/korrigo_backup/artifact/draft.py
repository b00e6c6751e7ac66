"""An artifact that is being made, in a private draft (`.partial-…`); published under its final name.

It gets that name when it is complete, verified and on disk. A killed run leaves a draft, which no command lists,
verifies, counts or restores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact import manifest as manifests
from korrigo_backup.artifact.kinds import KINDS, ArtifactLayout, Origin
from korrigo_backup.artifact.naming import DIRECTORY_MANIFEST, MANIFEST_SUFFIX, free_name, parse
from korrigo_backup.artifact.signature import sign
from korrigo_backup.errors import UsageError
from korrigo_backup.system import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from korrigo_backup.artifact.keyring import Keyring
    from korrigo_backup.artifact.manifest import Manifest


class ArtifactDraft:
    """An artifact being made: a private directory in which its files are written."""

    def __init__(self, catalog: Path, directory: Path, name: str, keyring: Keyring | None) -> None:
        self._catalog = catalog
        self._keyring = keyring
        self.directory = directory
        self.name = name

    def path(self, suffix: str = "") -> Path:
        """Return the path of the artifact's file, or of the file with `suffix` next to it."""
        return self.directory / f"{self.name}{suffix}"

    def empty(self) -> None:
        """Remove all files written so far, to begin again."""
        for file in self.directory.iterdir():
            file.unlink()

    def publish(self, manifest: Manifest) -> Path:
        """Write and sign the manifest and give everything its final name, the artifact last; return its path.

        The caller has forced the files to disk and verified them.
        """
        return self.publish_signed(manifests.encode(manifest))

    def publish_signed(self, raw: bytes) -> Path:
        """Sign `raw`, a JSON object that describes the artifact, and give every file of the draft its final name."""
        signed = sign(raw, self._keyring.signing()) if self._keyring else raw
        manifests.require_size(signed, self.name)
        own = parse(self.name)
        is_manifest = own is not None and KINDS[own.kind].layout is ArtifactLayout.MANIFEST
        files.write_private(self.path() if is_manifest else self.path(MANIFEST_SUFFIX), signed)
        # The longest name first: the manifest and the listing have the artifact's name and a suffix. So the artifact
        # itself appears last, when its manifest and listing are there; a crash before leaves no artifact.
        for file in sorted(self.directory.iterdir(), key=lambda path: len(path.name), reverse=True):
            files.rename_new(file, self._catalog / file.name)
        files.fsync_directory(self._catalog)
        return self._catalog / self.name

    def publish_directory(self, made: Path, complete: Callable[[Path], Manifest]) -> Path:
        """Give a directory of this draft its final place, with the manifest that `complete` makes for it, signed."""
        final = _named(self._catalog, made.name)
        raw = manifests.encode(complete(final))
        (made / DIRECTORY_MANIFEST).unlink()
        files.write_private(made / DIRECTORY_MANIFEST, sign(raw, self._keyring.signing()) if self._keyring else raw)
        files.fsync_directory(made)
        files.rename_new(made, final)
        files.fsync_directory(self._catalog)
        return final


def _named(place: Path, name: str) -> Path:
    parsed = parse(name)
    if parsed is None or KINDS[parsed.kind].layout is not ArtifactLayout.DIRECTORY:
        raise UsageError(f"{name} is not the name of a Django backup", hint="install the same version on both sides")
    return place / free_name(parsed.kind, Origin.ROUTINE, parsed.stamp, set(names_in(place)))


def names_in(directory: Path) -> list[str]:
    """Return the names in the backup directory, none if it is missing. Raises UsageError if it is a file."""
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"the backup directory {directory} is a file", hint="set BACKUP_DIR to a directory")
    return [path.name for path in directory.iterdir()] if directory.is_dir() else []
