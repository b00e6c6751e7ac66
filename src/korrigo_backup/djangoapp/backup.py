"""The straight line of a Method 2 backup: draft, dump, media, verify, publish."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from django.conf import settings
from django.db import connections

from korrigo_backup import __version__
from korrigo_backup.artifact import manifest as manifests
from korrigo_backup.artifact import naming
from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.manifest import Manifest, Member
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.djangoapp.fixture.dump import dump
from korrigo_backup.djangoapp.fixture.pg_catalog import place
from korrigo_backup.djangoapp.load.readback import count_rows
from korrigo_backup.djangoapp.localtime import machine_zone
from korrigo_backup.djangoapp.recovery import recover
from korrigo_backup.djangoapp.signing import signed, site_keys
from korrigo_backup.errors import PartlyDone
from korrigo_backup.media import zip_archive as media_zip
from korrigo_backup.media.stable import made
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.run.step import DjangoArchiving, DjangoArchivingAgain, DjangoSavingRows
from korrigo_backup.site import unfinished
from korrigo_backup.system.files import create_private, fsync_directory, remove_tree, rename_new, write_private
from korrigo_backup.system.streams import HashingWriter
from korrigo_backup.verify import django_artifact as artifact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.artifact.manifest import MediaProof
    from korrigo_backup.run.step import DjangoListener


@dataclass(frozen=True)
class DjangoBackupOptions:
    """The content of a backup, and the place of the result."""

    output_dir: Path
    alias: str
    include_media: bool
    exclude: Sequence[str] = ()
    indent: int | None = None
    accept: Sequence[str] = ()


def run(request: DjangoBackupOptions, listener: DjangoListener) -> Manifest:
    """Make a verified artifact in `request.output_dir` and return its manifest.

    Afterwards the directory has one more entry, or, after an error, as many as before.
    """
    started, clock, keys = datetime.now(UTC), time.monotonic(), site_keys()
    Catalog(request.output_dir, keys).require_key()
    media = MediaTree(media_root()) if request.include_media else None
    with _calm(media or MediaTree(media_root()), media), _draft(request.output_dir, started) as (draft, final, stamp):
        listener(DjangoSavingRows())
        with _member(draft, f"db_backup_{stamp}.json") as out:
            proof = dump(
                request.alias,
                out,  # type: ignore[arg-type]
                exclude=request.exclude,
                indent=request.indent,
                accept=request.accept,
            )
        members, media_proof = [out.member], None
        if media:
            listener(DjangoArchiving())
            media_proof, added = _archive(media, draft, f"media_backup_{stamp}.zip", listener)
            members += added
        manifest = Manifest(
            timestamp=stamp,
            includes_media=media is not None,
            database_backup=f"db_backup_{stamp}.json",
            media_backup=f"media_backup_{stamp}.zip" if media else None,
            backup_dir=str(final),
            format=manifests.FORMAT,
            kind=Kind.DJANGO,
            identity=place(connections[request.alias]),
            created=started,
            tool=f"korrigo-backup {__version__}",
            seconds=round(time.monotonic() - clock, 3),
            members=tuple(members),
            media=media_proof,
            django=proof,
        )
        raw = signed(manifests.encode(manifest), keys, request.output_dir)
        write_private(draft / naming.DIRECTORY_MANIFEST, raw)
        artifact.verify(draft, partial(count_rows, alias=request.alias))
        _publish(draft, final)
    return manifest


@contextmanager
def _calm(tree: MediaTree, wanted: MediaTree | None) -> Iterator[None]:
    """Recover from a killed restore, and keep restores of media away while the block reads them."""
    if unfinished.records(tree):
        with unfinished.alone(tree, "finish an interrupted restore"):
            recover(tree)
    if wanted is None:
        yield
        return
    wanted.require()
    with unfinished.alone(wanted, "back up", shared=True):
        yield


def media_root() -> Path:
    """Return MEDIA_ROOT as the settings have it now."""
    return Path(settings.MEDIA_ROOT or "media-root-is-not-set").absolute()


class _MemberWriter(HashingWriter):
    def __init__(self, name: str, file: IO[bytes]) -> None:
        super().__init__(file)
        self._name = name

    @property
    def member(self) -> Member:
        return Member(self._name, self.size, self.sha256)


@contextmanager
def _member(draft: Path, name: str) -> Iterator[_MemberWriter]:
    with create_private(draft / name) as file:
        yield _MemberWriter(name, file)
        os.fsync(file.fileno())


def _archive(tree: MediaTree, draft: Path, name: str, listener: DjangoListener) -> tuple[MediaProof, list[Member]]:
    def restart(changed: str) -> None:
        listener(DjangoArchivingAgain(changed))
        for written in (name, name + naming.MEMBERS_SUFFIX):
            (draft / written).unlink()

    return made(partial(_archived, tree, draft, name), restart)


def _archived(tree: MediaTree, draft: Path, name: str, *, again: bool) -> tuple[MediaProof, list[Member]]:
    listing_name = name + naming.MEMBERS_SUFFIX
    with _member(draft, name) as out, _member(draft, listing_name) as listing:
        proof = media_zip.create(tree, out, listing, members_name=listing_name, again=again)
    return proof, [out.member, listing.member]


@contextmanager
def _draft(directory: Path, started: datetime) -> Iterator[tuple[Path, Path, str]]:
    """Yield a private directory to fill, its final place and its stamp; a draft left at the end is removed."""
    stamp = naming.stamp(started.astimezone(machine_zone()))
    while True:
        present = {entry.name.removeprefix(naming.PARTIAL_PREFIX) for entry in directory.iterdir()}
        name = naming.free_name(Kind.DJANGO, Origin.ROUTINE, stamp, present)
        draft = directory / f"{naming.PARTIAL_PREFIX}{name}"
        try:
            draft.mkdir(mode=0o700)
        except FileExistsError:
            continue  # another run of this second was faster
        break
    try:
        draft.chmod(0o700)
        yield draft, directory / name, stamp
    finally:
        remove_tree(draft)


def _publish(draft: Path, final: Path) -> None:
    fsync_directory(draft)
    rename_new(draft, final)
    fsync_directory(final.parent)


def require_stable(manifest: Manifest) -> None:
    """Raise PartlyDone when files went on changing while they were read: the backup is good but for those."""
    unstable = manifest.media.unstable if manifest.media else ()
    if unstable:
        raise PartlyDone(
            f"{len(unstable)} media files changed while they were read: {first_of(unstable, 5)}",
            hint="make another backup when no uploads are under way",
            state=f"the backup {manifest.backup_dir} is complete but for these files",
        )
