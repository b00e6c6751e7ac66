"""The record of an erasure that is to follow a load of the live database by Django, for the next run after a kill.

`.erasing-S` stands in the backup directory from before the load until the erasure is in the journal. The load and the
erasure are two transactions: the record says by which transaction the data of the backup became live, and by which one
they were replaced again, if the restore was undone. The server remembers how both ended. An erasure that was cut off is
done again as a whole: erased rows name their files, so the files go before the rows are committed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.artifact.header import ManifestHeader  # noqa: TC001 - msgspec reads it when it decodes
from korrigo_backup.core.paths import on_one_line
from korrigo_backup.errors import ProofFailed, Refused
from korrigo_backup.recovery.actions import ActionKind, RecoveryAction
from korrigo_backup.recovery.django import DJANGO, committed, stamp_of
from korrigo_backup.recovery.undelete import remove_record, write_lines
from korrigo_backup.run import journal
from korrigo_backup.site.erasing import Erasing
from korrigo_backup.system.files import explained, open_plain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from korrigo_backup.site.site import Site

_NAME = re.compile(r"\.erasing-([0-9]{8}_[0-9]{6})", re.ASCII)
_LARGEST = 64 * 1024 * 1024
"""Bytes of the largest record that is read."""


class ErasureHead(msgspec.Struct, frozen=True, kw_only=True):
    """A restore by Django whose data are to be erased from: `header` and `created` are those of its backup.

    `transaction` has loaded the data, "" until it is about to end; `undone_by` has loaded the safety backup, if the
    restore was undone in the live database. `rows` and `files` are as in the journal (`erased`, `erased_files`), known
    before anything is erased.
    """

    site: str
    database: str
    stamp: str
    artifact: str
    header: ManifestHeader | None
    created: datetime | None
    has_media: bool
    transaction: str = ""
    undone_by: str = ""
    rows: dict[str, int] = {}
    files: tuple[str, ...] = ()


@dataclass
class ErasureRecord:
    """The record of a restore under way, in the backup directory."""

    directory: Path
    head: ErasureHead

    def write(self, **known: object) -> None:
        """Write it with the facts known so far, forced to disk."""
        self.head = replace(self.head, **known)
        write_lines(_path(self.directory, self.head.stamp), [msgspec.json.encode(self.head)])

    def expect(self, site: Site, erasing: Erasing) -> None:
        """Add the rows and files that are about to be erased; those of an attempt before are among them."""
        files = dict.fromkeys([*self.head.files, *erasing.hashed_files(site)])
        self.write(rows=self.head.rows | erasing.journaled_rows, files=tuple(files))

    def remove(self) -> None:
        """Remove it: nothing is left to be erased."""
        remove_record(_path(self.directory, self.head.stamp))


def pending_erasures(directory: Path, site: str) -> list[RecoveryAction]:
    """Return the actions that `finish_erasures` may take. Raises ProofFailed for a record that cannot be read."""
    return [
        RecoveryAction(ActionKind.ERASURE_FINISHED, record.head.stamp)
        for record in _records(directory, site)
        if record.head.transaction
    ]


def finish_erasures(
    site: Site, directory: Path, undone: Collection[str]
) -> tuple[list[RecoveryAction], frozenset[str]]:
    """Erase from the live data what a dead restore has loaded and not erased any more; return the actions.

    `undone` are the stamps of the restores that this recovery has undone. Also returns those that had been undone
    before the run died, and could not say so. The services are stopped still. Raises ProofFailed for a record that
    cannot be read, CannotErase, UnreadableLedger.
    """
    actions, before = [], []
    for record in _records(directory, site.name):
        head = record.head
        if head.stamp in undone or not head.transaction or not committed(site.postgres, head.transaction):
            record.remove()
        elif head.undone_by and committed(site.postgres, head.undone_by):
            if site.media:
                site.media.undo_swap(head.stamp)
                site.media.discard_stage(head.stamp)
            before.append(head.stamp)
            record.remove()
        else:
            _finish(site, directory, record)
            actions.append(RecoveryAction(ActionKind.ERASURE_FINISHED, head.stamp))
    return actions, frozenset(before)


def _finish(site: Site, directory: Path, record: ErasureRecord) -> None:
    head = record.head
    if head.database != site.postgres.database:
        raise Refused(
            f"rows erased on request may have come back in the database {head.database}: the restore of"
            f" {head.artifact} was interrupted; the database is {site.postgres.database} now",
            hint=f"set POSTGRES_DB (or [database] name) to {head.database}, and run this again",
            id_="erasure.unfinished",
        )
    erasing = Erasing()
    with explained(f"erase what was erased on request from the restored {head.artifact}"):
        erasing.erase_loaded(
            site,
            head,
            head.database,
            site.configured_media() if head.has_media else None,
            report=lambda _: None,
            expect=lambda: record.expect(site, erasing),
        )
    ours = (one for one in reversed(journal.read(directory)) if one.site == site.name and one.verb == DJANGO)
    if newest := next((one for one in ours if stamp_of(one) == head.stamp), None):
        journal.decided(directory, site, replace(newest, erased=record.head.rows, erased_files=record.head.files))
    record.remove()


def _path(directory: Path, stamp: str) -> Path:
    return directory / f".erasing-{stamp}"


def _records(directory: Path, site: str) -> Iterator[ErasureRecord]:
    """Yield a site's records, oldest first. Raises ProofFailed for a record that cannot be read."""
    names = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    for name in filter(_NAME.fullmatch, names):
        path = directory / name
        try:
            with open_plain(path) as file:
                head = msgspec.json.decode(file.read(_LARGEST), type=ErasureHead)
        except (OSError, ValueError) as problem:
            raise ProofFailed(
                f"the record {path} of an interrupted restore cannot be read ({on_one_line(str(problem))}): what was"
                " erased on request may be live again",
                hint=f"remove {path}, then restore the same backup again: korrigo-backup list, korrigo-backup restore"
                " NAME; it erases from the restored data",
                id_="erasure.unfinished",
            ) from None
        if head.site == site:
            yield ErasureRecord(directory, head)
