"""Run processes: the only module that starts a process.

Callers build a `Command` value; secrets travel in its environment, never in argv. A child gets a reduced environment,
its standard error is drained while it runs and its tail is kept for messages.

One file: no other module may import subprocess.
"""

from __future__ import annotations

import errno
import os
import pwd
import resource
import shutil
import signal
import subprocess
import threading
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from korrigo_backup.core.secret import Secret, redact
from korrigo_backup.errors import KorrigoBackupError, TimedOut, UsageError
from korrigo_backup.system import screen, timings
from korrigo_backup.system.progress import Work, under_way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "SSH_AUTH_SOCK")
"""The variables of our environment that a child inherits; all others are passed by name."""

TAIL_LINES = 40
"""Lines of standard error kept for a message: enough for psql's context, and few even if a child writes much."""

_PIPE_BYTES = 1024 * 1024
"""The most that Linux gives an ordinary user: fewer switches between a client and us."""

_LINE_LIMIT = 2000
_NOT_RUNNABLE = {errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.EISDIR}
"""Not there, not allowed, a file in place of its directory, for another machine."""

_CLEARING = 300.0
"""Seconds for a process that has ended its output to clear away its work: a media tree, a transaction."""

_GRACE = 5.0
"""Seconds a child gets between SIGTERM and SIGKILL."""


class NotRunnable(UsageError):
    """A program is not installed, or its file is none that can be run."""


