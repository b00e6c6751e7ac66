"""The private directory of one who reads a target: it lives as long as its process."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from korrigo_backup.system.files import explained, private_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

READING_PREFIX = ".reading-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def reading_directory(above: Path, target: str) -> Iterator[Path]:
    """Yield a private directory in the backup directory `above`; it is removed at the end.

    It is apart from the spool directory of a copy, which may be under way. Those of killed readers are removed.
    """
    with explained(f"use {above}"):
        private_directory(above)
        with _locked(above):
            for left in above.glob(f"{READING_PREFIX}*"):
                _remove_left(left)
            made = Path(mkdtemp(prefix=f"{READING_PREFIX}{target}-", dir=above))
            used = os.open(made, _DIRECTORY)
            fcntl.flock(used, fcntl.LOCK_EX)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(used)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one reader at a time make and remove the directories of readers."""
    descriptor = os.open(directory, _DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_left(directory: Path) -> None:
    """Remove the directory of a reader that has ended: its lock ended with its process."""
    with suppress(OSError):
        descriptor = os.open(directory, _DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(descriptor)
