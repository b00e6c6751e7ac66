"""The record of an undelete in the backup directory: the way back, and the facts that the next run needs after a crash.

`.undelete-S.pending` stands there from before the first file is staged until after the commit; then it is
`.undelete-S.done`. `.undelete-S.undoing` stands beside that from before the commit of its undo until its files are
gone. The first line says which transaction decides, and names files; each other line is a row that was inserted, or
linked again.

After a dead run the server decides: it remembers how a transaction ended.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from itertools import chain, islice
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.naming import PARTIAL_PREFIX
from korrigo_backup.media.single_files import PutChange, PutFile
from korrigo_backup.recovery.actions import ActionKind, RecoveryAction
from korrigo_backup.recovery.django import committed
from korrigo_backup.system.files import (
    create_private,
    explained,
    fsync_directory,
    open_plain,
    write_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from korrigo_backup.site.site import Site

_NAME = re.compile(r"\.undelete-([0-9]{8}_[0-9]{6})\.(pending|done|undoing)", re.ASCII)
_TOGETHER = 1000
"""Rows of a record that are read at once."""

_KEPT = 20
"""Undeletes whose way back is kept."""

PENDING, DONE, UNDOING = "pending", "done", "undoing"


class RecordedTable(msgspec.Struct, frozen=True):
    """A table with inserted rows: schema and name, the columns that were inserted, those of the key.

    `made`: triggers of the site inserted these rows, so that the site may have removed them since.
    """

    schema: str
    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    made: bool = False


class UndeleteHead(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a record. `transaction` is "" until the rows are inserted.

    `directories` are those that the files needed, the outer directories first. `verb` is the command that wrote the
    record. `replaced` has the inode of the former file of each that was overwritten. `system` is the identifier of
    the database cluster, "" if the role may not read it. Each transaction before `horizon` had ended. `erased` are
    the numbers of rows that `forget` has taken out, by table.
    """

    verb: str = "undelete"
    site: str
    database: str
    system: str = ""
    stamp: str
    artifact: str
    asked: tuple[str, ...]
    transaction: str = ""
    horizon: str = ""
    media: str = ""
    files: tuple[PutFile, ...] = ()
    created: datetime
    directories: tuple[str, ...] = ()
    tables: tuple[RecordedTable, ...] = ()
    replaced: dict[str, int] = {}
    erased: dict[str, int] = {}

    @property
    def change(self) -> PutChange:
        """The files that are put in their places."""
        return PutChange(self.stamp, self.files, self.directories, self.replaced)


