"""Read files back while they are still being written: the bytes are read from the file, not from memory.

A backup is read back before it gets its final name. A second pass afterwards costs its whole time again; reading behind
the writer costs only the time of the last few blocks.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import IO, TYPE_CHECKING, Generic, TypeVar

from korrigo_backup.system.files import open_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

Result = TypeVar("Result")


class Following:
    """A file that another thread is writing: its end is not where it has grown to, but where `end` was called."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._grown = Event()
        self._ended = Event()

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`, waiting for them; none at the end."""
        while True:
            ended = self._ended.is_set()  # checked first: bytes written before the end must still be read
            data = self._file.read(size)
            if data or ended:
                return data
            self._grown.wait()
            self._grown.clear()

    def grown(self) -> None:
        """Announce that the file has grown."""
        self._grown.set()

    def end(self) -> None:
        """Announce that the file is complete."""
        self._ended.set()
        self._grown.set()


class Followed(Generic[Result]):
    """The reading that goes on behind the writer."""

    def __init__(self, files: Sequence[Following], reading: Future[Result]) -> None:
        self._files = files
        self._reading = reading

    def grown(self) -> None:
        """Announce that files have grown."""
        for file in self._files:
            file.grown()

    def end(self) -> None:
        """Announce that all files are complete."""
        for file in self._files:
            file.end()

    def result(self) -> Result:
        """Wait until all is read and return the result of `read`, or raise its exception."""
        self.end()
        return self._reading.result()


@contextmanager
def followed(paths: Sequence[Path], read: Callable[..., Result]) -> Iterator[Followed[Result]]:
    """Run `read` on the files at `paths`, opened anew, in a thread of its own while the caller writes them.

    Leaving the block ends the files, so that no reader goes on after the writer has failed.
    """
    with ExitStack() as stack:
        files = [Following(stack.enter_context(open_plain(path))) for path in paths]
        pool = stack.enter_context(ThreadPoolExecutor(1))
        behind = Followed(files, pool.submit(read, *files))
        stack.callback(behind.end)
        yield behind
