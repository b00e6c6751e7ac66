"""The host's side of `manage.py restore -`: it answers requests for the files of a backup (site/served_protocol.py)."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from korrigo_backup.run.step import DjangoComplete
from korrigo_backup.site.served_protocol import HEAD, MISSING, PIECE, Read, Ready, Size, StepMessage, decode, step_of
from korrigo_backup.system.progress import Work, under_way

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from korrigo_backup.run.step import DjangoListener
    from korrigo_backup.system.run import Process


@dataclass
class Served:
    """The open files of a backup by name, the listener of steps, and the judge of whether a transaction may end.

    `ready` is called with the number of the transaction that holds everything, and raises if it must not be committed.
    `complete` is True when all is done.
    """

    files: Mapping[str, IO[bytes]]
    listen: DjangoListener
    ready: Callable[[str], None]
    complete: bool = False

    def answer(self, process: Process) -> None:
        """Answer a process until its output ends; a process that has gone is left to its exit status."""
        with suppress(BrokenPipeError), under_way(Work(name="loading by manage.py restore")) as work:
            for line in process.stdout:
                message = decode(line)
                if isinstance(message, StepMessage):
                    self._hear(message)
                elif message is not None:
                    process.stdin.write(self._answered(message, work))
                    process.stdin.flush()

    def _hear(self, message: StepMessage) -> None:
        step = step_of(message)
        if isinstance(step, DjangoComplete):
            self.complete = True
        else:
            self.listen(step)

    def _answered(self, message: Size | Read | Ready, work: Work) -> bytes:
        if isinstance(message, Ready):
            self.ready(message.transaction)
            return _length(0)
        file = self.files.get(message.name)
        if isinstance(message, Size):
            return _length(os.fstat(file.fileno()).st_size if file else MISSING)
        piece = os.pread(file.fileno(), min(message.size, PIECE), message.at) if file else b""
        work.item, work.size = message.name, message.at + len(piece)
        work.whole = os.fstat(file.fileno()).st_size if file else None
        return _length(len(piece)) + piece


def _length(size: int) -> bytes:
    return size.to_bytes(HEAD, signed=True)
