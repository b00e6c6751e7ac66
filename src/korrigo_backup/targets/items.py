"""The files of an artifact, or of a recovery kit, as a copy takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.history import members_of, suspects
from korrigo_backup.artifact.identity import IdentityMatch, stand
from korrigo_backup.artifact.kinds import KINDS, ArtifactLayout, Origin
from korrigo_backup.artifact.naming import MANIFEST_SUFFIX, MEMBERS_SUFFIX
from korrigo_backup.errors import NotFound
from korrigo_backup.media.store.listing import read as read_listing
from korrigo_backup.run.journal import read
from korrigo_backup.system.files import explained, open_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog


@dataclass(frozen=True)
class CopyItem:
    """An artifact or a recovery kit: its files by their names below the backup directory, the artifact's own first.

    `sha256` has the checksums that the manifest names. A recovery kit is sealed by itself. `stored` returns the
    SHA-256 of each file in the media store that the artifact lists.
    """

    name: str
    created: datetime
    files: Mapping[str, Path]
    sha256: Mapping[str, str] = field(default_factory=dict)
    is_kit: bool = False
    components: tuple[str, ...] = ()
    stored: Callable[[], frozenset[str]] = frozenset


def items(catalog: Catalog, names: Sequence[str], *, now: datetime) -> list[CopyItem]:
    """Return the artifacts called `names`, with their components; without names all good ones of this site, and kits.

    Safety copies of restores are left out unless they are named. Raises NotFound as `catalog.find`.
    """
    if names:
        found = {one.name: one for name in names for one in _with_components(catalog, catalog.find(name))}
        return [_item(one) for one in found.values()]
    artifacts = catalog.artifacts()
    bad = suspects(read(catalog.directory), artifacts)
    good = [a for a in artifacts if a.ours and not a.problem and a.name not in bad and a.origin is not Origin.SAFETY]
    # a restore point after its components, so that no point on a target lacks one
    good.sort(key=lambda a: (len(KINDS[a.kind].components), a.created))
    return [*map(_item, good), *_kits(catalog, now)]


def own_site(catalog: Catalog) -> str | None:
    """Return the identity of this site, None where no backup of it is."""
    artifacts = [artifact for artifact in catalog.artifacts() if artifact.ours]
    if catalog.owner:
        found = stand(catalog.owner, catalog.site_records.sites(artifacts))
        if found.known is IdentityMatch.OWN:
            return found.record.id
    identities = (a.header.identity.id for a in artifacts if a.header and a.header.identity and a.header.identity.id)
    return next(identities, None)


def require_site(catalog: Catalog) -> str:
    """Return the identity of this site; NotFound without a backup of it."""
    found = own_site(catalog)
    if found is None:
        raise NotFound(
            f"there is no backup of this site in {catalog.directory} to copy",
            hint="check BACKUP_DIR, or make a backup: korrigo-backup backup",
        )
    return found


def _with_components(catalog: Catalog, artifact: Artifact) -> Iterable[Artifact]:
    if KINDS[artifact.kind].components:
        yield from components(catalog, artifact)
    yield artifact


def _item(artifact: Artifact) -> CopyItem:
    path = artifact.path
    manifest = artifact.manifest
    named = {} if manifest is None or KINDS[artifact.kind].components else {m.name: m.sha256 for m in manifest.members}
    listing = artifact.stored_listing
    stored = partial(_stored, listing) if listing else frozenset
    if KINDS[artifact.kind].layout is ArtifactLayout.DIRECTORY:
        with explained(f"read {path}"):
            inside = sorted(child for child in path.iterdir() if child.is_file() and not child.is_symlink())
        files = {f"{artifact.name}/{child.name}": child for child in inside}
        sums = {f"{artifact.name}/{n}": s for n, s in named.items()}
        return CopyItem(artifact.name, artifact.created, files, sums, stored=stored)
    beside = [path.with_name(f"{path.name}{suffix}") for suffix in (MEMBERS_SUFFIX, MANIFEST_SUFFIX)]
    files = {one.name: one for one in (path, *beside) if one.exists()}
    return CopyItem(
        artifact.name, artifact.created, files, named, components=tuple(members_of(artifact)), stored=stored
    )


def _stored(listing: Path) -> frozenset[str]:
    with explained(f"read {listing}"), open_plain(listing) as file:
        return frozenset(entry.sha256 for entry in read_listing(file, listing.name) if entry.sha256)


def _kits(catalog: Catalog, now: datetime) -> list[CopyItem]:
    found = []
    for kit in catalog.kits()[-1:]:  # the newest holds all that the others do
        paths = (kit.with_name(f"{kit.name}{MANIFEST_SUFFIX}"), kit)
        found.append(CopyItem(kit.name, now, {one.name: one for one in paths if one.exists()}, is_kit=True))
    return found
