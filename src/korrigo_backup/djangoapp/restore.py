"""The straight line of a Method 2 restore: check all, stage the media, load and prove, swap, commit.

The media are swapped inside the transaction, after a record that names it is on disk: from the first rename to the
last look, COMMIT alone decides whether database and media are new or old (site/unfinished.py, recovery.py).
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import DatabaseError, connections
from msgspec.structs import replace

from korrigo_backup.artifact import naming
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.djangoapp.backup import media_root
from korrigo_backup.djangoapp.erasing import erased_since, require_nothing_erased
from korrigo_backup.djangoapp.fixture.migration_state import applied, compare, in_code
from korrigo_backup.djangoapp.fixture.outside import missing_rights
from korrigo_backup.djangoapp.load import load as loader
from korrigo_backup.djangoapp.localtime import machine_zone
from korrigo_backup.djangoapp.recovery import close, recover
from korrigo_backup.djangoapp.served import Host
from korrigo_backup.djangoapp.signing import judge, site_keys
from korrigo_backup.djangoapp.transaction import commit
from korrigo_backup.djangoapp.transaction.snapshot import writing
from korrigo_backup.errors import UNCHANGED
from korrigo_backup.media import zip_archive as media_zip
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.retention.policy import SAFETY_DAYS
from korrigo_backup.run.step import (
    DjangoBegun,
    DjangoDatabase,
    DjangoLoaded,
    DjangoLoading,
    DjangoMedia,
    DjangoMediaKept,
    DjangoMediaRestored,
    DjangoTables,
)
from korrigo_backup.site import unfinished
from korrigo_backup.site.unfinished import DjangoRestoreRecord
from korrigo_backup.system.files import free_bytes
from korrigo_backup.verify import django_artifact as artifact

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.artifact.keyring import Keyring
    from korrigo_backup.artifact.manifest import Manifest
    from korrigo_backup.djangoapp.fixture.tables import ModelTable
    from korrigo_backup.djangoapp.load.load import Load
    from korrigo_backup.run.step import DjangoListener

UNDECIDED = (
    "the restore of the media was interrupted: run manage.py restore or backup again, it finishes or undoes this first"
)
UNKNOWN = (
    "whether the database took the restore is not known, as its server does not answer: start it and run"
    " manage.py restore or backup, which makes database and media both new or both old"
)

RESERVE = 64 * 1024 * 1024
"""Bytes that unpacking media leaves free on their disk."""


@dataclass
class Restore:
    """A restore in progress; `state` is at any moment the state in which the site would be left.

    `source` is a directory, or what the host serves, which has verified every byte of it; with `verified` it has
    found its signature good, too. `stamp` is that of what is kept of the media, by default the time of now. With
    `into`, the name of a copy of the database, that copy is loaded and the media stay staged: the host swaps both.
    `without_ledger`: rows erased on request may come back.
    """

    source: Path | Host
    alias: str
    dry_run: bool
    listener: DjangoListener
    allow_unsigned: bool = False
    verified: bool = False
    stamp: str | None = None
    into: str | None = None
    without_ledger: bool = False
    state: str = UNCHANGED
    warnings: list[str] = field(default_factory=list)
    _undecided: bool = False

    def run(self) -> None:
        """Restore the artifact, or with `dry_run` check all that can be checked without changing anything."""
        keys = site_keys()
        manifest, found = artifact.read_signed(self.source, keys.by_id if keys else {})
        self.listener(DjangoBegun(manifest.timestamp))
        if not isinstance(self.source, Host):
            artifact.require_archive(self.source, manifest)
            self._look_for_erased(keys, manifest)
        with ExitStack() as stack:
            file = stack.enter_context(artifact.open_member(self.source, manifest.database_backup or ""))
            self.listener(DjangoDatabase(str(connections[self.alias].settings_dict["NAME"])))
            if warning := judge(found, keys, allow_unsigned=self.allow_unsigned or self.verified):
                self.warnings += [] if self.verified else [warning]
            trusted = self.allow_unsigned or self.verified or found is Authenticity.AUTHENTIC
            load = loader.prepare(self.alias, manifest, file, trusted=trusted)
            self._warn(load)
            if self.dry_run:
                self.listener(DjangoTables({table.label: _name(table) for table in load.tables}))
                self.warnings += missing_rights(load.tables, self.alias)
                self._check_media(manifest)
            else:
                self._replace(manifest, load)

    def _look_for_erased(self, keys: Keyring | None, manifest: Manifest) -> None:
        """Refuse to bring erased rows back, or warn; the host applies its ledger itself to what it serves."""
        why = erased_since(keys, manifest.timestamp)
        if self.dry_run or self.without_ledger:
            self.warnings += [f"the erasure ledger is not applied: {why}"] if why else []
        else:
            require_nothing_erased(why)

    def _warn(self, load: Load) -> None:
        self.warnings += load.warnings
        if load.manifest.django:
            theirs = load.manifest.django.migrations
            self.warnings += compare(theirs, in_code(), applied(self.alias))
        if load.manifest.django is None:
            self.warnings.append("an old backup without checksums: that it is complete could not be proven")

    def _check_media(self, manifest: Manifest) -> None:
        if unfinished.records(MediaTree(media_root())):
            self.warnings.append("a restore was interrupted: the next restore or backup will first finish or undo it")
        if manifest.includes_media:
            self.listener(DjangoMedia())
            if not isinstance(self.source, Host):
                artifact.verify_media(self.source, manifest)

    def _replace(self, manifest: Manifest, load: Load) -> None:
        if not manifest.includes_media:
            self._say_all(finish_interrupted())
            self._commit(None, None, load)
            return
        tree = MediaTree(media_root())
        with unfinished.alone(tree, "restore"):
            self._say_all(recover(tree))
            self._replace_both(tree, manifest, load)

    def _replace_both(self, tree: MediaTree, manifest: Manifest, load: Load) -> None:
        stamp = self.stamp or _free_stamp(tree, datetime.now(machine_zone()))
        name = str(connections[self.alias].settings_dict["NAME"])
        record = DjangoRestoreRecord(stamp, self.alias, name)
        unfinished.write(tree, record)  # from here on the next command cleans up after us
        try:
            self._stage(tree, stamp, manifest)
            commit.prepare(self.alias)
            self._commit(None if self.into else tree, None if self.into else record, load)
        except BaseException:
            if not self._undecided:
                close(tree, record, committed=False)
            raise
        if self.into:
            unfinished.remove(tree, stamp)
            return
        with suppress(DatabaseError):  # then the record stays, and the next run removes what is left
            close(tree, record, committed=True)
        self.listener(DjangoMedia())
        self.listener(DjangoMediaRestored(f"{self.source}/{manifest.media_backup}"))
        if (kept := tree.beside("before", stamp)).is_dir():
            self.listener(DjangoMediaKept(str(kept), SAFETY_DAYS))

    def _say_all(self, done: list[str]) -> None:
        self.warnings += done

    def _stage(self, tree: MediaTree, stamp: str, manifest: Manifest) -> None:
        name = manifest.media_backup or ""
        with (
            artifact.open_member(self.source, name) as archive,
            artifact.open_listing(self.source, manifest) as listing,
        ):
            staging = tree.stage(stamp)
            try:
                room = max(0, free_bytes(tree.root) - RESERVE)
                checked = media_zip.load(archive, listing, name, staging=staging, room=room)
                artifact.expect_media(manifest, checked)
                staging.finish()
            finally:
                staging.close()

    def _commit(self, tree: MediaTree | None, record: DjangoRestoreRecord | None, load: Load) -> None:
        marker, swapped = None, False
        try:
            with writing(self.alias, utc=load.is_exact):
                self.listener(DjangoLoading(load.objects))
                self.warnings += loader.run(load)
                marker = self._marker(record)
                if isinstance(self.source, Host):
                    self.source.wait_for_the_word(marker or "")
                if tree and record:
                    self._swap(tree, replace(record, marker=marker))
                swapped = True
        except BaseException:
            committed = swapped and self._committed(marker)
            if not committed:
                self._take_back(tree, record, committed)
                raise
        self.state, self._undecided = "the restore is complete", False
        self.listener(DjangoLoaded(load.objects))

    def _swap(self, tree: MediaTree, record: DjangoRestoreRecord) -> None:
        unfinished.write(tree, record)
        self.state, self._undecided = UNDECIDED, True
        tree.swap(record.stamp)

    def _take_back(self, tree: MediaTree | None, record: DjangoRestoreRecord | None, committed: bool | None) -> None:  # noqa: FBT001
        if committed is None:
            self.state = UNKNOWN
            return
        if tree and record:
            tree.undo_swap(record.stamp)
        self.state, self._undecided = loader.ROLLED_BACK, False

    def _marker(self, record: DjangoRestoreRecord | None) -> str | None:
        """Return the name of the transaction; without media only PostgreSQL is asked about it."""
        if record is None and connections[self.alias].vendor != "postgresql":
            return None
        return commit.marker(self.alias, record.stamp if record else "")

    def _committed(self, marker: str | None) -> bool | None:
        """Return the outcome of a COMMIT whose answer is an error."""
        return commit.happened(self.alias, marker) if marker else False


def _name(table: ModelTable) -> str:
    return table.relation.name if table.relation else table.name


def finish_interrupted() -> list[str]:
    """Finish or undo a killed restore; return the actions, in words."""
    tree = MediaTree(media_root())
    if not unfinished.records(tree):
        return []
    with unfinished.alone(tree, "finish an interrupted restore"):
        return recover(tree)


def _free_stamp(tree: MediaTree, now: datetime) -> str:
    """Return the first stamp from `now` on without a copy: undoing this restore must not undo another."""
    return naming.stamp(naming.free_second(now, tree.names()))
