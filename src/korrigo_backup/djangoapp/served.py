"""A backup that the host serves, read piece by piece over the standard streams (site/served_protocol.py)."""

from __future__ import annotations

import _thread
import errno
import io
import os
import select
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import IO, TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.site.served_protocol import HEAD, MISSING, PIECE, Read, Ready, Size, encode, message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

    from korrigo_backup.run.step import DjangoStep
    from korrigo_backup.site.served_protocol import Message

PATIENCE_SECONDS = 300.0
"""How long the host may take to answer. It holds the input open while it lives; this is for a host that hangs."""

_LOOK_MILLISECONDS = 500


@dataclass(frozen=True)
class Host:
    """The command on the host: `say` prints a line to it, `answers` is the descriptor of its answers."""

    say: Callable[[str], None]
    answers: int = 0
    _done: Event = field(default_factory=Event)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Interrupt the block, also in the middle of a statement, if the host goes before its word."""
        watch = Thread(target=self._watch, daemon=True)
        watch.start()
        try:
            yield
        finally:
            self._done.set()
            watch.join()

    def _watch(self) -> None:
        pipe = select.poll()
        pipe.register(self.answers, 0)  # the closing of the other end is always reported
        while not self._done.is_set():
            if pipe.poll(_LOOK_MILLISECONDS):
                if not self._done.is_set():
                    _thread.interrupt_main()
                return

    def open(self, name: str) -> IO[bytes]:
        """Return a file of the backup, unbuffered; FileNotFoundError when it has none of that name."""
        size = self._ask(Size(name))
        if size == MISSING:
            raise FileNotFoundError(name)
        return _File(self, name, size)  # type: ignore[return-value]

    def read(self, name: str, at: int, size: int) -> bytes:
        """Return a piece of a file; fewer bytes than `size` mean its end."""
        return self._exactly(self._ask(Read(name, at, min(size, PIECE))))

    def tell(self, step: DjangoStep) -> None:
        """Pass a step on."""
        self.say(encode(message_of(step)))

    def wait_for_the_word(self, transaction: str) -> None:
        """Return when the host sends the word to commit; KorrigoBackupError if it sends none.

        The watch ends before: this thread waits for the host itself, and a host that dies after its word is obeyed.
        """
        self._done.set()
        self._ask(Ready(transaction))

    def _ask(self, message: Message) -> int:
        self.say(encode(message))
        return int.from_bytes(self._exactly(HEAD), signed=True)

    def _exactly(self, size: int) -> bytes:
        """Return the next bytes of the answer; it does not read ahead, so that waiting can be limited."""
        pieces, missing = [], size
        while missing:
            if not select.select([self.answers], [], [], PATIENCE_SECONDS)[0]:
                raise _gone("does not answer")
            piece = os.read(self.answers, missing)
            if not piece:
                raise _gone("has gone")
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def __str__(self) -> str:
        return "the backup of the host"


class _File(io.RawIOBase):
    """A file of the backup; each read asks the host."""

    def __init__(self, host: Host, name: str, size: int) -> None:
        self._host = host
        self._name = name
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        if not len(view) or self._at >= self._size:
            return 0
        piece = self._host.read(self._name, self._at, len(view))
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if begin + offset < 0:
            raise OSError(errno.EINVAL, f"negative place {begin + offset}", self._name)  # as files of the system do
        self._at = begin + offset
        return self._at

    def tell(self) -> int:
        return self._at


def _gone(what: str) -> KorrigoBackupError:
    return KorrigoBackupError(
        f"the command on the host that serves the backup {what}",
        hint="`restore -` is for korrigo-backup restore alone: run that on the host, or name a directory",
    )
