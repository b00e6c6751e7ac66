"""The live media files against those of a media backup: by their checksums, or by the time of their last change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.compare.media import UNREAD, file_changes, saved_links
from korrigo_backup.media.saved_files import listing_path, saved_files
from korrigo_backup.media.store import listing as stored
from korrigo_backup.rescue.diagnosis.live_site import SHOWN
from korrigo_backup.rescue.diagnosis.moments import PointTables, TableMoment, last_losses, moments
from korrigo_backup.rescue.diagnosis.states import FileState
from korrigo_backup.system.files import explained, open_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.compare.differences import FileChange
    from korrigo_backup.media.port import Tree
    from korrigo_backup.media.walk import TreeEntry
    from korrigo_backup.rescue.points import Points

READ_WHOLE = 1024**3
"""Bytes of a backup's files up to which all live files are read without being asked."""


def file_moments(points: Points) -> tuple[TableMoment, ...]:
    """Return the changes of the number of files from media backup to media backup."""
    states = []
    for backup in points.media:
        manifest = backup.source() if callable(backup.source) else backup.source
        if manifest and manifest.media:
            states.append(PointTables(backup.created, backup.name, None, {"media": (manifest.media.files, None)}))
    return moments(states)


def file_state(
    points: Points,
    tree: Tree,
    changes: Sequence[TableMoment],
    *,
    contents: bool,
    erased_of: Callable[[Artifact], Container[str]] = lambda _: frozenset(),
) -> FileState | None:
    """Return the live files against the media backup before the newest loss of files, else the newest.

    With `contents` all files are read. `erased_of` returns the files of a backup that were erased on
    request: they are not missing. Raises FileNotFoundError without a listing, ProofFailed for a damaged one.
    """
    if not points.media:
        return None
    lost = last_losses(changes).get("media")
    wanted = lost.former if lost else points.media[-1].name
    backup = next(one for one in points.media if one.name == wanted)
    media = backup.manifest.media if backup.manifest else None
    saved_bytes = media.bytes if media else 0
    unread, erased = 0, erased_of(backup)
    with explained(f"compare the media tree {tree.root}"):
        if backup.is_listing and not contents:
            change = _by_size_and_time(backup, tree, erased)
            unread = saved_bytes
        elif contents or saved_bytes <= READ_WHOLE:
            change = _by_checksum(backup, tree, media.root if media else "", None, erased)
        else:
            change = _by_checksum(backup, tree, media.root if media else "", _untouched_since(backup), erased)
            unread = saved_bytes
    return FileState(reference=backup.name, change=change, unread_bytes=unread)


def _by_checksum(
    backup: Artifact,
    tree: Tree,
    root: str,
    knows: Callable[[TreeEntry], str | None] | None,
    erased: Container[str],
) -> FileChange:
    with saved_files(backup.path, root) as saved:
        return file_changes(saved, tree, shown=SHOWN, knows=knows, erased=erased, links=saved_links(backup))


def _untouched_since(backup: Artifact) -> Callable[[TreeEntry], str | None]:
    """Return a function that spares a file whose inode has not changed since a backup was made."""
    begun = backup.created.timestamp()
    return lambda entry: UNREAD if entry.info.st_ctime < begun else None


def _by_size_and_time(backup: Artifact, tree: Tree, erased: Container[str]) -> FileChange:
    with open_plain(listing_path(backup.path)) as file:
        entries = stored.read(file, backup.name)
        saved = ((f"{one.size} {one.mtime_ns}", one.path) for one in entries if one.sha256)
        return file_changes(
            saved,
            tree,
            shown=SHOWN,
            knows=lambda entry: f"{entry.info.st_size} {entry.info.st_mtime_ns}",
            erased=erased,
            links=saved_links(backup),
        )
