"""Erasures that the site's own code has made and asks the host to record: files of a directory that the site writes.

The site's process has no signing key, and may not write into the ledger: whoever breaks into it could have every later
restore erase what they like. So it asks in clear, and the host decides. A file is a request, called by its id.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from itertools import islice
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.core.moment import require_moment
from korrigo_backup.errors import Refused
from korrigo_backup.system.files import explained
from korrigo_backup.system.spool import NoPlainFileError, opened_directory, read_untrusted, write_for_others

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = 16 * 1024
"""Bytes of a request."""

FILES = 8
"""Files of a request; an object with more has several requests."""

_LOOKED_AT = 10_000
"""Entries of the directory that are looked at."""

_FILE = re.compile(r"([0-9a-f]{32})\.json")

_Label = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,199}\Z")]
_Table = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,300}\Z")]
_Value = Annotated[str, Meta(pattern=r"^[^\x00]{0,1000}\Z")]
_Path = Annotated[str, Meta(pattern=r"^[^\x00]{1,1000}\Z")]
_User = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{0,150}\Z")]


class ErasureRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object that the site has erased, by model, table (as SQL writes it) and key.

    `files` are the paths of its files below the media root; `by` is the user who asked, as the site names him.
    """

    asked: datetime
    model: _Label
    table: _Table
    key: Annotated[tuple[_Value, ...], Meta(min_length=1, max_length=32)]
    files: Annotated[tuple[_Path, ...], Meta(max_length=FILES)] = ()
    by: _User = ""

    def __post_init__(self) -> None:
        """Refuse a time that cannot be compared (ValueError, to a decoder ValidationError)."""
        require_moment(self.asked)


def waiting_finding(number: int) -> Finding:
    """Return the finding about requests that wait for a person."""
    return warning(
        "erasure.waiting",
        f"waiting for a person: {counted(number, 'request')} to forget; until then a restore brings back what the site"
        " has erased",
        "korrigo-backup forget --requested, then --accept all",
    )


@dataclass(frozen=True)
class ErasureSpool:
    """The directory of the requests; both sides use the same."""

    directory: Path

    def ask(self, request: ErasureRequest) -> str:
        """Write a request, forced to disk; return its id. ValueError for one that the host would not read."""
        raw = msgspec.json.encode(request)
        if len(raw) > LARGEST:
            raise ValueError("the key or the paths are too long for a request")
        msgspec.json.decode(raw, type=ErasureRequest)
        id_ = token_hex(16)
        with self._inside() as inside, explained(f"write a request in {self.directory}"):
            write_for_others(inside, f"{id_}.json", raw)
            os.fsync(inside)
        return id_

    def pending(self) -> list[str]:
        """Return the ids of the requests, oldest first; other files are passed over, and what is behind too many."""
        found = list[tuple[float, str]]()
        with self._inside() as inside, os.scandir(inside) as entries:
            for entry in islice(entries, _LOOKED_AT):
                if match := _FILE.fullmatch(entry.name):
                    with suppress(FileNotFoundError):
                        found.append((entry.stat(follow_symlinks=False).st_mtime, match[1]))
        return [id_ for _, id_ in sorted(found)]

    def read(self, id_: str) -> ErasureRequest:
        """Return a request; ValueError, with the reason, for a file that is none, FileNotFoundError without one."""
        with self._inside() as inside:
            raw = read_untrusted(inside, f"{id_}.json", LARGEST)
        try:
            return msgspec.json.decode(raw, type=ErasureRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise NoPlainFileError("it is no request to forget") from None

    def remove(self, id_: str) -> None:
        """Remove a request."""
        doing = f"remove a request in {self.directory}"
        with self._inside() as inside, explained(doing), suppress(FileNotFoundError):
            os.unlink(f"{id_}.json", dir_fd=inside)

    @contextmanager
    def _inside(self) -> Iterator[int]:
        with ExitStack() as stack:
            try:
                inside = stack.enter_context(opened_directory(self.directory))
            except OSError as problem:
                raise Refused(
                    f"there is no directory {self.directory} for requests to forget: {problem.strerror}",
                    hint="make it as docs/how-to/erase-a-person.md shows",
                    id_="erasure.spool",
                ) from None
            yield inside
