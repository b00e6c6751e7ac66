"""The ledger: a private file of JSON lines next to the signing key, outside of the database and of the backups.

A line is added by one write, forced to disk, under a lock; nothing is removed but what a person has named. A line that
is cut, altered or of an unknown key is an error: a ledger that is read in part would bring erased persons back.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, NoReturn

import msgspec

from korrigo_backup.core.counted import counted
from korrigo_backup.erasure.entry import Entry, Subject
from korrigo_backup.errors import NotFound, Refused
from korrigo_backup.system.files import (
    FILE_MODE,
    explained,
    fsync_directory,
    open_own,
    open_plain,
    private_directory,
    replace_whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from korrigo_backup.artifact.keyring import Keyring

NAME = "erasures.jsonl"
"""The name of the ledger next to the key file."""

_SHORTEST = 8
"""Digits of a hash that name an entry."""


class UnreadableLedger(Refused):
    """A line of the ledger is cut, altered, or made with a key that is not there."""

    id = "erasure.ledger"


class ErasedMeanwhile(Refused):
    """Somebody has recorded an erasure while a change of the site was on its way."""

    id = "erasure.meanwhile"


@dataclass(frozen=True)
class ErasureLedger:
    """The ledger at `path`, with the keys of the site. `known` are the lines that a change of the site has seen."""

    path: Path
    keyring: Keyring = field(repr=False)
    known: frozenset[bytes] | None = field(default=None, repr=False)

    def seen(self) -> ErasureLedger:
        """Return this ledger with the lines of now as the known ones; a file that cannot be read has none."""
        return replace(self, known=frozenset(self._lines()))

    @contextmanager
    def held(self) -> Iterator[int]:
        """Yield how many lines are new since `seen`; until the block ends, no other process adds one.

        Before the first entry there is no file: its directory is locked. Only an entry makes that, so that nothing is
        made below a mount point that is not mounted: while it is missing, the nearest directory above it is locked.
        """
        with ExitStack() as stack:
            with suppress(OSError):  # nobody who has no right to this directory writes an entry
                stack.enter_context(_locked_nearest(self.path.parent, fcntl.LOCK_SH))
            while os.path.lexists(self.path):
                file = stack.enter_context(self._open())
                fcntl.flock(file.fileno(), fcntl.LOCK_SH)
                if self._is_here(file.fileno()):
                    break
            yield 0 if self.known is None else len(self._lines() - self.known)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Make a change of the site real in the block; raise ErasedMeanwhile before it if there are new lines."""
        with self.held() as new:
            if new:
                raise ErasedMeanwhile(
                    f"forget has recorded {counted(new, 'erasure')} since the plan was made",
                    hint="run it again: the new plan leaves out what was erased",
                )
            yield

    def _open(self) -> IO[bytes]:
        try:
            with explained(f"read the erasure ledger {self.path}"):
                return open_plain(self.path)
        except ValueError:
            raise _unreadable(f"{self.path} is not a regular file", "name another file in [erasure] ledger") from None

    def _lines(self) -> set[bytes]:
        with suppress(OSError, ValueError), open_plain(self.path) as file:
            return set(filter(None, file.read().split(b"\n")))
        return set()

    def read(self) -> tuple[Entry, ...]:
        """Return every entry, oldest first, none without a file; UnreadableLedger for a line that cannot be trusted."""
        if not os.path.lexists(self.path):
            return ()
        with self._open() as file:
            content = file.read()
        return tuple(self._entries(content))

    def append(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """Seal entries with the signing key, add them and force them to disk: all of them, or none.

        Entries that say nothing new are not added. Raises UnreadableLedger before anything is added behind
        a line that cannot be read.
        """
        self.read()  # a lost key is an error before a new key is made
        key = self.keyring.signing()
        with self._locked() as descriptor:
            known = self.read()
            new = [one for one in entries if one.is_newer_than(known)]
            _add(descriptor, b"".join(msgspec.json.encode(one.sealed(key)) + b"\n" for one in new))
            fsync_directory(self.path.parent)
        return tuple(new)

    def find(self, id_: str) -> Entry:
        """Return the newest entry whose hash begins with an id of 8 digits or more.

        Raises NotFound unless all such entries have the same hash.
        """
        found = [one for one in self.read() if one.subject is not Subject.RULES and one.hash.startswith(id_.lower())]
        if len(id_) < _SHORTEST or len({one.hash for one in found}) != 1:
            raise NotFound(
                f"{id_!r} does not name one entry of the erasure ledger",
                hint=f"korrigo-backup forget --list shows the hashes; give {_SHORTEST} digits of one, or more",
            )
        return found[-1]

    def remove(self, entry: Entry) -> None:
        """Take an entry out, and the older ones with its hash.

        A new file takes the place of the former one; a crash leaves one of both, whole.
        """
        with self._locked():
            left = [one for one in self.read() if one.hash != entry.hash]
            replace_whole(self.path, b"".join(msgspec.json.encode(one) + b"\n" for one in left))
            fsync_directory(self.path.parent)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Yield the open ledger while no other process changes it; the lock ends with its process."""
        with explained(f"write the erasure ledger {self.path}"):
            if not self.path.parent.is_dir():
                with _locked_nearest(self.path.parent, fcntl.LOCK_EX):
                    private_directory(self.path.parent)
            with _locked_directory(self.path.parent, fcntl.LOCK_EX):
                descriptor = self._opened()
                try:
                    while not self._is_here(descriptor):  # another process has taken an entry out meanwhile
                        os.close(descriptor)
                        descriptor = self._opened()
                    yield descriptor
                finally:
                    os.close(descriptor)

    def _opened(self) -> int:
        descriptor = open_own(self.path, os.O_RDWR | os.O_APPEND)
        os.fchmod(descriptor, FILE_MODE)  # the umask may have removed bits
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor

    def _is_here(self, descriptor: int) -> bool:
        ours, there = os.fstat(descriptor), os.lstat(self.path)
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def _entries(self, content: bytes) -> Iterator[Entry]:
        *lines, rest = content.split(b"\n")
        keys = self.keyring.by_id
        for number, line in enumerate(lines, 1):
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                raise self._bad(number, "is no entry") from None
            if entry.key not in keys:
                raise _unreadable(
                    f"line {number} of the erasure ledger {self.path} was made with the key {entry.key}, which is not"
                    f" in {self.keyring.path}",
                    f"put that key back into {self.keyring.path}, below the first line: the kit and the former server"
                    " have it",
                )
            if not entry.is_sealed(keys[entry.key]):
                raise self._bad(number, "was altered")
            yield entry
        if rest:
            raise _unreadable(
                f"the last line of the erasure ledger {self.path} is cut: a write ended in its middle",
                f"remove that line (sed -i '$d' {self.path}), then run again the forget that was interrupted",
            )

    def _bad(self, number: int, what: str) -> UnreadableLedger:
        return _unreadable(
            f"line {number} of the erasure ledger {self.path} {what}",
            f"take the ledger from the newest kit, or from a copy of {self.path}; if no copy is left, remove the line"
            f" (sed -i {number}d {self.path}) and forget again what it named",
        )


@contextmanager
def _locked_directory(directory: Path, lock: int) -> Iterator[None]:
    """Lock a directory while the block runs; a file system that knows no locks on directories (NFS) has none."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, lock)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _locked_nearest(directory: Path, lock: int) -> Iterator[None]:
    """Lock a directory, or the nearest above it that is there, while the block runs."""
    with ExitStack() as stack:
        place = _nearest(directory)
        stack.enter_context(_locked_directory(place, lock))
        while (made := _nearest(directory)) != place:  # another process has made it meanwhile
            place = made
            stack.enter_context(_locked_directory(place, lock))
        yield


def _nearest(directory: Path) -> Path:
    return next(one for one in (directory, *directory.parents) if one.is_dir())


def _add(descriptor: int, lines: bytes) -> None:
    """Write lines and force them to disk; if that fails, the file is as long as before."""
    size = os.fstat(descriptor).st_size
    try:
        if lines and os.write(descriptor, lines) < len(lines):
            _full()
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _full() -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _unreadable(message: str, hint: str) -> UnreadableLedger:
    return UnreadableLedger(message, hint=hint)
