"""The journal of a site: one line when an operation begins and another when it ends, never rewritten.

It stands in the backup directory (`.journal.jsonl`). A killed run leaves its first line alone, with the outcome
`begun`. Facts that must be known of a run after its death are a line of its own in between; of the lines of an
operation the last one counts.
"""

from __future__ import annotations

import errno
import getpass
import os
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from korrigo_backup.core.paths import readable
from korrigo_backup.core.secret import redact
from korrigo_backup.errors import INTERRUPTED, Cancelled, Interrupted, KorrigoBackupError, PartlyDone
from korrigo_backup.run.progress.operation import Operation, under_way
from korrigo_backup.run.record import Outcome, Record, Timed, downtime
from korrigo_backup.run.step import ServicesWereStopped, Step, VisitorsUnanswered, silent
from korrigo_backup.system.files import FILE_MODE, explained, open_own, open_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from msgspec import UnsetType

    from korrigo_backup.core.secret import Secret
    from korrigo_backup.run.step import Listener

FILE = ".journal.jsonl"
_LARGEST = 16 * 1024 * 1024
"""Bytes read from the end: some ten thousand operations."""


class JournaledSite(Protocol):
    """The name of a site, and its secrets, which are never written."""

    @property
    def name(self) -> str:
        """The name of the site."""
        ...

    @property
    def secrets(self) -> Sequence[Secret]:
        """Values that are taken out of every line."""
        ...


@dataclass(frozen=True)
class SiteName:
    """The name and the secrets of a site that this run does not reach."""

    name: str
    secrets: tuple[Secret, ...] = ()


@dataclass
class Running:
    """An operation under way: it listens to the steps and passes them on."""

    listener: Listener = silent
    bytes: int | None = None
    downtime: float | None = None
    _began: float = field(default_factory=time.monotonic)
    _steps: list[Timed] = field(default_factory=list)

    def listen(self, step: Step) -> None:
        """Note the step and pass it on."""
        self._steps.append(Timed(step.id, round(time.monotonic() - self._began, 3)))
        if isinstance(step, VisitorsUnanswered | ServicesWereStopped):
            self.downtime = round(step.seconds, 1)
        self.listener(step)

    def note(self, **known: object) -> None:
        """Write the facts that must be known of this operation if it ends here (fields of `Record`)."""


@dataclass(kw_only=True)
class _Recorded(Running):
    """An operation that is written down, at its end and whenever facts about it must be known."""

    record: Record
    write: Callable[[Record], None]

    def note(self, **known: object) -> None:
        """Write the record with the facts known so far."""
        self.record = replace(self.record, **known)
        self.write(self.record)

    def operation(self, records: Callable[[], list[Record]]) -> Operation:
        """Return this operation for a display; `records` reads the journal."""
        return Operation(self.record.verb, self.record.subject, self._began, self._steps, records)

    def ended(self, outcome: Outcome, code: int, message: str = "", error: str | UnsetType = UNSET) -> Record:
        """Return the record of the end; `error` is the id of its error."""
        return replace(
            self.record,
            outcome=outcome,
            exit_code=code,
            message=message,
            error=error,
            seconds=round(time.monotonic() - self._began, 3),
            downtime=downtime(self._steps) if self.downtime is None else self.downtime,
            bytes=self.bytes,
            steps=tuple(self._steps),
        )


