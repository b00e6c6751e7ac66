"""Save a media tree into the store: new contents are stored, and a listing names every entry.

A file that is unchanged since the last backup, by size, mtime, ctime and inode, is taken over from its listing without
being read. That is safe only if the file had come to rest before that backup began: a later change within the clock's
granularity would leave all four as they were.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from korrigo_backup.artifact.manifest import StoreProof
from korrigo_backup.core.paths import order, printable
from korrigo_backup.media.counts import MediaCounts
from korrigo_backup.media.stable import unsettled
from korrigo_backup.media.store import listing
from korrigo_backup.system.blocks import Effort
from korrigo_backup.system.streams import GzipWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.artifact.manifest import MediaProof
    from korrigo_backup.media.port import Tree
    from korrigo_backup.media.stable import Steady
    from korrigo_backup.media.store.objects import MediaStore, ObjectWriter
    from korrigo_backup.media.walk import TreeEntry
    from korrigo_backup.system.progress import Work
    from korrigo_backup.system.streams import HashingWriter

REST_NS = 2_000_000_000
"""Nanoseconds before the last backup in which a file must not have changed, for its state to prove that it is the same.

Timestamps of file systems advance in steps of up to 2 s (FAT); those of Linux in steps of 10 ms at most.
"""

_PIECE = 64 * 1024
_WORD = 64


class FormerListing:
    """The listing of the last backup, read in step with a walk of the tree."""

    def __init__(self, blocks: Iterator[bytes], store: MediaStore, *, began_ns: int) -> None:
        self._blocks = blocks
        self._store = store
        self._at_rest_ns = began_ns - REST_NS
        self._block = next(blocks, b"")
        self._taken: deque[tuple[str, bytes]] = deque()

    def knows(self, entry: TreeEntry) -> bool:
        """Return whether a regular file is unchanged, and its content is stored; asked in the order of the walk."""
        wanted = listing.fields(entry, stable=True)
        if not self._is_first_line(wanted):
            self._advance(entry)
        if not self._is_first_line(wanted) or entry.info.st_ctime_ns >= self._at_rest_ns:
            return False
        if not self._store.has(self._block[:_WORD].decode(), entry.info.st_size):
            return False
        self._taken.append((entry.path, self._block))
        return True

    def take(self, entry: TreeEntry) -> bytes | None:
        """Return the lines of an entry that `knows` returned True for, None for another entry."""
        if self._taken and self._taken[0][0] == entry.path:
            return self._taken.popleft()[1]
        return None

    def digest(self, entry: TreeEntry) -> str | None:
        """Return the SHA-256 of an unchanged file, None if it must be read; asked in the order of the walk."""
        if not self.knows(entry):
            return None
        return self._taken.popleft()[1][:_WORD].decode()

    def _is_first_line(self, wanted: bytes) -> bool:
        return self._block.startswith(wanted, _WORD)

    def _advance(self, entry: TreeEntry) -> None:
        key = order(entry.path)
        while self._block and _key(self._block) < key:
            self._block = next(self._blocks, b"")


def _key(block: bytes) -> tuple[bytes, ...]:
    path = block[: block.index(b"\n")].split(b" ", 6)[6]
    if b"\\" in path:
        return order(listing.parse(block, "the last listing").path)
    return () if path == b"." else tuple(path.split(b"/"))


def save(
    tree: Tree,
    writer: ObjectWriter,
    target: HashingWriter,
    *,
    root: str,
    name: str,
    former: FormerListing | None = None,
    again: bool = True,
    work: Work | None = None,
) -> MediaProof:
    """Store every file of `tree` and write the listing called `name` to `target`.

    Odd entries and files that go on changing are named as by `archive.create`, which also says when ChangedMidway is
    raised. All contents have their names in the store when this returns. `work` is brought up to date.
    """
    with GzipWriter(target, Effort.QUICK) as gzip:
        saving = _Saving(writer, former, gzip, again=again)
        if work:
            work.look = saving.look
        for entry, file in tree.contents(former.knows if former else None):
            saving.add(entry, file)
        writer.flush()
        saving.close()
    stored = StoreProof(new_files=writer.files, new_bytes=writer.bytes, taken_over=saving.taken_over)
    return saving.counts.proof(members=name, root=root, store=stored)


class _Saving:
    """The lines of the listing, and the counts of the manifest."""

    def __init__(self, writer: ObjectWriter, former: FormerListing | None, gzip: GzipWriter, *, again: bool) -> None:
        self._writer = writer
        self._former = former
        self._gzip = gzip
        self._again = again
        self._lines = bytearray()
        self._first_names: dict[str, tuple[str, int]] = {}  # SHA-256 and size of files with several names
        self._path = ""
        self.taken_over = 0
        self.counts = MediaCounts()

    def look(self, work: Work) -> None:
        """Bring the numbers of the work up to date."""
        work.item, work.count = self._path, self.counts.files
        work.size = self.counts.bytes + self._writer.position

    def add(self, entry: TreeEntry, file: Steady | None) -> None:
        self._path = entry.path
        found = self._block(entry, file)
        if found is None:
            return
        self.counts.add_owner(entry)
        self._lines += found
        if len(self._lines) >= _PIECE:
            self.close()

    def close(self) -> None:
        """Write the lines so far."""
        self._gzip.write(bytes(self._lines))
        self._lines.clear()

    def _block(self, entry: TreeEntry, file: Steady | None) -> bytes | None:
        if file:
            return self._stored(entry, file)
        if entry.same_as is not None:
            return self._other_name(entry, entry.same_as)
        if entry.is_file:
            known = self._former.take(entry) if self._former else None
            if known is not None:
                self.taken_over += 1
                self._count(entry, known[:_WORD].decode(), entry.info.st_size)
            return known  # None: deleted by the site since it was listed
        if entry.target is None and entry.odd:
            self.counts.note_odd(entry)
            return None
        if entry.target is not None:
            self.counts.note_link(entry, entry.target)
        return listing.lines(entry)

    def _stored(self, entry: TreeEntry, file: Steady) -> bytes:
        sha256 = self._writer.add(file)
        changing = unsettled(entry, file, again=self._again)
        self.counts.unstable += changing
        self._count(entry, sha256, file.size)
        return listing.lines(entry, sha256=sha256, size=file.size, stable=not changing)

    def _other_name(self, entry: TreeEntry, first: str) -> bytes | None:
        found = self._first_names.get(first)
        if found is None:  # the site deleted the first name meanwhile
            self.counts.unstable.append(printable(entry.path))
            return None
        self.counts.add_file(0)
        return listing.lines(entry, sha256=found[0], size=found[1])

    def _count(self, entry: TreeEntry, sha256: str, size: int) -> None:
        self.counts.add_file(size)
        if entry.info.st_nlink > 1:
            self._first_names[entry.path] = sha256, size
