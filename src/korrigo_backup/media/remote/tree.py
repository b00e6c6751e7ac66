"""A media tree that this machine cannot reach: `agent.py` runs where it is, and this module talks to it.

For users who may not read the engine's volumes: those of the group `docker`, rootless engines, Docker Desktop, an
engine on another machine. Each request is a process there, which gets its program and answers; no file is installed or
left. Files stream once, and their SHA-256 is taken at both ends.

One file: the methods of `media/port.py`, each a request to the agent.
"""

from __future__ import annotations

import hashlib
import io
import os
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar, cast

import msgspec

from korrigo_backup.core.paths import printable
from korrigo_backup.errors import Cause, ProofFailed
from korrigo_backup.media.remote.channel import Channel, asked
from korrigo_backup.media.remote.frames import DATA, END
from korrigo_backup.media.remote.single_files import RemoteFiles
from korrigo_backup.media.staging import LostFileProperties
from korrigo_backup.media.tree import RESTORE, Move, TreeFacts
from korrigo_backup.media.walk import TreeEntry
from korrigo_backup.system.files import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from korrigo_backup.media.reuse import LiveFile
    from korrigo_backup.media.stable import Steady
    from korrigo_backup.media.staging import GivenProperties
    from korrigo_backup.system.run import Command

T = TypeVar("T")

_BATCH = 500
"""Paths of a request."""


