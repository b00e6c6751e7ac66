"""Backups of the media: an archive that is read back while it is written, and its possible faults."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact.kinds import KINDS, Kind, Origin
from korrigo_backup.artifact.manifest import Member
from korrigo_backup.artifact.naming import MEMBERS_SUFFIX
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.backup.backup import BackedUp, new_manifest, require_same, require_space
from korrigo_backup.backup.media_store import store_tree
from korrigo_backup.backup.published import published
from korrigo_backup.errors import PartlyDone, Unreachable
from korrigo_backup.media import archive as media_format
from korrigo_backup.media.findings import accepted, damaged_files, doubt, doubtful, of_media
from korrigo_backup.media.stable import made
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.step import ArchivingAgain, CreatingArchive, Listener, ReadingBack, silent
from korrigo_backup.site.site import is_large
from korrigo_backup.system.files import create_private, explained, sha256_of
from korrigo_backup.system.follow import followed
from korrigo_backup.system.progress import Work, under_way
from korrigo_backup.system.streams import HashingWriter
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.draft import ArtifactDraft
    from korrigo_backup.artifact.manifest import MediaProof
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.media.port import Tree
    from korrigo_backup.site.site import Site


def backup_media(
    site: Site,
    catalog: Catalog,
    *,
    now: datetime,
    origin: Origin = Origin.ROUTINE,
    listen: Listener = silent,
    accept: frozenset[str] = frozenset(),
) -> BackedUp:
    """Make a verified `media` backup.

    PartlyDone when files went on changing while they were read, or when far fewer are there than before, unless that is
    accepted.
    """
    tree = site.required_media()
    with (
        _media_alone(site, catalog, listen) as site,  # noqa: PLR1704 - now held
        recorded(catalog.directory, site, "backup", "media", listener=listen) as running,
    ):
        artifact = archive(site, tree, catalog, now=now, origin=origin, listen=running.listen, accept=accept)
        running.bytes = artifact.size
        require_complete(artifact)
        return BackedUp(artifact, findings=media_findings(artifact))


@contextmanager
def _media_alone(site: Site, catalog: Catalog, listen: Listener) -> Iterator[Site]:
    """Lock the site; files can be saved while the database is down, unless they are half-swapped."""
    with ExitStack() as stack:
        doing = "backup of the media"
        try:
            site, _ = stack.enter_context(exclusive(site, catalog, doing, listen=listen, own=True))
        except Unreachable:
            if site.media and site.media.unfinished():
                raise
            stack.enter_context(catalog.exclusive(doing))
        yield site


def media_findings(artifact: Artifact) -> tuple[Finding, ...]:
    """Return the findings about the media in a backup."""
    return tuple(of_media(artifact.manifest)) if artifact.manifest else ()


def require_complete(artifact: Artifact) -> None:
    """Raise PartlyDone when a media backup that was made does not hold all that it should, or an older one is hurt."""
    require_stable(artifact)
    _require_expected(artifact)
    _require_undamaged(artifact)


def _require_undamaged(artifact: Artifact) -> None:
    store = artifact.manifest.media.store if artifact.manifest and artifact.manifest.media else None
    if store and store.damaged:
        found = damaged_files(store)
        raise PartlyDone(
            f"{artifact.name} is good, but {found.message}",
            hint=found.hint,
            state=f"the backup {artifact.path} holds every file that the site has",
        )


def require_stable(artifact: Artifact) -> None:
    """Raise PartlyDone when files went on changing while they were read: the backup is good but for those."""
    unstable = artifact.manifest.media.unstable if artifact.manifest and artifact.manifest.media else ()
    if unstable:
        raise PartlyDone(
            f"{artifact.name} is there, but {len(unstable)} files changed while they were read: {unstable[0]}",
            hint="run the media backup again when the upload is over",
            state=f"the backup {artifact.path} holds everything else",
        )


def _require_expected(artifact: Artifact) -> None:
    """Raise PartlyDone when the media may not be all there are: the disk with them may not be mounted."""
    manifest = artifact.manifest
    if manifest and manifest.media and manifest.doubt:
        found = doubtful(manifest.doubt, manifest.media)
        raise PartlyDone(
            f"{artifact.name} is made, but {found.message}",
            hint=found.hint,
            state=f"{manifest.doubt.reference} stays until a backup is made that is in no doubt",
        )


def last_media(site: Site, catalog: Catalog) -> Artifact | None:
    """Return the newest media backup of this site that this site has signed, None when there is none."""
    for one in catalog.artifacts():
        ours = one.header and (one.header.site, one.header.environment) == (site.name, site.environment)
        if KINDS[one.kind].has_files_alone and ours and one.authenticity is Authenticity.AUTHENTIC:
            return one
    return None


def archive(
    site: Site,
    tree: Tree,
    catalog: Catalog,
    *,
    now: datetime,
    listen: Listener,
    origin: Origin = Origin.ROUTINE,
    accept: frozenset[str] = frozenset(),
) -> Artifact:
    """Make and publish a `media` artifact; the caller holds the lock."""
    started = time.monotonic()
    seen = _Seen()
    require_space(catalog, Kind.MEDIA, otherwise=lambda: seen.look(tree))
    last = last_media(site, catalog)
    stored = belongs_in_store(site, tree, last)
    with explained("write the media backup"), catalog.draft(Kind.MEDIA, origin, now, stored=stored) as draft:
        listen(CreatingArchive(str(catalog.directory / draft.name)))

        def restart(changed: str) -> None:
            listen(ArchivingAgain(changed))
            draft.empty()
            work.size = work.count = 0

        work = media_format.saving(*expected_media(last)) if last else media_format.saving(seen.files, seen.bytes)
        with under_way(work):
            if stored:
                proof, members = store_tree(site, tree, catalog, draft.path(), last, now, restart, work)
            else:
                proof, members = made(partial(_archived, tree, draft, site.archive_root, listen, work), restart)
        facts = tree.facts()
        outside = accepted(proof.outside, site.accepted_links)
        proof = replace(proof, outside=outside, mounts=facts.live_mounts, file_system=facts.file_system)
        manifest = new_manifest(site, catalog, members, now)
        seconds = round(time.monotonic() - started, 3)
        path = draft.publish(
            replace(
                manifest,
                kind=Kind.MEDIA,
                origin=origin,
                includes_media=True,
                media_backup=draft.name,
                media=proof,
                doubt=doubt(proof, last, accept),
                seconds=seconds,
            )
        )
    return published(catalog, path, listen)


@dataclass
class _Seen:
    """The files of a tree and their bytes; None until it is looked at."""

    files: int | None = None
    bytes: int | None = None

    def look(self, tree: Tree) -> int:
        """Walk the tree; return the bytes of its files."""
        self.files = size = 0
        for entry in tree.walk():
            if entry.is_file:
                self.files += 1
                size += entry.info.st_size
        self.bytes = size
        return size


def expected_media(last: Artifact) -> tuple[int | None, int | None]:
    """Return the files and bytes that a tree probably has: those of the last backup."""
    media = last.manifest.media if last.manifest else None
    return (media.files, media.bytes) if media else (None, None)


def belongs_in_store(site: Site, tree: Tree, last: Artifact | None) -> bool:
    """Return whether the files go to the media store: as configured, else for a large tree, and then for ever."""
    if site.store.use is not None:
        return site.store.use
    if last is not None:
        files = last.header.files if last.header else None
        return last.is_listing or is_large(files or 0, last.size)
    files = size = 0
    for entry in tree.walk():
        files += entry.is_file
        size += entry.info.st_size if entry.is_file else 0
        if is_large(files, size):
            return True
    return False


@phase("media archive")
def _archived(
    tree: Tree, draft: ArtifactDraft, root: str, listen: Listener, work: Work, *, again: bool
) -> tuple[MediaProof, tuple[Member, ...]]:
    """Write the archive and its listing into the draft, read back behind the writer."""
    listing_name = draft.name + MEMBERS_SUFFIX
    with (
        create_private(draft.path()) as file,
        create_private(draft.path(MEMBERS_SUFFIX)) as list_file,
        followed(
            [draft.path(), draft.path(MEMBERS_SUFFIX)],
            partial(media_format.read_back, source=draft.name, root=root),
        ) as behind,
    ):
        target, listing = HashingWriter(file, behind.grown), HashingWriter(list_file, behind.grown)
        proof = media_format.create(tree, target, listing, root=root, members_name=listing_name, again=again, work=work)
        os.fsync(file.fileno())
        os.fsync(list_file.fileno())
        listen(ReadingBack())
        require_same(behind.result(), target.sha256, draft.name)
    require_same(sha256_of(draft.path(MEMBERS_SUFFIX))[0], listing.sha256, listing_name)
    return proof, (
        Member(draft.name, target.size, target.sha256),
        Member(listing_name, listing.size, listing.sha256),
    )
