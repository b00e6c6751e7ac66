"""The first depth of verification: every file of an artifact exists and is, bit by bit, as saved.

A file that was read back when it was made need not be unpacked again: its checksum is in a signed manifest. An unsigned
artifact is read as far as its content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from korrigo_backup.artifact.components import authenticity, members_of
from korrigo_backup.artifact.kinds import KINDS, Kind
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.finding import Finding, ok
from korrigo_backup.errors import NotFound, ProofFailed
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.system.files import explained, open_plain, sha256_of_open
from korrigo_backup.system.progress import reading
from korrigo_backup.verify.django_artifact import verify_stored_media
from korrigo_backup.verify.media_source import open_media

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.manifest import Manifest, Member


def structure(catalog: Catalog, artifact: Artifact) -> list[Finding]:
    """Return the findings about its files, each read whole; ProofFailed or NotFound for the first with a fault."""
    manifest = artifact.manifest
    if manifest is None or artifact.authenticity is not Authenticity.AUTHENTIC or not manifest.members:
        from korrigo_backup.verify.content import content  # noqa: PLC0415 - a signed artifact is not unpacked

        return content(catalog, artifact)
    found = authenticity(artifact, allow_unsigned=False)
    if KINDS[artifact.kind].components:
        return [*found, *(one for member in members_of(catalog, artifact) for one in structure(catalog, member))]
    size = sum(_same(path, member) for path, member in _files(artifact, manifest))
    if artifact.is_listing:
        with open_media(artifact, unpacked=False) as source:
            found += source.findings
    elif artifact.stored_listing:
        found.append(verify_stored_media(artifact.path, manifest, MediaStore(artifact.directory), content=False))
    return [*found, ok("artifact.checksum", f"{artifact.name}: {size:,} bytes, all as saved")]


def is_good(catalog: Catalog, artifact: Artifact) -> bool:
    """Return whether every file of an artifact exists and is as saved; a failing disk is raised."""
    try:
        structure(catalog, artifact)
    except (ProofFailed, NotFound):
        return False
    return True


def _files(artifact: Artifact, manifest: Manifest) -> Iterator[tuple[Path, Member]]:
    """Yield each member with its path; a file artifact may have been renamed, and its members with it."""
    match artifact.kind:
        case Kind.DJANGO:
            yield from ((artifact.path / member.name, member) for member in manifest.members)
            return
        case Kind.SQL:
            saved = manifest.database_backup
        case Kind.MEDIA:
            saved = manifest.media_backup
        case Kind.POINT:
            raise ValueError(f"{artifact.name} is a restore point, which has no file besides its manifest")
        case _:
            assert_never(artifact.kind)
    for member in manifest.members:
        yield artifact.path.with_name(artifact.name + member.name.removeprefix(saved or "")), member


def _read(path: Path) -> tuple[str, int]:
    with open_plain(path) as file, reading("computing the checksum of a backup", file, path.name):
        return sha256_of_open(file)


def _same(path: Path, member: Member) -> int:
    try:
        with explained(f"read {path}"):
            found = _read(path) if path.exists() and not path.is_symlink() else None
    except ValueError:
        found = None
    if found is None:
        raise ProofFailed(
            f"{path} is missing, or is not a file", hint="copy it back, or use another backup: korrigo-backup list"
        )
    if found != (member.sha256, member.size):
        raise ProofFailed(
            f"{path.name} is not the saved file: its checksum differs from the manifest's",
            hint="it was changed, cut or damaged since: use another backup (korrigo-backup list)",
        )
    return member.size