@dataclass(frozen=True)
class Command:
    """A process to run: argument list, environment added to the reduced environment, working directory.

    `first` is a secret line that is written to its standard input first. An `unprivileged` process reads data of
    unknown origin: if this process is root, it runs as the user nobody.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str | Secret] = field(default_factory=dict)
    cwd: Path | None = None
    first: Secret | None = None
    unprivileged: bool = False

    @property
    def secrets(self) -> list[Secret]:
        """The secret values that it is given."""
        inside = [value for value in self.env.values() if isinstance(value, Secret)]
        return [*inside, self.first] if self.first else inside


@dataclass(frozen=True)
class Completed:
    """A process that ended: exit status (negative: the signal), whole output, tail of standard error."""

    status: int
    stdout: bytes
    stderr: str


class Process:
    """A running process with its pipes; made by `spawn`."""

    def __init__(self, command: Command, child: subprocess.Popen[bytes]) -> None:
        self._command = command
        self._child = child
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._drain = threading.Thread(target=self._drain_stderr, daemon=True)
        self._drain.start()

    @property
    def stdin(self) -> IO[bytes]:
        """The child's standard input; only when it was asked for."""
        return _present(self._child.stdin)

    @property
    def stdout(self) -> IO[bytes]:
        """The child's standard output; only when it was asked for."""
        return _present(self._child.stdout)

    def wait(self) -> int:
        """Wait for the end and return the exit status; the tail of standard error is complete then."""
        status = self._child.wait()
        self._drain.join()
        return status

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self._child.poll()

    def hang_up(self) -> None:
        """Close its standard input and let it end by itself; its remaining output is thrown away."""
        _close_quietly(self.stdin)
        with ended_after(_CLEARING, self):
            for _ in self.stdout:
                pass
        with suppress(subprocess.TimeoutExpired):  # its output may end before it does
            self._child.wait(_CLEARING)

    def terminate(self) -> None:
        """Ask the process to end now; a reader of its output sees the end of it."""
        if self._child.poll() is None:
            self._child.terminate()

    def kill(self) -> None:
        """End the process by SIGKILL; it cannot clear anything away."""
        if self._child.poll() is None:
            self._child.kill()

    def abort(self) -> None:
        """End the process by all means: SIGTERM, then SIGKILL after a grace time."""
        self.terminate()
        try:
            self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._child.kill()

    @property
    def stderr(self) -> str:
        """The tail of standard error, without secrets."""
        return redact("\n".join(self._tail), self._command.secrets)

    def leave(self, seconds: float) -> None:
        """Close its pipes and give it time to end by itself: it may have something to clear away."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                _close_quietly(pipe)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(seconds)

    def end(self) -> None:
        """End the process if it still runs: SIGTERM, then SIGKILL after a grace time."""
        with called_after(_GRACE, self.abort):  # closing a pipe without a reader can block forever
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    _close_quietly(pipe)
        if self._child.poll() is None:
            self.abort()
        self.wait()

    def _drain_stderr(self) -> None:
        with _present(self._child.stderr) as pipe:
            for line in iter(lambda: pipe.readline(_LINE_LIMIT), b""):
                self._tail.append(line.decode(errors="replace").rstrip())


@contextmanager
def spawn(command: Command, *, stdin: bool | IO[bytes] = False, stdout: bool = False) -> Iterator[Process]:
    """Start `command` and yield it; on leaving the block it is ended if it still runs.

    `stdin` is a pipe of ours, or an open file.

    Raises UsageError when the program is not installed.
    """
    with timings.process(command.argv):
        process = Process(command, _start(command, stdin=stdin, stdout=stdout))
        try:
            yield process
        finally:
            process.end()


_WITH_US = """exec 3<&0
trap 'kill $child' TERM
"$@" </dev/null 3<&- & child=$!
{ cat <&3 >/dev/null; kill $child; } >/dev/null 2>&1 & watch=$!
wait $child; status=$?
kill $watch 2>/dev/null
exit $status
"""
"""A shell that ends its child when its standard input ends; the kernel closes it when this process is killed."""


def ended_with_us(command: Command) -> Command:
    """Return `command` so that it ends when this process ends in any way; `spawn` it with `stdin=True`.

    It reads nothing from standard input. Raises UsageError when the program is not installed.
    """
    if which(command.argv[0]) is None:
        raise _not_runnable(command.argv[0], os.strerror(errno.ENOENT), command.argv[0])
    return replace(command, argv=("sh", "-c", _WITH_US, "sh", *command.argv))


@contextmanager
def ended_after(seconds: float, process: Process) -> Iterator[None]:
    """Ask `process` to end when the block takes longer than `seconds`."""
    with called_after(seconds, process.terminate):
        yield


@contextmanager
def called_after(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Call `act`, in a thread of its own, when the block takes longer than `seconds`."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def run(command: Command, *, stdin: bytes = b"", timeout: float | None = None) -> Completed:
    """Run `command` to its end with `stdin` given and standard output kept whole.

    Raises UsageError when the program is not installed, KorrigoBackupError after `timeout` seconds.
    """
    with timings.process(command.argv), under_way(Work(name=f"running {timings.kind_of(command.argv)}")):
        return _completed(command, stdin, timeout)


def _completed(command: Command, stdin: bytes, timeout: float | None) -> Completed:
    child = _start(command, stdin=True, stdout=True)
    try:
        out, err = child.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise TimedOut(
            f"{command.argv[0]} did not answer within {timeout:g} s",
            hint="see whether the machine or the database is overloaded, then run the command again",
        ) from None
    except BaseException:
        child.kill()
        child.communicate()
        raise
    tail = "\n".join(err.decode(errors="replace").splitlines()[-TAIL_LINES:])
    return Completed(child.returncode, out, redact(tail, command.secrets))


def run_in_foreground(argv: Sequence[str]) -> int:
    """Run a person's command on this terminal, with our whole environment; return its exit status.

    If this process is to end, the command gets the time to end by itself first: a terminal sends Ctrl-C to both.
    """
    with screen.above(), subprocess.Popen(list(argv)) as child:
        try:
            return child.wait()
        except BaseException:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE)
            child.kill()
            raise


def which(program: str, directory: Path | None = None) -> str | None:
    """Return the path of `program` in `directory` or on PATH, or None."""
    return shutil.which(program, path=str(directory) if directory else None)


def describe_status(status: int) -> str:
    """Return an exit status in words, with the name of the signal that ended the process."""
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def forbid_core_dumps() -> None:
    """Make this process and its children leave no core file: its memory holds passwords."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _start(command: Command, *, stdin: bool | IO[bytes], stdout: bool) -> subprocess.Popen[bytes]:
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    env |= {name: v.reveal() if isinstance(v, Secret) else v for name, v in command.env.items()}
    env.setdefault("LC_ALL", "C.UTF-8")
    nobody = pwd.getpwnam("nobody") if command.unprivileged and os.geteuid() == 0 else None
    try:
        child = subprocess.Popen(
            command.argv,
            env=env,
            cwd="/" if command.unprivileged else command.cwd,
            stdin=(subprocess.PIPE if stdin else subprocess.DEVNULL) if isinstance(stdin, bool) else stdin,
            stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pipesize=_PIPE_BYTES,
            user=nobody.pw_uid if nobody else None,
            group=nobody.pw_gid if nobody else None,
            extra_groups=() if nobody else None,
        )
    except OSError as problem:
        if problem.errno in _NOT_RUNNABLE:
            raise _not_runnable(command.argv[0], problem.strerror, problem.filename) from None
        raise KorrigoBackupError(
            f"cannot start {command.argv[0]}: {problem.strerror or problem}",
            hint="see which resource of the machine is used up (free -h, ulimit -a), then run the command again",
        ) from None
    if command.first and child.stdin:
        with suppress(BrokenPipeError):  # the child is gone; its status gives the reason
            child.stdin.write(command.first.reveal().encode() + b"\n")
            child.stdin.flush()
    return child


def _not_runnable(program: str, cause: str | None, file: str) -> NotRunnable:
    return NotRunnable(
        f"cannot run {program}: {cause}", hint=f"install it, or name its place in the configuration ({file})"
    )


def _present(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("this pipe was not asked for")
    return pipe


def _close_quietly(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):  # the child is gone; its status gives the reason
        pipe.close()
