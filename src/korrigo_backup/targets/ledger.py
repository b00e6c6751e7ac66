"""The ledger of a target: what this host has sent to it and read back from it, in the backup directory.

One JSON line an event; of the lines of an object the last one counts. A line that a crash has cut is passed over.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.moment import require_moment
from korrigo_backup.system.files import explained, open_own, open_plain, write_all

if TYPE_CHECKING:
    from pathlib import Path

_PREFIX, _SUFFIX = ".copies-", ".jsonl"
_LONGEST = 1024 * 1024
"""Bytes of a line."""


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An object on a target: size and SHA-256 of its bytes there.

    `sent` is when it was put and its checksum compared there, None while it is being sent. `read` is when all of it was
    last read back, `bad` why that failed. `whole` is True for a receipt: its artifact is there as a whole, and its line
    names the components and the time `created` of the artifact. `lock_read` is when `locked_until` was read back from
    the server, in the line of a receipt the earliest end of all its objects; `held` when a legal hold was. `pruned` is
    when the policy removed the object: a copy does not send it again. `again` is True for an object that was sent more
    than once, from the beginning of its second sending on: copies that have their receipts name it.
    """

    object: str
    artifact: str
    size: int
    sha256: str
    sent: datetime | None = None
    read: datetime | None = None
    bad: str = ""
    sealed: bool = False
    whole: bool = False
    locked_until: datetime | None = None
    lock_read: datetime | None = None
    held: datetime | None = None
    pruned: datetime | None = None
    again: bool = False
    created: datetime | None = None
    components: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse times that cannot be compared with others (ValueError, to a decoder ValidationError)."""
        moments = (self.sent, self.read, self.locked_until, self.lock_read, self.held, self.pruned, self.created)
        for moment in moments:
            require_moment(moment)


def known_targets(directory: Path) -> list[str]:
    """Return the names of the targets that have a ledger in the backup directory, also of former targets."""
    with suppress(OSError):
        found = [entry.name for entry in directory.iterdir()]
        return sorted(
            name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
            for name in found
            if name.startswith(_PREFIX) and name.endswith(_SUFFIX)
        )
    return []


class Ledger:
    """The ledger of the target called `name`; a single run writes it."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / f"{_PREFIX}{name}{_SUFFIX}"
        self.lines = _read(self.path)

    def write(self, *lines: LedgerLine) -> None:
        """Add lines and force them to disk together."""
        if not lines:
            return
        with explained(f"write {self.path}"):
            descriptor = open_own(self.path, os.O_RDWR | os.O_APPEND)
            with os.fdopen(descriptor, "r+b", buffering=0) as file:
                size = os.fstat(descriptor).st_size
                cut = size and os.pread(descriptor, 1, size - 1) != b"\n"
                write_all(file, (b"\n" if cut else b"") + b"".join(msgspec.json.encode(one) + b"\n" for one in lines))
                os.fsync(descriptor)
        self.lines.update((one.object, one) for one in lines)

    def remove(self, name: str, *, pruned: datetime | None = None) -> None:
        """Note that an object is not on the target any more; `pruned` if the policy has removed it."""
        if line := self.lines.get(name):
            self.write(LedgerLine(object=name, artifact=line.artifact, size=line.size, sha256=line.sha256,
                                  sealed=line.sealed, pruned=pruned))  # fmt: skip

    def sent(self, name: str) -> LedgerLine | None:
        """Return the line of an object that is on the target, as far as this host knows."""
        line = self.lines.get(name)
        return line if line and line.sent else None


def _read(path: Path) -> dict[str, LedgerLine]:
    lines: dict[str, LedgerLine] = {}
    decoder = msgspec.json.Decoder(LedgerLine)
    try:
        with open_plain(path) as plain, io.BufferedReader(plain) as file:  # type: ignore[type-var]
            for text in iter(lambda: file.readline(_LONGEST), b""):
                with suppress(msgspec.DecodeError, UnicodeDecodeError):
                    line = decoder.decode(text)
                    lines[line.object] = line
    except (OSError, ValueError):
        return lines
    return lines
