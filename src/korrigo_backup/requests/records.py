"""The host's own memory of requests, in the backup directory, where the site does not write.

A record is made before a request is worked on, and gets its last state after the answer is written: a request whose
record is `taken` may be without an answer.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.errors import Refused
from korrigo_backup.requests.model import State
from korrigo_backup.system.files import explained, private_directory, read_plain, replace_whole

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORY = ".requests"
_LARGEST = 64 * 1024


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the host took it. `digest` is that of the plan shown last; `of` the request that it carries out.

    `tries` counts the runs that have begun to work on it.
    """

    id: str
    wants: str
    by: str
    received: datetime
    site: str = ""
    backup: str = ""
    objects: tuple[str, ...] = ()
    skip: bool = False
    digest: str = ""
    of: str = ""
    state: State = State.TAKEN
    message: str = ""
    tries: int = 0

    @property
    def names_plan(self) -> bool:
        """Whether it is a plan that was shown and is to be carried out."""
        return bool(self.of and self.backup and self.digest)

    @property
    def has_shown_plan(self) -> bool:
        """Whether its plan was shown and can be carried out."""
        return self.state in {State.PLANNED, State.CHANGED}


def write_record(directory: Path, record: RequestRecord) -> None:
    """Write a record, forced to disk, in the place of its former state."""
    inside = directory / DIRECTORY
    if inside.is_symlink():
        raise Refused(f"{inside} is a link, where records of requests belong", hint=f"remove it: rm {inside}")
    with explained(f"write a record in {inside}"):
        private_directory(inside)
        replace_whole(inside / f"{record.id}.json", msgspec.json.encode(record))


def find_record(directory: Path, id_: str) -> RequestRecord | None:
    """Return the record of a request, None if there is none."""
    path = directory / DIRECTORY / f"{id_}.json"
    with explained(f"read {path}"):
        try:
            return msgspec.json.decode(read_plain(path, _LARGEST), type=RequestRecord)
        except FileNotFoundError:
            return None
        except ValueError:  # damaged: it is not carried out again
            return RequestRecord(id=id_, wants="", by="", received=datetime.fromtimestamp(0, UTC), state=State.FAILED)


def read_records(directory: Path, site: str) -> list[RequestRecord]:
    """Return the records of a site, oldest first; a damaged record is left out."""
    inside, found = directory / DIRECTORY, list[RequestRecord]()
    with explained(f"read {inside}"):
        for path in inside.glob("*.json") if inside.is_dir() else ():
            with suppress(FileNotFoundError, ValueError):
                found.append(msgspec.json.decode(read_plain(path, _LARGEST), type=RequestRecord))
    return sorted((one for one in found if one.site == site), key=lambda one: one.received)


def forget_record(directory: Path, id_: str) -> None:
    """Remove a record."""
    (directory / DIRECTORY / f"{id_}.json").unlink(missing_ok=True)


def forget_half_written(directory: Path, before: float) -> None:
    """Remove records that a kill has left half written before a time, in seconds since 1970."""
    for path in (directory / DIRECTORY).glob(".*.json.*"):
        with suppress(OSError):
            if path.lstat().st_mtime < before:
                path.unlink()