@contextmanager
def recorded(
    directory: Path,
    site: JournaledSite,
    verb: str,
    subject: str,
    *,
    listener: Listener,
    why: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Record the operation in the block, with any end; the caller holds the site's lock.

    Yields a listener of its steps, which passes them on to `listener`. No secret of the site gets into the file. `why`
    holds the answers about it: approver, ticket, reason. Raises PartlyDone if all is done and only its last line could
    not be written.
    """
    record = replace(_record(site.name, verb, subject, datetime.now(UTC)), why=dict(why or {}))
    write = partial(_append, directory, site.secrets)
    running = _Recorded(listener, record=record, write=write)
    write(record)
    try:
        with under_way(running.operation(partial(read, directory))):
            yield running
    except PartlyDone as problem:
        _note(write, running.ended(Outcome.PARTLY, problem.exit_code, problem.message, problem.id))
        raise
    except Cancelled as problem:
        _note(write, running.ended(Outcome.CANCELLED, problem.exit_code))
        raise
    except KorrigoBackupError as problem:
        _note(write, running.ended(Outcome.FAILED, problem.exit_code, problem.message, problem.id))
        raise
    except (Interrupted, KeyboardInterrupt) as problem:
        _note(write, running.ended(Outcome.INTERRUPTED, INTERRUPTED, str(problem)))
        raise
    try:
        write(running.ended(Outcome.DONE, 0))
    except KorrigoBackupError as problem:
        raise PartlyDone(
            f"the {verb} is done, but {problem.message}", hint=problem.hint, state="the work itself is complete"
        ) from None


def _record(site: str, verb: str, subject: str, started: datetime) -> Record:
    """Return the record of an operation of ours that begins."""
    return Record(
        id=f"{started:%Y%m%dT%H%M%SZ}-{token_hex(3)}",
        verb=verb,
        subject=subject,
        site=site,
        by=f"{user()}@{socket.gethostname()}",
        started=started,
        damaged="",
        host=socket.gethostname(),
    )


def _note(write: Callable[[Record], None], record: Record) -> None:
    """Write how it ended; if that fails, too, the reason of the end is still reported, and the line stays `begun`."""
    with suppress(KorrigoBackupError):
        write(record)


def decided(directory: Path, site: JournaledSite, record: Record) -> None:
    """Write down how an operation ended that could not say so itself."""
    _append(directory, site.secrets, record)


def unread(directory: Path) -> str | None:
    """Return why the journal that is there cannot be read, None when it can or there is none."""
    try:
        open_plain(directory / FILE).close()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        return getattr(problem, "strerror", None) or str(problem)
    return None


def read(directory: Path) -> list[Record]:
    """Return the newest state of each operation, oldest first; a line that is cut or foreign is passed over."""
    path, records = directory / FILE, dict[str, Record]()
    try:
        with open_plain(path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LARGEST))
            lines = file.read(_LARGEST).splitlines()
    except (OSError, ValueError):
        return []
    for line in lines:
        try:
            record = msgspec.json.decode(line, type=Record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        records[record.id] = record
    return list(records.values())


def note_early(
    directory: Path,
    secrets: Sequence[Secret],
    run: tuple[str, str, str],
    began: datetime,
    *,
    outcome: Outcome,
    code: int,
    message: str,
    error: str = "",
) -> None:
    """Record the run (site, verb, subject) that ended like this, unless it has recorded itself since `began`.

    A run that never got as far as the site (no server, another run at work) has not. A record that cannot be written is
    lost: the end itself is being reported.
    """
    site, verb, subject = run
    if not _since(directory, verb, subject, began):
        record = _record(site, verb, subject, began)
        ended = replace(record, outcome=outcome, exit_code=code, message=message, error=error)
        _note(partial(_append, directory, secrets), ended)


def remark(directory: Path, secrets: Sequence[Secret], run: tuple[str, str], began: datetime, text: str) -> None:
    """Add `text` to the message of the run (verb, subject) that began at `began` or later, if there is one."""
    if found := _since(directory, *run, began):
        message = "; ".join(filter(None, (found.message, text)))
        _note(partial(_append, directory, secrets), replace(found, message=message))


def _since(directory: Path, verb: str, subject: str, began: datetime) -> Record | None:
    """Return the newest record of that verb and subject that does not begin before `began`."""
    records = [r for r in read(directory) if (r.verb, r.subject) == (verb, subject) and r.started >= began]
    return records[-1] if records else None


def user() -> str:
    """Return the name of the user, or the number of a user without a name, as in a container started with --user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return str(os.getuid())


def _append(directory: Path, secrets: Sequence[Secret], record: Record) -> None:
    """Write a line in a single call, so that a crash cannot mix two; a line that a full disk has cut is ended first."""
    line = msgspec.json.encode(_clean(record, secrets)) + b"\n"
    with explained(f"write the journal {directory / FILE}"):
        descriptor = open_own(directory / FILE, os.O_RDWR | os.O_APPEND)
        try:
            os.fchmod(descriptor, FILE_MODE)  # the umask may have removed bits
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            if os.write(descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _clean(record: Record, secrets: Sequence[Secret]) -> Record:
    """Return the record without secrets, with undecodable bytes escaped, in all texts of persons or programs.

    In the encoded line a secret with a quotation mark would not be found, and a secret like `done` would spoil the
    record.
    """

    def clean(text: str) -> str:
        return readable(redact(text, secrets))

    why = {name: clean(text) for name, text in record.why.items()}
    return replace(record, subject=clean(record.subject), message=clean(record.message), why=why)
