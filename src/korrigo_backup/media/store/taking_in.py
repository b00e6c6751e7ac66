"""Take an archive into the media store: the store is the stage that the archive is loaded into."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Self, cast

from korrigo_backup.core.paths import order
from korrigo_backup.media.stable import WHOLE
from korrigo_backup.media.staging import LostFileProperties
from korrigo_backup.media.store import listing
from korrigo_backup.media.store.listing import DIRECTORY, LINK, ListedEntry
from korrigo_backup.media.store.stored_tree import tree_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.media.reuse import LiveFile
    from korrigo_backup.media.staging import GivenProperties
    from korrigo_backup.media.store.objects import ObjectWriter

_NOBODY = (0, 0)


class StoreStage:
    """Stores the files of an archive; `lines` yields the listing.

    All entries are kept in memory, a few hundred bytes each.
    """

    def __init__(self, writer: ObjectWriter) -> None:
        self._writer = writer
        self._entries: dict[str, ListedEntry] = {}

    def add_directory(self, path: str, given: GivenProperties) -> None:
        """Note a directory."""
        self._entries[path] = ListedEntry(
            path, DIRECTORY, 0, given.mtime_ns, given.mode, given.owner or _NOBODY, extended=given.extended
        )

    def create(self, path: str) -> IO[bytes]:
        """Return a file for the content; FileExistsError for a second file of that path."""
        if path in self._entries:
            raise FileExistsError(path)
        return cast("IO[bytes]", _Incoming(path))

    def settle(self, file: IO[bytes], given: GivenProperties) -> None:
        """Store a written file."""
        incoming = cast("_Incoming", file)
        sha256 = self._writer.add(incoming.rewound())
        owner = given.owner or _NOBODY
        self._entries[incoming.path] = ListedEntry(
            incoming.path, sha256, incoming.size, given.mtime_ns, given.mode, owner, extended=given.extended
        )

    def take_over(self, files: Sequence[LiveFile], *, link: bool) -> list[bool]:
        """Return that none was taken over: there is no live tree."""
        del link
        return [False for _ in files]

    def add_hard_link(self, path: str, existing: str) -> None:
        """Note a second name of a file; FileNotFoundError when there is none of that name."""
        first = self._entries.get(existing)
        if first is None or first.sha256 is None:
            raise FileNotFoundError(existing)
        self._entries[existing] = replace(first, links=first.links + 1)
        self._entries[path] = replace(first, path=path, links=1, same_as=existing, extended={})

    def add_link(self, path: str, target: str, *, mtime_ns: int, owner: tuple[int, int] | None = None) -> None:
        """Note a symbolic link."""
        self._entries[path] = ListedEntry(path, LINK, 0, mtime_ns, 0o777, owner or _NOBODY, target=target)

    def carry_link(self, path: str, target: str) -> None:
        """Do nothing: no link of a live tree belongs in a backup."""

    def finish(self) -> LostFileProperties:
        """Give all stored files their names; nothing is lost."""
        self._writer.flush()
        return LostFileProperties()

    def close(self) -> None:
        """Do nothing: no descriptor is open between two files."""

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the listing, in order."""
        for path in sorted(self._entries, key=lambda name: order(name) if name else ()):
            entry = self._entries[path]
            if entry.same_as is not None:
                entry = replace(entry, links=self._entries[entry.same_as].links)
            yield listing.lines(tree_entry(entry), sha256=entry.sha256, size=entry.size)


class _Incoming:
    """A file of an archive, in memory while it is small."""

    streamed = False

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=WHOLE)  # noqa: SIM115 - closed by the block that writes it
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes | memoryview) -> int:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def rewound(self) -> _Incoming:
        self._file.seek(0)
        return self

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def is_stable(self) -> bool:
        return True
