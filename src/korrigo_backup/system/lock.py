"""One run at a time: a kernel lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from korrigo_backup.errors import Locked
from korrigo_backup.system.files import FILE_MODE, explained, private_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def exclusive(path: Path, doing: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; `doing` is what another run is told.

    Raises Locked with the holder's words when it is held. The file stays: removing it would let two runs hold
    two different files of one name.
    """
    with explained(f"use the backup directory {path.parent}"):
        private_directory(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    with suppress(PermissionError):  # another user's, open to us
        os.fchmod(descriptor, FILE_MODE)
    try:
        _take(descriptor)
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
        holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "another run"
        raise Locked(
            f"another run is at work: {holder}",
            hint="wait for its end, then run this again; a lock never outlives its process",
        ) from None
