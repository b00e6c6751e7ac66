"""A single run at a time: a kernel lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.errors import Locked
from korrigo_backup.system.files import FILE_MODE, explained, open_own, open_plain, private_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCKS = Path("/proc/locks")
_WORDS = 200
"""Bytes read of the description that a run writes into its lock."""


@contextmanager
def exclusive(path: Path, doing: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; `doing` is shown to another run.

    Raises Locked with the text of the other run if it is locked. The file stays: removing it would let two runs lock
    two different files of the same name.
    """
    with explained(f"use the backup directory {path.parent}"):
        private_directory(path.parent)
        descriptor = open_own(path, os.O_RDWR)
    with suppress(PermissionError):  # another user's, open to us
        os.fchmod(descriptor, FILE_MODE)
    try:
        _take(descriptor)
        with explained(f"write the lock {path}"):
            os.ftruncate(descriptor, 0)
            since = datetime.now(UTC).isoformat(timespec="seconds")
            os.pwrite(descriptor, f"{doing} (process {os.getpid()}) since {since}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, _WORDS, 0).decode(errors="replace") or "another run"
        locked = Locked(
            f"another run is at work: {holder}",
            hint="wait for its end, then run this again; a lock ends with its process",
        )
        locked.doing = holder.partition(" (process ")[0]
        raise locked from None


def holder(path: Path) -> str | None:
    """Return the text of the run that has locked the file `path`, None if it is not locked. Takes no lock itself.

    The kernel's list (`/proc/locks`) shows whether it is locked. A run in a container that this process cannot see is
    not in the list.
    """
    try:
        with open_plain(path) as file:
            inode = os.fstat(file.fileno()).st_ino
            doing = file.read(_WORDS).decode(errors="replace")
        held = _LOCKS.read_text(encoding="ascii", errors="replace")
    except (OSError, ValueError):
        return None
    taken = any("FLOCK" in words and f":{inode} " in words for words in held.splitlines())
    return (doing or "another run") if taken else None
