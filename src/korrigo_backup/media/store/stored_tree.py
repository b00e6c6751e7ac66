"""A listing of the media store read as a tree: its entries come as those of a live tree would, with their contents."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import closing
from typing import IO, TYPE_CHECKING

from korrigo_backup.core.paths import leads_out
from korrigo_backup.media.store import listing
from korrigo_backup.media.store.objects import damaged
from korrigo_backup.media.walk import TreeEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.media.stable import Steady
    from korrigo_backup.media.store.listing import ListedEntry
    from korrigo_backup.media.store.objects import MediaStore
    from korrigo_backup.system.streams import ByteSource

_SECOND = 1_000_000_000


class StoredTree:
    """The tree that a listing describes.

    With `repeat` each name of a file has its content, for an archive that has no hard links.
    """

    def __init__(self, file: ByteSource, source: str, store: MediaStore, *, repeat: bool = False) -> None:
        self._repeat = repeat
        self._file = file
        self._source = source
        self._store = store

    def contents(self) -> Iterator[tuple[TreeEntry, Steady | None]]:
        """Yield every entry with its content, as `Tree.contents` does.

        Raises ProofFailed for a stored file that is missing or damaged.
        """
        for entry in listing.read(self._file, self._source):
            if entry.sha256 is None or (entry.same_as is not None and not self._repeat):
                yield tree_entry(entry), None
                continue
            with closing(_StoredFile(self._store.open(entry.sha256), entry.sha256)) as file:
                yield tree_entry(entry), file


class _StoredFile:
    """A stored file; the end of its content is refused if it is not that of its name."""

    streamed = False

    def __init__(self, file: IO[bytes], sha256: str) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = os.fstat(file.fileno()).st_size
        self.sha256 = sha256

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; ProofFailed at the end if the content is damaged."""
        piece = self._file.read(size)
        self._digest.update(piece)
        if not piece and self._digest.hexdigest() != self.sha256:
            raise damaged(self.sha256)
        return piece

    def is_stable(self) -> bool:
        """Return True: a stored file never changes."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def tree_entry(entry: ListedEntry) -> TreeEntry:
    """Return an entry of a listing as a walk of the tree would have yielded it; it cannot be opened."""
    form = stat.S_IFLNK if entry.target is not None else stat.S_IFREG if entry.sha256 else stat.S_IFDIR
    seconds, exact = entry.mtime_ns // _SECOND, entry.mtime_ns
    times = (seconds, seconds, seconds, *(exact / _SECOND,) * 3, exact, exact, exact)
    info = os.stat_result((form | entry.mode, 0, 0, entry.links, *entry.owner, entry.size, *times))
    odd = "symbolic link" if entry.target is not None else None
    out = entry.target is not None and leads_out(entry.path, entry.target)
    return TreeEntry(entry.path, info, -1, odd, entry.extended, entry.target, out, entry.same_as)