class RemoteTree:
    """A media tree behind a container. `python` makes the command that runs Python there with the words given.

    `explain` returns the known cause of an error of the channel.
    """

    def __init__(
        self, root: Path, python: Callable[..., Command], explain: Callable[[str], Cause | None] = lambda _: None
    ) -> None:
        self._path = root
        self._python = python
        self._explain = explain

    @property
    def root(self) -> Path:
        """The path in the container: a name for messages."""
        return self._path

    def require(self) -> None:
        """Raise NotFound when the root is not a directory."""
        self._ask(type(None), "require")

    def facts(self) -> TreeFacts:
        """Return the facts of the kernel there about the tree."""
        return self._ask(TreeFacts, "facts")

    @property
    def read_only(self) -> bool:
        """Whether the tree cannot be written there: the service mounts it read-only."""
        return self._ask(bool, "read_only")

    def require_writable(self, paths: Sequence[str] = (), *, swap: bool = False, kept: str = "") -> None:
        """Raise Refused if the root, or the directory of a path, cannot be written there."""
        for begin in range(0, max(len(paths), 1), _BATCH):
            batch = list(paths[begin : begin + _BATCH])
            self._ask(type(None), "require_writable", paths=batch, swap=swap, kept=kept)

    def exists(self) -> bool:
        """Return whether there is a root."""
        return self._ask(bool, "exists")

    def names(self) -> list[str]:
        """Return the names of the root's children."""
        return self._ask(list[str], "names")

    def free(self) -> int:
        """Return the bytes that may still be written."""
        return self._ask(int, "free")

    def walk(self) -> Iterator[TreeEntry]:
        """Yield every entry below the root; it cannot be opened here, use `contents`."""
        for described in self._batches("walk", _Described):
            yield described.entry

    def contents(self, knows: Callable[[TreeEntry], bool] | None = None) -> Iterator[tuple[TreeEntry, Steady | None]]:
        """Yield the entries of `walk`, each file with its content, which must be read before the next is asked for.

        With `knows` a batch of entries comes first, and the agent is then sent the numbers of the files to read.
        """
        if knows is None:
            with self._asked("contents") as channel:
                while (value := channel.value(_Described)) is not None:
                    yield from _with_content(channel, value)
            return
        with self._asked("changed") as channel:
            while (batch := channel.value(list[_Described])) is not None:
                entries = [one.entry for one in batch]
                wanted = [
                    number
                    for number, entry in enumerate(entries)
                    if entry.is_file and entry.same_as is None and not knows(entry)
                ]
                channel.send_value(wanted)
                channel.flush()
                read = set(wanted)
                for number, entry in enumerate(entries):
                    if number not in read:
                        yield entry, None
                    elif (value := channel.value(_Described)) is not None:
                        yield from _with_content(channel, value)

    def links(self) -> Iterator[tuple[str, str, bool]]:
        """Yield path and target of every symbolic link, and whether it leads out of the tree."""
        return self._batches("links", tuple[str, str, bool])

    def digests(self, knows: Callable[[TreeEntry], str | None] | None = None) -> Iterator[tuple[str, str]]:
        """Yield path and SHA-256, which is taken there, of every regular file; see `port.Tree`."""
        if knows is None:
            yield from self._batches("digests", tuple[str, str])
            return
        with self._asked("unknown digests") as channel:
            while (batch := channel.value(list[_Described])) is not None:
                entries = [one.entry for one in batch if one.odd is None]
                known = [knows(entry) for entry in entries]
                channel.send_value([number for number, digest in enumerate(known) if digest is None])
                channel.flush()
                read = iter(channel.value(list[str | None]) or [])
                for entry, digest in zip(entries, known, strict=True):
                    if found := digest or next(read, None):
                        yield entry.path, found

    def opened(self) -> Iterator[tuple[str, bool]]:
        """Yield the path of every regular file, and whether it can be opened there."""
        return self._batches("opened", tuple[str, bool])

    def stage(self, stamp: str) -> RemoteStaging:
        """Return an empty tree next to the live children; an error may be raised as late as in `finish`."""
        stack = ExitStack()
        return RemoteStaging(stack, stack.enter_context(self._asked("stage", stamp=stamp)))

    def announce(self, stamp: str, move: Move) -> None:
        """Begin a swap."""
        self._ask(type(None), "announce", stamp=stamp, move=asdict(move))

    def swap(self, stamp: str, move: Move = RESTORE) -> Path:
        """Swap the children; return where the old children are kept."""
        return Path(self._ask(str, "swap", stamp=stamp, move=asdict(move)))

    def undo_swap(self, stamp: str, move: Move = RESTORE) -> None:
        """Make the tree old again, wherever `swap` stopped."""
        self._ask(type(None), "undo_swap", stamp=stamp, move=asdict(move))

    def undo_moves(self, stamp: str, move: Move) -> None:
        """Move the old children back."""
        self._ask(type(None), "undo_moves", stamp=stamp, move=asdict(move))

    def undo_announce(self, stamp: str, move: Move) -> None:
        """Mark the swap as no longer in progress."""
        self._ask(type(None), "undo_announce", stamp=stamp, move=asdict(move))

    def unfinished(self) -> list[tuple[str, Move]]:
        """Return the swaps that a killed run left half done."""
        return self._ask(list[tuple[str, Move]], "unfinished")

    def kept(self, role: str) -> list[str]:
        """Return the stamps of the copies kept under `role`, newest first."""
        return self._ask(list[str], "kept", role=role)

    def discard_kept(self, role: str, stamp: str) -> None:
        """Remove the copy kept under `role` and `stamp`."""
        self._ask(type(None), "discard_kept", role=role, stamp=stamp)

    def half_discarded(self) -> list[tuple[str, str]]:
        """Return role and stamp of copies that a killed run had begun to discard."""
        return self._ask(list[tuple[str, str]], "half_discarded")

    def discard_stage(self, stamp: str) -> None:
        """Remove the stage of `stamp`."""
        self._ask(type(None), "discard_stage", stamp=stamp)

    def remove_files(self, paths: Sequence[str]) -> int:
        """Remove files and symbolic links there; return how many were there."""
        batches = [paths[begin : begin + _BATCH] for begin in range(0, len(paths), _BATCH)]
        return sum(self._ask(int, "remove_files", paths=list(batch)) for batch in batches)

    def record(self, stamp: str) -> bytes:
        """Return the record of a Method 2 restore."""
        return self._ask(str, "record", stamp=stamp).encode("latin-1")

    def is_held(self) -> bool:
        """Return whether another run has locked the tree now."""
        return self._ask(bool, "is_held")

    @property
    def single_files(self) -> RemoteFiles:
        """The operations on single files there."""
        return RemoteFiles(self._ask)

    def aside(self, role: str, stamp: str) -> RemoteTree:
        """Return the copy kept under a role and stamp, as a tree of its own."""
        return RemoteTree(self.beside(role, stamp), self._python, self._explain)

    def beside(self, role: str, stamp: str) -> Path:
        """Return the path of an entry next to the live children."""
        return self._path / f".{role}-{stamp}"

    def _asked(self, doing: str, **given: object) -> AbstractContextManager[Channel]:
        return asked(self._python, {"do": doing, "root": str(self._path), **given}, self._explain)

    def _ask(self, answer: type[T], doing: str, **given: object) -> T:
        with self._asked(doing, **given) as channel, channel.in_time():
            value = channel.value(answer)
            channel.end()
            return cast("T", value)

    def _batches(self, doing: str, item: type[T]) -> Iterator[T]:
        with self._asked(doing) as channel:
            while (batch := channel.value(list[item])) is not None:  # type: ignore[valid-type]
                yield from batch


def _with_content(channel: Channel, value: _Described) -> Iterator[tuple[TreeEntry, Steady | None]]:
    if value.content is None:
        yield value.entry, None
        return
    file = _Streamed(channel, value.path, value.content)
    yield value.entry, file
    file.finish()