class RecordedRow(msgspec.Struct, frozen=True):
    """A row that was inserted: the number of its table in the head, its key as text, the hash of its content.

    In a table without a key all columns are the key, so that a value may be None, and rows may be equal.
    Of a live row that was linked again `link` names the columns, and the hash is that of their values. Of a live row
    with values that were put back there are those of before and after, as text by column; of a removed row there are
    all values. They have no hash.
    """

    table: int
    key: tuple[str | None, ...]
    hash: str = ""
    link: tuple[str, ...] = ()
    former: dict[str, str | None] | None = None
    put: dict[str, str | None] | None = None
    removed: dict[str, str | None] | None = None


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write a record of an operation, whole and forced to disk; a former record is replaced."""
    fresh = path.with_name(f"{PARTIAL_PREFIX}{path.name}")  # after a kill the next run removes it as a draft
    with explained(f"write {path}"):
        try:
            fresh.unlink(missing_ok=True)
            with create_private(fresh) as file:
                for line in lines:
                    write_all(file, line + b"\n")
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
        fsync_directory(path.parent)


def rename_record(before: Path, after: Path) -> None:
    """Give a record the name of its next state."""
    with explained(f"rename {before}"):
        before.rename(after)
        fsync_directory(before.parent)


def remove_record(path: Path) -> None:
    """Remove a record, if it is there."""
    with explained(f"delete {path}"):
        path.unlink(missing_ok=True)
        fsync_directory(path.parent)


def record_path(directory: Path, stamp: str, state: str) -> Path:
    """Return the path of a record."""
    return directory / f".undelete-{stamp}.{state}"


def write_record(directory: Path, head: UndeleteHead, rows: Iterable[bytes] = (), *, state: str = PENDING) -> Path:
    """Write a record, whole and forced to disk; a former record is replaced."""
    path = record_path(directory, head.stamp, state)
    write_lines(path, chain([msgspec.json.encode(head)], rows))
    return path


def turn(directory: Path, stamp: str, before: str, after: str) -> None:
    """Give a record its next state."""
    rename_record(record_path(directory, stamp, before), record_path(directory, stamp, after))


def forget(directory: Path, stamp: str, state: str) -> None:
    """Remove a record."""
    remove_record(record_path(directory, stamp, state))


def forget_oldest(site: Site, directory: Path) -> None:
    """Remove the records of all but the newest undeletes of a site, and the overwritten files that they keep."""
    done = sorted(records(directory, site.name, DONE), key=lambda head: head.created)
    for head in done[:-_KEPT]:
        if head.replaced and site.media and str(site.media.root) == head.media:
            site.media.single_files.discard_former(head.stamp)
        forget(directory, head.stamp, DONE)


def read_head(path: Path) -> UndeleteHead:
    """Return the first line of a record, as long as it is; ValueError if it is cut, OSError.

    It names the files, which the run that wrote it had in memory, too. A record that is not read would be neither
    finished nor taken back after a kill.
    """
    with open_plain(path) as file, os.fdopen(file.fileno(), "rb", closefd=False) as lines:
        return msgspec.json.decode(lines.readline(), type=UndeleteHead)


def read_rows(path: Path) -> Iterator[RecordedRow]:
    """Yield the rows of a record."""
    with open_plain(path) as file, os.fdopen(file.fileno(), "rb", closefd=False) as lines:
        for line in islice(lines, 1, None):
            yield msgspec.json.decode(line, type=RecordedRow)


def row_lines(path: Path) -> Iterator[bytes]:
    """Yield the rows of a record again as lines, many at once."""
    rows = read_rows(path)
    while some := [msgspec.json.encode(row) + b"\n" for row in islice(rows, _TOGETHER)]:
        yield b"".join(some)


def records(directory: Path, site: str, state: str, database: str | None = None) -> list[UndeleteHead]:
    """Return the heads of a site's records in a state, oldest first, without unreadable records.

    With `database` only those of that database: the server of another cannot say how their transactions ended.
    """
    found = []
    for name in sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []:
        match = _NAME.fullmatch(name)
        if match and match[2] == state:
            with suppress(OSError, ValueError):
                head = read_head(directory / name)
                if head.site == site and database in {None, head.database}:
                    found.append(head)
    return found


def finish(site: Site, directory: Path) -> list[RecoveryAction]:
    """Finish the undeletes that dead runs have left, or take them back; return the actions.

    The caller holds the site's lock. Raises Unreachable if the server cannot say how a transaction ended.
    """
    done = []
    for head in records(directory, site.name, PENDING, site.postgres.database):
        stays = bool(head.transaction) and committed(site.postgres, head.transaction)
        if stays:
            turn(directory, head.stamp, PENDING, DONE)
        else:
            remove_files(site, head)
            forget(directory, head.stamp, PENDING)
        discard_staged(site, head)
        kind = ActionKind.UNDELETE_FINISHED if stays else ActionKind.UNDELETE_ROLLED_BACK
        done.append(RecoveryAction(kind, head.stamp, head.verb))
    for head in records(directory, site.name, UNDOING, site.postgres.database):
        undone = committed(site.postgres, head.transaction)
        if undone:
            remove_files(site, head)
            forget(directory, head.stamp, DONE)
        forget(directory, head.stamp, UNDOING)
        kind = ActionKind.UNDELETE_UNDONE if undone else ActionKind.UNDELETE_STAYS
        done.append(RecoveryAction(kind, head.stamp, head.verb))
    return done


def remove_files(site: Site, head: UndeleteHead) -> list[str]:
    """Remove the files that an undelete has put among the media; return the paths of those that have changed since.

    Directories that it has made are removed if they are empty. Files that it has overwritten come back; the former file
    of a place that has another file now is kept in `.replaced-S`.
    """
    if not head.files or site.media is None:
        return []
    left = site.media.single_files.take_away(head.change)
    if head.replaced and not set(left) & head.replaced.keys():
        site.media.single_files.discard_former(head.stamp)
    return left


def discard_staged(site: Site, head: UndeleteHead) -> None:
    """Remove the staged files of an undelete, if it has any."""
    if site.media and head.media:
        site.media.discard_stage(head.stamp)
