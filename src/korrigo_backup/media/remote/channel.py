"""The channel to `agent.py`: its program and a request go to a Python there; its answer is returned or raised."""

from __future__ import annotations

import json
import pkgutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import msgspec

from korrigo_backup.errors import Cause, KorrigoBackupError, Locked, NotFound, Refused, Unreachable
from korrigo_backup.media.remote.frames import DATA, END, ERROR, VALUE, receive, send
from korrigo_backup.system.run import called_after, describe_status, spawn
from korrigo_backup.system.silence import Limits, SilenceWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from korrigo_backup.system.run import Command, Process

T = TypeVar("T")

ANSWER_SECONDS = 600.0
"""Seconds for a question or a swap, which is a rename for each child of the root."""

STREAM = Limits(silent=ANSWER_SECONDS, between=30.0, hopeless=3000.0)
"""A stream of files stands still for an hour at most: to read a large file to its end takes minutes."""

LEAVE_SECONDS = 10.0
"""Seconds that the command gets to end once its program has: it removes the container that was made for that."""

_SENT = (
    "errors",
    "core/excerpt",
    "core/paths",
    "system/mounts",
    "system/files",
    "media/extended",
    "media/reuse",
    "media/stable",
    "media/staging",
    "media/walk",
    "media/places",
    "media/put",
    "media/single_files",
    "media/writable",
    "media/tree",
    "media/remote/frames",
    "media/remote/agent",
)
"""The program, each module after those that it needs; they import only Python's own library."""

_BOOT = """
import sys, json, types
if sys.version_info < (3, 9): sys.exit("Python 3.9 or newer is needed, this is " + sys.version.split()[0])
for name, text in json.loads(sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
    exec(compile(text, name, "exec"), module.__dict__)
sys.modules["korrigo_backup.media.remote.agent"].main()
"""

WORDS = ("-I", "-S", "-X", "utf8", "-c", _BOOT)
"""Python's options. No directory, variable or package of the site may change the program."""

_NEEDS = (
    "the service's image needs Python 3.9 or newer, called as in [compose] manage;"
    " or run as root on the machine that the engine runs on"
)

_KINDS = {kind.__name__: kind for kind in (KorrigoBackupError, Refused, NotFound, Locked)}


class _Problem(msgspec.Struct):
    kind: str
    message: str = ""
    hint: str = ""
    errno: int | None = None
    strerror: str | None = None
    filename: str | None = None


@contextmanager
def asked(
    python: Callable[..., Command], request: dict[str, object], explain: Callable[[str], Cause | None]
) -> Iterator[Channel]:
    """Start the program where `python` runs Python with the words given, and ask it; leaving the block ends it."""
    with (
        spawn(python(*WORDS), stdin=True, stdout=True) as process,
        SilenceWatch(process, _nothing_comes, STREAM) as watch,
    ):
        channel = Channel(process, explain, watch)
        program = text()
        channel.write(b"%d\n" % len(program) + program)
        try:
            channel.send_value(request)
            channel.flush()
            yield channel
        finally:
            process.leave(LEAVE_SECONDS)


@dataclass
class Channel:
    """The pipes to a process there. `explain` returns the known cause of an error of the channel."""

    process: Process
    explain: Callable[[str], Cause | None]
    watch: SilenceWatch
    late: bool = field(default=False, init=False)

    def value(self, kind: type[T]) -> T | None:
        """Return the next document, None at the end; raises the error that was sent."""
        frame, data = self._receive()
        if frame == END:
            return None
        if frame != VALUE:
            raise self._nonsense()
        try:
            return msgspec.convert(json.loads(data), kind)
        except ValueError:
            raise self._nonsense() from None

    def piece(self) -> bytes:
        """Return the next piece of a file."""
        frame, data = self._receive()
        if frame != DATA:
            raise self._nonsense()
        return data

    def end(self) -> None:
        """Take the end frame; until it came, the request may be done in part."""
        if self._receive()[0] != END:
            raise self._nonsense()

    def write(self, data: bytes | memoryview) -> None:
        """Write to the process; if it does not read any more, raise the error that it sent."""
        try:
            with self.watch.waiting():
                self.process.stdin.write(data)
        except BrokenPipeError:
            raise self._broken() from None

    def send(self, kind: bytes, data: bytes | memoryview = b"") -> None:
        """Write a frame; raises as `write`."""
        try:
            with self.watch.waiting():
                send(self.process.stdin, kind, data)
        except BrokenPipeError:
            raise self._broken() from None

    def send_value(self, value: object) -> None:
        """Write a document; raises as `write`."""
        self.send(VALUE, json.dumps(value).encode())

    def flush(self) -> None:
        """Let all that was written be read; raises as `write`."""
        try:
            with self.watch.waiting():
                self.process.stdin.flush()
        except BrokenPipeError:
            raise self._broken() from None

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """End the process when the block takes longer than a question may."""
        with called_after(ANSWER_SECONDS, self._expire):
            yield

    def _expire(self) -> None:
        self.late = True
        self.process.terminate()

    def _receive(self) -> tuple[bytes, bytes]:
        try:
            with self.watch.waiting():
                frame, data = receive(self.process.stdout)
        except EOFError:
            raise self._failure() from None
        except ValueError:
            raise self._nonsense() from None
        if frame == ERROR:
            raise _problem(data)
        return frame, data

    def _broken(self) -> Exception:
        """Return why the process does not read any more: the error that it sent, or how it ended."""
        try:
            self._receive()
        except (KorrigoBackupError, OSError, ValueError) as problem:
            return problem
        return self._nonsense()

    def _failure(self) -> KorrigoBackupError:
        status = self.process.wait()
        lines = [line for line in self.process.stderr.splitlines() if line.strip()]
        silent = f"no answer within {ANSWER_SECONDS:g} s" if self.late else self.watch.lost
        words = silent or (lines[-1] if lines else None)
        cause = self.explain(self.process.stderr) or Cause("", _NEEDS)
        return Unreachable(
            f"the media cannot be reached through the container: {words or describe_status(status)}",
            hint=cause.hint,
            id_=cause.id,
        )

    def _nonsense(self) -> KorrigoBackupError:
        return KorrigoBackupError(
            "the output of the container is no answer: another program there writes to standard output",
            hint=_NEEDS,
        )


def _nothing_comes() -> str:
    return "no data was received or taken for an hour"


def _problem(data: bytes) -> Exception:
    """Return the error that was raised there, as it would have been raised here."""
    problem = msgspec.convert(json.loads(data), _Problem)
    if problem.kind == "os":
        return OSError(problem.errno, problem.strerror, problem.filename)
    if problem.kind == "value":
        return ValueError(problem.message)
    return _KINDS[problem.kind](problem.message, hint=problem.hint)


@cache
def text() -> bytes:
    """Return the program as it is sent: names and sources of modules, a package being an empty one."""
    folders = sorted({str(above) for name in _SENT for above in PurePosixPath("korrigo_backup", name).parents[:-1]})
    sources = [
        (f"korrigo_backup.{name.replace('/', '.')}", pkgutil.get_data("korrigo_backup", f"{name}.py")) for name in _SENT
    ]
    texts = [(name, text.decode()) for name, text in sources if text]
    return json.dumps([*((folder.replace("/", "."), "") for folder in folders), *texts]).encode()
