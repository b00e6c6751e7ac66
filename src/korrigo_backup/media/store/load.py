"""Restore a media tree from the store: every file is proven while it is written."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from korrigo_backup.core.paths import printable, stays_inside
from korrigo_backup.errors import ProofFailed
from korrigo_backup.media.archive import Content, given_properties
from korrigo_backup.media.reuse import LiveFile
from korrigo_backup.media.store.objects import damaged
from korrigo_backup.system.files import CHUNK, write_all
from korrigo_backup.system.progress import Unit, Work, under_way

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.artifact.manifest import MediaProof
    from korrigo_backup.media.port import Stage
    from korrigo_backup.media.staging import GivenProperties
    from korrigo_backup.media.store.listing import ListedEntry
    from korrigo_backup.media.store.objects import MediaStore


_BATCH = 200
"""Files that the stage takes over at once."""


def load(
    entries: Iterable[ListedEntry],
    store: MediaStore,
    staging: Stage,
    *,
    trusted: bool,
    at_rest_before_ns: int = 0,
    link: bool = False,
    work: Work | None = None,
) -> Content:
    """Write the entries of a listing into `staging`, each file proven while it is written.

    From a listing that is not `trusted` no setuid bit, no attribute of the system, and no link that could lead out of
    the tree is restored. A live file that last changed before `at_rest_before_ns` and is unchanged since the backup, by
    size, mtime, ctime and inode, is taken over where that is possible: with `link` by a hard link, and not read.
    Raises ProofFailed for a stored file that is missing or damaged. `work` is brought up to date.
    """
    before_ns = at_rest_before_ns if trusted else 0
    loading = _Loading(store, staging, trusted=trusted, at_rest_before_ns=before_ns, link=link)
    if work:
        work.look = loading.look
    for entry in entries:
        loading.add(entry)
    loading.flush()
    return Content(loading.files, loading.bytes, tuple(loading.notes), unread=loading.unread)


class _Loading:
    """The entries of a listing on their way into a stage."""

    def __init__(self, store: MediaStore, staging: Stage, *, trusted: bool, at_rest_before_ns: int, link: bool) -> None:
        self._store = store
        self._staging = staging
        self._trusted = trusted
        self._at_rest_before_ns = at_rest_before_ns
        self._link = link
        self._pending: list[ListedEntry] = []
        self.files = 0
        self.bytes = 0
        self.unread = 0
        self.notes: list[str] = []
        self._path = ""
        self._position = 0

    def look(self, work: Work) -> None:
        """Bring the numbers of the work up to date."""
        work.item, work.count, work.size = self._path, self.files, self.bytes + self._position

    def add(self, entry: ListedEntry) -> None:
        if entry.target is not None:
            self._add_link(entry, entry.target)
        elif entry.sha256 is None:
            self._staging.add_directory(entry.path, self._given(entry, directory=True))
        elif entry.same_as is not None:
            self.flush()  # its first name may be among the pending
            _add_other_name(self._staging, entry.path, entry.same_as)
            self.files += 1
        else:
            self._pending.append(entry)
            if len(self._pending) >= _BATCH or not self._at_rest_before_ns:
                self.flush()

    def flush(self) -> None:
        """Take over or write the pending files."""
        candidates = [one for one in self._pending if one.state and one.state[0] < self._at_rest_before_ns]
        done: set[str] = set()
        if candidates:
            live = [LiveFile(one.path, one.size, one.mtime_ns, *one.state, one.word) for one in candidates if one.state]
            taken = self._staging.take_over(live, link=self._link)
            done = {one.path for one, is_taken in zip(candidates, taken, strict=True) if is_taken}
            self.unread += len(done) if self._link else 0
        for entry in self._pending:
            if entry.path not in done:
                self._write(entry, entry.word)
            self.files += 1
            self.bytes += entry.size
            self._position = 0
        self._pending.clear()

    def _write(self, entry: ListedEntry, sha256: str) -> None:
        self._path = entry.path
        with self._staging.create(entry.path) as file:
            digest = hashlib.sha256()
            with self._store.open(sha256) as content:
                while piece := content.read(CHUNK):
                    digest.update(piece)
                    write_all(file, piece)
                    self._position += len(piece)
            if digest.hexdigest() != sha256:
                raise damaged(sha256)
            self._staging.settle(file, self._given(entry))

    def _add_link(self, entry: ListedEntry, target: str) -> None:
        if self._trusted or stays_inside(entry.path, target):
            given = self._given(entry)
            self._staging.add_link(entry.path, target, mtime_ns=given.mtime_ns, owner=given.owner)
        else:
            self.notes.append(f"link that leads out of the tree, left out: {printable(entry.path)}")

    def _given(self, entry: ListedEntry, *, directory: bool = False) -> GivenProperties:
        return given_properties(
            entry.mode, entry.mtime_ns, entry.owner, entry.extended, trusted=self._trusted, directory=directory
        )


def verify(
    entries: Iterable[ListedEntry], store: MediaStore, *, content: bool, expected: MediaProof | None
) -> tuple[int, int]:
    """Return the number of files and their bytes; ProofFailed if a file is not stored with its size.

    With `content` each file is read, and its checksum compared. `expected` are the files of the manifest, for
    the display of progress.
    """
    work = Work(name="reading the stored media files", unit=Unit.FILES)
    if expected:
        work.whole, work.number = expected.bytes, expected.files
    with under_way(work):
        for entry in entries:
            if entry.sha256 is None:
                continue
            work.item = entry.path
            if entry.same_as is None:
                check = store.verify if content else store.require
                check(entry.sha256, entry.size)
                work.size += entry.size
            work.count += 1
    return work.count, work.size


def _add_other_name(staging: Stage, path: str, existing: str) -> None:
    try:
        staging.add_hard_link(path, existing)
    except FileNotFoundError:
        raise ProofFailed(
            f"the listing says that {printable(path)} is a link to {printable(existing)}, which does not come before"
            " it",
            hint="use another backup: korrigo-backup list shows them",
        ) from None