class _Described(msgspec.Struct, frozen=True, array_like=True):
    """An entry as `media_agent.described` sends it.

    An entry of `contents` also has its attributes and the size of the following data.
    """

    path: str
    mode: int
    size: int
    mtime_ns: int
    uid: int
    gid: int
    odd: str | None
    links: int = 1
    ctime_ns: int = 0
    inode: int = 0
    content: int | None = None
    extended: dict[str, str] = {}
    target: str | None = None
    leads_out: bool = False
    same_as: str | None = None

    @property
    def entry(self) -> TreeEntry:
        exact = (self.mtime_ns, self.mtime_ns, self.ctime_ns)
        times = (*(time // 1_000_000_000 for time in exact), *(time / 1_000_000_000 for time in exact), *exact)
        info = os.stat_result((self.mode, self.inode, 0, self.links, self.uid, self.gid, self.size, *times))
        extended = {name: value.encode("latin-1") for name, value in self.extended.items()}
        return TreeEntry(self.path, info, -1, self.odd, extended, self.target, self.leads_out, self.same_as)


class _Streamed:
    """A file as it comes out of the container."""

    def __init__(self, channel: Channel, path: str, size: int) -> None:
        self.size = size
        self._channel = channel
        self._path = path
        self._missing = size
        self._piece = b""
        self._digest = hashlib.sha256()
        self._end: tuple[str, bool, bool] | None = None

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, none at the end."""
        if not self._piece and self._missing:
            self._piece = self._channel.piece()
            self._missing -= len(self._piece)
        if 0 <= size < len(self._piece):
            piece, self._piece = self._piece[:size], self._piece[size:]
        else:
            piece, self._piece = self._piece, b""
        self._digest.update(piece)
        return piece

    @property
    def sha256(self) -> str:
        """The checksum of the bytes read."""
        return self._digest.hexdigest()

    @property
    def streamed(self) -> bool:
        """Whether it was read as it stood, without a copy made before."""
        return self.finish()[2]

    def is_stable(self) -> bool:
        """Return whether the bytes read are one state of the file."""
        return self.finish()[1]

    def finish(self) -> tuple[str, bool, bool]:
        """Read the rest and the statement about the file; ProofFailed if the bytes differ from those read there."""
        while self._end is None:
            if self.read():
                continue
            self._end = self._channel.value(tuple[str, bool, bool])
            if self._end is None or self._end[0] != self.sha256:
                raise ProofFailed(
                    f"{printable(self._path)} differs from the file that was read in the container",
                    hint="run the backup again; if it happens again, the memory or the network between is failing",
                )
        return self._end


class RemoteStaging:
    """A tree being built in the container: files are sent without waiting for word of each."""

    def __init__(self, stack: ExitStack, channel: Channel) -> None:
        self._stack = stack
        self._channel = channel

    def add_directory(self, path: str, given: GivenProperties) -> None:
        """Make a directory; `finish` sets its properties."""
        self._channel.send_value(["directory", path, _given(given)])

    def create(self, path: str) -> IO[bytes]:
        """Open a new file for writing."""
        self._channel.send_value(["file", path])
        return cast("IO[bytes]", _Sent(self._channel))

    def settle(self, file: IO[bytes], given: GivenProperties) -> None:
        """Give the file that was written last its mode, time, owner and attributes."""
        del file
        self._channel.send_value(["settle", _given(given)])

    def take_over(self, files: Sequence[LiveFile], *, link: bool) -> list[bool]:
        """Take over those live files that are unchanged; return for each whether that was done."""
        self._channel.send_value(["unchanged", [list(asdict(file).values()) for file in files], link])
        self._channel.flush()
        return self._channel.value(list[bool]) or [False for _ in files]

    def add_hard_link(self, path: str, existing: str) -> None:
        """Give a file that was written before a second name."""
        self._channel.send_value(["hard link", path, existing])

    def add_link(self, path: str, target: str, *, mtime_ns: int, owner: tuple[int, int] | None = None) -> None:
        """Make a symbolic link when all files are there."""
        self._channel.send_value(["link", path, target, {"mtime_ns": mtime_ns, "owner": owner}])

    def carry_link(self, path: str, target: str) -> None:
        """Make a symbolic link of the live tree, unless something else has its path."""
        self._channel.send_value(["carry", path, target])

    def finish(self) -> LostFileProperties:
        """Let the tree be completed there and given its proven name; raises the error from there."""
        with self._stack:
            self._channel.send(END)
            self._channel.flush()
            lost = self._channel.value(LostFileProperties) or LostFileProperties()
            self._channel.end()
            return lost

    def close(self) -> None:
        """End the process; the tree stays as it is."""
        self._stack.close()


def _given(given: GivenProperties) -> dict[str, object]:
    """Return the properties of a file or directory, in a form for JSON."""
    return {**asdict(given), "extended": {name: value.decode("latin-1") for name, value in given.extended.items()}}


class _Sent(io.RawIOBase):
    """The file that is being written there."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override] # only bytes are written here
        """Send a piece."""
        view = memoryview(data)[:CHUNK]
        self._channel.send(DATA, view)
        return len(view)
