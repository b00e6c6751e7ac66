"""Restore points: database and media taken together, and the files that rows name compared with the files that exist.

The media are read after the snapshot of the database: a row's file exists before the row, so no file that a row of the
snapshot names is too young to be in the archive; a file that was deleted in between is reported as missing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.artifact.consistency import compare
from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.artifact.manifest import Member
from korrigo_backup.artifact.naming import MANIFEST_SUFFIX
from korrigo_backup.backup.backup import BackedUp, BackupOptions, afterwards, dump, new_manifest
from korrigo_backup.backup.media import archive, last_media, media_findings, require_complete
from korrigo_backup.backup.published import published
from korrigo_backup.errors import KorrigoBackupError, NotFound, PartlyDone
from korrigo_backup.media.saved_files import saved_files
from korrigo_backup.postgres.references import named_files, select_paths
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.step import Listener, OtherDatabases, PathColumnsUnknown, ReferencesCompared, silent
from korrigo_backup.site.path_columns import known_columns
from korrigo_backup.system.files import create_private, explained, sha256_of, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.site_description import PathColumn
    from korrigo_backup.media.port import Tree
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.run.journal import Running
    from korrigo_backup.site.site import Site

_EMPTY = hashlib.sha256(b"").hexdigest()
_BATCH = 1024 * 1024
"""Bytes of paths written at once."""


def backup_full(
    site: Site, catalog: Catalog, wish: BackupOptions | None = None, *, now: datetime, listen: Listener = silent
) -> BackedUp:
    """Make a restore point: a verified `sql` and a verified `media` backup, and the point that binds them.

    Raises PartlyDone when the database's backup is good and the media's or the cleaning failed.
    """
    with (
        exclusive(site, catalog, "backup of database and media", listen=listen, own=True) as (site, _),  # noqa: PLR1704 - now held
        recorded(catalog.directory, site, "backup", "full", listener=listen) as running,
    ):
        return take_point(site, catalog, wish or BackupOptions(), now=now, running=running)


def take_point(site: Site, catalog: Catalog, wish: BackupOptions, *, now: datetime, running: Running) -> BackedUp:
    """Make a restore point and the steps after it; the caller holds the lock."""
    tree = _required(site, catalog, wish, now=now, running=running)
    point, database, media = _take(site, tree, catalog, wish, now=now, listen=running.listen)
    running.bytes = database.size + media.size
    cleaned = afterwards(site, catalog, database, wish.policy, now)
    require_complete(media)
    return BackedUp(point, cleaned, media_findings(media))


def _required(site: Site, catalog: Catalog, wish: BackupOptions, *, now: datetime, running: Running) -> Tree:
    """Return the media tree. Where it was there at the last backup and is gone, the database is saved all the same."""
    try:
        return site.required_media()
    except NotFound as problem:
        if last_media(site, catalog) is None:
            raise
        database = dump(site, catalog, wish, now=now, listen=running.listen)
        running.bytes = database.size
        raise _media_failed(problem, database) from None


def _media_failed(problem: KorrigoBackupError, database: Artifact) -> PartlyDone:
    return PartlyDone(
        f"the backup of the database is good, that of the media failed: {problem.message}",
        hint=problem.hint,
        state=f"the backup {database.path} is good; there is no restore point",
        id_=problem.id,
    )


def _take(
    site: Site, tree: Tree, catalog: Catalog, wish: BackupOptions, *, now: datetime, listen: Listener
) -> tuple[Artifact, Artifact, Artifact]:
    started = time.monotonic()
    with explained("write the restore point"), catalog.draft(Kind.POINT, wish.origin, now) as draft:
        known = known_columns(site)
        named = _Named(draft.path(".paths"), known.columns, known.roots)
        database = dump(site, catalog, dataclasses.replace(wish, observe=named.note), now=now, listen=listen)
        try:
            media = archive(site, tree, catalog, now=now, origin=wish.origin, listen=listen, accept=wish.accept)
        except KorrigoBackupError as problem:
            raise _media_failed(problem, database) from None
        with saved_files(media.path, site.archive_root) as files:
            sizes = ((path, digest == _EMPTY) for digest, path in files)
            found = compare(named.columns, named.paths(), sizes)
        found = replace(found, unknown=named.unknown)
        named.forget()
        listen(ReferencesCompared())
        if known.problem:
            listen(PathColumnsUnknown(known.problem))
        if known.others:
            listen(OtherDatabases("; ".join(known.others)))
        manifest = replace(
            new_manifest(site, catalog, tuple(_bound(a) for a in (database, media)), now),
            kind=Kind.POINT,
            origin=wish.origin,
            includes_media=True,
            database_backup=database.name,
            media_backup=media.name,
            consistency=found,
            doubt=media.manifest.doubt if media.manifest else None,
            seconds=round(time.monotonic() - started, 3),
        )
        path = draft.publish(manifest)
    return published(catalog, path, listen), database, media


class _Named:
    """The paths that the rows of the snapshot name, kept in a private file: there may be millions."""

    def __init__(self, file: Path, columns: Sequence[PathColumn], roots: Sequence[str]) -> None:
        self._file = file
        self._columns = columns
        self._roots = roots
        self.columns: tuple[str, ...] = ()
        self.unknown: tuple[str, ...] = ()

    def note(self, taken: Snapshot) -> None:
        """Write every path of the snapshot, in order."""
        selects, known, unknown = select_paths(taken, self._columns)
        self.columns, self.unknown = tuple(known), tuple(unknown)
        with create_private(self._file) as file:
            batch = bytearray()
            for named in named_files(taken, selects, roots=self._roots):
                batch += msgspec.json.encode(named) + b"\n"
                if len(batch) > _BATCH:
                    write_all(file, bytes(batch))
                    batch.clear()
            write_all(file, bytes(batch))

    def paths(self) -> Iterator[tuple[str, str]]:
        """Yield the paths that `note` wrote."""
        with open(self._file, "rb") as file:  # noqa: PTH123 - buffered, unlike open_plain: it is read by lines
            for line in file:
                yield msgspec.json.decode(line, type=tuple[str, str])

    def forget(self) -> None:
        """Remove the file: it is no part of the point."""
        os.unlink(self._file)  # noqa: PTH108


def _bound(artifact: Artifact) -> Member:
    own = artifact.path.with_name(artifact.name + MANIFEST_SUFFIX)
    digest, size = sha256_of(own)
    return Member(own.name, size, digest)
