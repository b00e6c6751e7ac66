"""The straight line of a Method 2 restore: check all, stage the media, load and prove, swap, commit."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from korrigo_backup.djangoapp import commit, loader
from korrigo_backup.djangoapp.backup import media_root
from korrigo_backup.djangoapp.dumper import applied_migrations
from korrigo_backup.djangoapp.snapshot import writing
from korrigo_backup.domain import naming
from korrigo_backup.domain.journal import Step
from korrigo_backup.errors import UNCHANGED
from korrigo_backup.formats import django as artifact
from korrigo_backup.formats import media_zip
from korrigo_backup.site.media import MediaTree
from korrigo_backup.system.files import free_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.djangoapp.loader import Load
    from korrigo_backup.domain.journal import Listener
    from korrigo_backup.domain.manifest import Manifest

UNKNOWN = (
    "the media are as before; whether the database took the restore is not known, as its server does not answer:"
    " start it and run the restore again"
)

RESERVE = 64 * 1024 * 1024
"""Bytes that unpacking media leaves free on their disk."""


@dataclass
class Restore:
    """One restore under way; `state` says at any moment how the site would be left."""

    directory: Path
    alias: str
    dry_run: bool
    listener: Listener
    state: str = UNCHANGED
    warnings: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Restore the artifact, or with `dry_run` check all that can be checked without changing anything."""
        manifest = artifact.read_manifest(self.directory)
        self.listener(Step("restore.begin", {"timestamp": manifest.timestamp}))
        with ExitStack() as stack:
            file = stack.enter_context(artifact.open_member(self.directory, manifest.database_backup or ""))
            self.listener(Step("restore.database"))
            load = loader.prepare(self.alias, manifest, file)
            self._warn(load)
            if self.dry_run:
                self._check_media(manifest)
            else:
                self._replace(manifest, load)

    def _warn(self, load: Load) -> None:
        only_backup, only_site = loader.migrations_differ(load, applied_migrations(self.alias))
        if only_backup:
            self.warnings.append(f"the backup has migrations that this site has not: {', '.join(only_backup[:5])}")
        if only_site:
            self.warnings.append(f"this site has migrations that the backup has not: {', '.join(only_site[:5])}")
        if load.manifest.django is None:
            self.warnings.append("an old backup without checksums: that it is complete could not be proven")

    def _check_media(self, manifest: Manifest) -> None:
        if manifest.includes_media:
            self.listener(Step("restore.media"))
            artifact.verify_media(self.directory, manifest)

    def _replace(self, manifest: Manifest, load: Load) -> None:
        tree = MediaTree(media_root())
        stamp = _free_stamp(tree, datetime.now(UTC))
        try:
            if manifest.includes_media:
                self._stage(tree, stamp, manifest)
            self._commit(tree if manifest.includes_media else None, stamp, load)
        finally:
            tree.discard_stage(stamp)
        if manifest.includes_media:
            self.listener(Step("restore.media-done", {"archive": str(self.directory / (manifest.media_backup or ""))}))

    def _stage(self, tree: MediaTree, stamp: str, manifest: Manifest) -> None:
        name = manifest.media_backup or ""
        with (
            artifact.open_member(self.directory, name) as archive,
            artifact.open_listing(self.directory, manifest) as listing,
        ):
            staging = tree.stage(stamp)
            try:
                room = max(0, free_bytes(tree.root) - RESERVE)
                checked = media_zip.load(archive, listing, name, staging=staging, room=room)
                artifact.expect_media(manifest, checked)
                staging.finish()
            finally:
                staging.close()

    def _commit(self, tree: MediaTree | None, stamp: str, load: Load) -> None:
        marker = None
        try:
            with writing(self.alias):
                self.listener(Step("restore.load", {"objects": str(load.objects)}))
                loader.run(load)
                marker = commit.marker(self.alias)
                if tree:
                    self.state = "the media were being put back: look for .before-* in MEDIA_ROOT"
                    tree.swap(stamp)
        except BaseException:
            committed = commit.happened(self.alias, marker) if marker else False
            if not committed:
                if tree:
                    tree.undo_swap(stamp)
                self.state = loader.ROLLED_BACK if committed is False else UNKNOWN
                raise
        self.state = "the restore is complete"
        self.listener(Step("restore.loaded", {"objects": str(load.objects)}))
        if tree:
            self.listener(Step("restore.media"))


def _free_stamp(tree: MediaTree, now: datetime) -> str:
    """Return the first stamp from `now` on under which nothing is kept: undoing this restore must not undo another."""
    names = [child.name for child in tree.root.iterdir()] if tree.root.is_dir() else []
    while any(naming.stamp(now) in name for name in names):
        now += timedelta(seconds=1)
    return naming.stamp(now)
