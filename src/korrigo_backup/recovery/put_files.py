"""The record of a restore of single files in the backup directory: the way back, and the next run's answer to a crash.

`.files-S.pending` stands there from before the first file is staged until all are in their places; then it is
`.files-S.done`. `.files-S.undoing` stands beside that from before the first change of its undo until the last. So after
a kill the names decide: pending files are taken back, and an undo that has begun is finished. No database is asked.

`media/single_files.py` puts the files and takes them away, where the media are.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.errors import Refused
from korrigo_backup.media.single_files import PutChange, PutFile
from korrigo_backup.recovery.actions import ActionKind, RecoveryAction
from korrigo_backup.recovery.undelete import (
    DONE,
    PENDING,
    UNDOING,
    remove_record,
    rename_record,
    write_lines,
)
from korrigo_backup.system.files import open_plain

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.media.port import Tree
    from korrigo_backup.site.site import Site

_NAME = re.compile(r"\.files-([0-9]{8}_[0-9]{6})\.(pending|done|undoing)", re.ASCII)
_KEPT = 20
"""Restores of files whose way back is kept."""


class FilesHead(msgspec.Struct, frozen=True, kw_only=True):
    """A restore of single files: its backups, the asked names, the files that were put below the media root `media`.

    `replaced` has the inode of the former file of each that was overwritten. `directories` are those that the files
    needed, the outer directories first.
    """

    site: str
    stamp: str
    media: str
    artifacts: tuple[str, ...]
    asked: tuple[str, ...]
    created: datetime
    files: tuple[PutFile, ...] = ()
    replaced: dict[str, int] = {}
    directories: tuple[str, ...] = ()

    @property
    def change(self) -> PutChange:
        """The files that are put in their places."""
        return PutChange(self.stamp, self.files, self.directories, self.replaced)


def record_of_files(directory: Path, stamp: str, state: str) -> Path:
    """Return the path of a record."""
    return directory / f".files-{stamp}.{state}"


def write_files_record(directory: Path, head: FilesHead, state: str = PENDING) -> None:
    """Write a record, whole and forced to disk."""
    text = json.dumps(msgspec.to_builtins(head))  # a path may hold bytes that are not UTF-8: msgspec writes none
    write_lines(record_of_files(directory, head.stamp, state), [text.encode("ascii")])


def file_records(directory: Path, site: str, state: str) -> list[FilesHead]:
    """Return a site's records in a state, oldest first, without unreadable records.

    A record is read as long as it is: the run that wrote it had its files in memory, too.
    """
    found = []
    for name in sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []:
        match = _NAME.fullmatch(name)
        if match and match[2] == state:
            with suppress(OSError, ValueError), open_plain(directory / name) as file:
                head = msgspec.convert(json.loads(file.read()), FilesHead)
                if head.site == site:
                    found.append(head)
    return found


def set_done(directory: Path, stamp: str) -> None:
    """Mark a restore of files as done: from now on it stays."""
    rename_record(record_of_files(directory, stamp, PENDING), record_of_files(directory, stamp, DONE))


def pending_files(directory: Path, site: str) -> list[RecoveryAction]:
    """Return the actions that `finish_files` would take now."""
    return [
        *(RecoveryAction(ActionKind.FILES_ROLLED_BACK, head.stamp) for head in file_records(directory, site, PENDING)),
        *(RecoveryAction(ActionKind.FILES_UNDONE, head.stamp) for head in file_records(directory, site, UNDOING)),
    ]


def finish_files(site: Site, directory: Path) -> list[RecoveryAction]:
    """Take back the restores of files that dead runs have left, and finish their undos; return the actions.

    The caller holds the lock of the backup directory. Raises Refused if the media are elsewhere now.
    """
    actions = pending_files(directory, site.name)
    for head in file_records(directory, site.name, PENDING):
        take_back_files(site, directory, head)
    for head in file_records(directory, site.name, UNDOING):
        undo_files(site, directory, head)
    return actions


def take_back_files(site: Site, directory: Path, head: FilesHead) -> None:
    """Make the media as they were before a restore of files that is not done, and remove its record."""
    tree = tree_of(site, head)
    done = record_of_files(directory, head.stamp, DONE)
    if done.exists():  # its last step has failed
        rename_record(done, record_of_files(directory, head.stamp, PENDING))
    left = tree.single_files.take_away(head.change)
    tree.discard_stage(head.stamp)
    if not set(left) & head.replaced.keys():
        tree.single_files.discard_former(head.stamp)
    remove_record(record_of_files(directory, head.stamp, PENDING))


def undo_files(site: Site, directory: Path, head: FilesHead) -> list[str]:
    """Do or finish the undo of a restore of files; return the paths of those that have changed since, and stay.

    A former file whose place has another file now is kept in `.replaced-S`.
    """
    tree = tree_of(site, head)
    left = tree.single_files.take_away(head.change)
    if not set(left) & head.replaced.keys():
        tree.single_files.discard_former(head.stamp)
    remove_record(record_of_files(directory, head.stamp, DONE))
    remove_record(record_of_files(directory, head.stamp, UNDOING))
    return left


def tree_of(site: Site, head: FilesHead) -> Tree:
    """Return the media tree that a record speaks of; Refused if the site's media are elsewhere now."""
    tree = site.media
    if tree is None or str(tree.root) != head.media:
        raise Refused(
            f"a restore of files of {head.stamp} was made in {head.media}, and the media are elsewhere now",
            hint=f"set MEDIA_ROOT (or [media] root) to {head.media}, where it is mounted, and run this again",
        )
    return tree


def forget_oldest_files(site: Site, directory: Path) -> None:
    """Remove the records of all but the newest restores of files, and the overwritten files that they keep."""
    done = sorted(file_records(directory, site.name, DONE), key=lambda head: head.created)
    for head in done[:-_KEPT]:
        with suppress(Refused):
            tree_of(site, head).single_files.discard_former(head.stamp)
        remove_record(record_of_files(directory, head.stamp, DONE))
