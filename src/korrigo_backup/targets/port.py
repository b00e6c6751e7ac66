"""The port of a target: objects with plain names that are put once, listed, looked at and fetched.

An object is complete and verified, or it is not visible. No put replaces an object. To delete is a right of its own,
which a target need not have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from korrigo_backup.errors import ProofFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.targets.pace import Pace

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*", re.ASCII)


@dataclass(frozen=True)
class StoredObject:
    """An object on a target: its name below the prefix of the target, its size in bytes.

    `is_hidden` is True if somebody has deleted it in a bucket with versions: the version is there, below a marker.
    """

    name: str
    size: int
    is_hidden: bool = False


@dataclass(frozen=True)
class PutResult:
    """The result of a put: False in `is_new` if the target had this content under this name already.

    `locked_until` is the end of the retention as it was read back from the server, None without a retention.
    """

    is_new: bool
    locked_until: datetime | None = None


@dataclass(frozen=True)
class PutObject:
    """A file to be put under `name`; `sha256` is that of `source`, hexadecimal."""

    name: str
    source: Path
    sha256: str


class Target(Protocol):
    """Another place for artifacts. Names are below its prefix: `SITE/FILE`.

    Each method raises Unreachable if the target does not answer, Refused if it does not allow the operation, and
    KorrigoBackupError for another failure, such as a full disk.
    """

    @property
    def name(self) -> str:
        """The name in the configuration."""
        ...

    @property
    def place(self) -> str:
        """The place as people write it, without secrets: `s3://bucket/prefix`."""
        ...

    def put(self, name: str, source: Path, sha256: str) -> PutResult:
        """Store a file under a new name and compare checksums there; `sha256` is that of `source`, hexadecimal.

        The file is called as the last part of the name.
        Raises ProofFailed if the target has another content under this name, before or after the transfer.
        """
        ...

    def list(self, below: str = "") -> Iterator[StoredObject]:
        """Yield the objects whose names begin with `below`, which is empty or ends in a slash."""
        ...

    def stat(self, name: str) -> StoredObject | None:
        """Return an object, None if there is none of this name."""
        ...

    def fetch(self, name: str, to: Path) -> str:
        """Write the content of an object to the new file `to` and return the SHA-256 of the content that was read.

        Raises NotFound if there is no object of this name.
        """
        ...


@runtime_checkable
class DeletingTarget(Protocol):
    """The right to delete, which a target has only if the configuration gives it."""

    def delete(self, name: str) -> None:
        """Delete an object, in a bucket with versions each version that a put has made; a missing object is no error.

        Raises Refused if the target does not allow it, as for a locked object.
        """
        ...


@dataclass(frozen=True)
class ObjectLock:
    """The protection of an object as the server gives it back: end and mode of the retention, whether a hold is on."""

    until: datetime | None = None
    mode: str = ""
    is_held: bool = False


@runtime_checkable
class LockingTarget(Protocol):
    """A target that can protect objects. Each method returns the protection as it was read back afterwards."""

    def lock_of(self, name: str) -> ObjectLock:
        """Return the protection of an object; none if the server does not show it."""
        ...

    def retain(self, name: str) -> ObjectLock:
        """Lengthen the retention of an object to that of a new one."""
        ...

    def hold(self, name: str, *, on: bool) -> ObjectLock:
        """Switch the legal hold of an object."""
        ...


@runtime_checkable
class VersioningTarget(Protocol):
    """A target that may keep earlier contents of an object, below one that somebody has put over them."""

    def earlier(self, name: str, to: Path) -> Iterator[str]:
        """Write each earlier content in turn to the file `to` and yield its SHA-256, the newest first.

        Without versions, or without the right to read them, there are none.
        """
        ...


@runtime_checkable
class BatchingTarget(Protocol):
    """A target that is faster with many files at once than with each by itself."""

    def put_many(self, objects: Sequence[PutObject]) -> Mapping[str, PutResult | ProofFailed]:
        """Store files as `put` does, and return for each name its result, or the error that `put` would raise.

        Raises the errors of `put` that concern all of them; an object is then complete and verified, or a later put
        compares it.
        """
        ...


@runtime_checkable
class PacedTarget(Protocol):
    """A target whose bytes pass through this process, and are counted there."""

    @property
    def pace(self) -> Pace:
        """The counter of its bytes."""
        ...


@runtime_checkable
class ConnectingTarget(Protocol):
    """A target whose operations can share a connection."""

    def connected(self) -> AbstractContextManager[None]:
        """Hold a connection for the operations within the block; without one, each of them makes its own as before."""
        ...


def require_plain(name: str) -> str:
    """Return a name of plain parts, none of them hidden or `..`; UsageError for any other name."""
    if not _PLAIN.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for an object on a target", hint="rename the file: letters, digits, . _ -"
        )
    return name


def require_named(name: str, source: Path) -> None:
    """Raise UsageError unless `name` is plain and its last part is the name of the file."""
    if require_plain(name).rpartition("/")[2] != source.name:
        raise UsageError(f"{source} cannot be put as {name}", hint="a file keeps its own name on a target")


def other_content(target: Target, name: str) -> ProofFailed:
    """Return the error for an object whose content on the target is not the content that was or would be sent."""
    return ProofFailed(
        f"{target.name}: {name} has another content on {target.place} than here",
        hint="no copy replaces an object: look at it there, move it away or delete it, then copy again",
    )
