"""A media backup in the other form: an archive written from the media store, and an archive taken into it."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact.kinds import KINDS, Kind
from korrigo_backup.artifact.manifest import Member, StoreProof
from korrigo_backup.artifact.naming import MEMBERS_SUFFIX, STAMP_FORMAT
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.backup.backup import require_same
from korrigo_backup.backup.published import published
from korrigo_backup.compare.compare import require_new
from korrigo_backup.errors import Refused, UsageError
from korrigo_backup.media import archive as media_format
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.media.store.stored_tree import StoredTree
from korrigo_backup.media.store.taking_in import StoreStage
from korrigo_backup.run.step import silent
from korrigo_backup.system.blocks import Effort
from korrigo_backup.system.files import create_private, explained, open_plain, sha256_of
from korrigo_backup.system.streams import GzipWriter, HashingWriter
from korrigo_backup.verify.media_source import open_media

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog


def export_archive(artifact: Artifact, file: Path, *, root: str) -> media_format.Content:
    """Write the files of a listing as the archive that `backup media` makes without the store, and its listing.

    The archive is `file`, the listing has `.sha256` in addition; both are read back. `root` is the beginning of every
    path if the manifest does not name it. Raises UsageError for another artifact or a file that exists, ProofFailed for
    a damaged one.
    """
    if not artifact.is_listing:
        raise UsageError(
            f"{artifact.name} is no listing of the media store",
            hint="korrigo-backup list --kind media shows the media backups; their names end in .files.gz",
        )
    checksums = file.with_name(file.name + MEMBERS_SUFFIX)
    require_new(file)
    require_new(checksums)
    with open_media(artifact, unpacked=False) as source, explained(f"write {file}"):
        root = source.saved.root if source.saved else root
        try:
            with create_private(file) as raw, create_private(checksums) as list_file:
                archive, listing = HashingWriter(raw), HashingWriter(list_file)
                tree = StoredTree(source.archive, artifact.name, MediaStore(artifact.path.parent))
                media_format.create(tree, archive, listing, root=root, members_name=checksums.name)
                os.fsync(raw.fileno())
                os.fsync(list_file.fileno())
            with open_plain(file) as raw, open_plain(checksums) as list_file:
                checked = media_format.check(raw, list_file, file.name, root=root)
        except BaseException:
            file.unlink(missing_ok=True)
            checksums.unlink(missing_ok=True)
            raise
    require_same(checked.sha256, archive.sha256, file.name)
    return checked


def import_archive(catalog: Catalog, artifact: Artifact) -> Artifact:
    """Take a media archive of this site into the media store, and publish its listing with its time; return that.

    The archive stays. The caller holds the lock. Raises Refused for an archive without this site's signature,
    UsageError for another artifact, ProofFailed for a damaged one.
    """
    manifest = artifact.manifest
    if not KINDS[artifact.kind].has_files_alone or artifact.is_listing:
        raise UsageError(f"{artifact.name} is no media archive", hint="name a media_backup_….tar.gz")
    if manifest is None or manifest.media is None or artifact.authenticity is not Authenticity.AUTHENTIC:
        raise Refused(
            f"{artifact.name} is not signed with this site's key: its listing would be",
            hint="restore it (korrigo-backup restore --allow-unsigned), then back up: korrigo-backup backup media",
        )
    moment = datetime.strptime(artifact.stamp, STAMP_FORMAT)  # noqa: DTZ007 - a stamp is the site's own clock
    with (
        open_media(artifact, unpacked=False) as source,
        explained("write into the media store"),
        catalog.draft(Kind.MEDIA, artifact.origin, moment, stored=True) as draft,
        MediaStore(catalog.directory).writing() as writer,
    ):
        stage = StoreStage(writer)
        source.load(stage, trusted=True)
        stage.finish()
        with create_private(draft.path()) as file:
            target = HashingWriter(file)
            with GzipWriter(target, Effort.QUICK) as gzip:
                for lines in stage.lines():
                    gzip.write(lines)
            os.fsync(file.fileno())
        require_same(sha256_of(draft.path())[0], target.sha256, draft.name)
        store = StoreProof(new_files=writer.files, new_bytes=writer.bytes)
        path = draft.publish(
            replace(
                manifest,
                media_backup=draft.name,
                backup_dir=str(catalog.directory.absolute()),
                members=(Member(draft.name, target.size, target.sha256),),
                media=replace(manifest.media, members=draft.name, properties=True, store=store),
            )
        )
    return published(catalog, path, silent)
