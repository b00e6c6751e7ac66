"""Where the seconds of a run go: phases and processes, recorded while a recorder is on (`--timings`).

Phases do not overlap: the time of an inner phase is not counted for the outer phase. Threads other than the main thread
are counted for the phase of the main thread; processes run at the same time, so their seconds may add up to more.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

OTHER = "between the phases"
START = "start of the program"

_WITH_VALUE = frozenset({"-f", "-p", "-e", "-u", "-w", "--file", "--env-file", "--profile", "--project-name", "--user"})
"""Options of docker and of Compose that a value follows."""

_SCRIPT = 2
"""Words of `sh -c` before its script."""

_STARTED_FIELD = 19
"""Of /proc/PID/stat after the name: when the process was started, in ticks since the boot."""


@dataclass
class Spent:
    """How often something was done, its seconds, and seconds of processor: ours and those of ended children."""

    times: int = 0
    seconds: float = 0.0
    own: float = 0.0
    children: float = 0.0


@dataclass
class Recorder:
    """Counts from `began` (by the monotonic clock) on; only the phases of the thread that makes it are counted."""

    began: float = field(default_factory=time.monotonic)
    phases: dict[str, Spent] = field(default_factory=dict)
    processes: dict[str, Spent] = field(default_factory=dict)
    _stack: list[str] = field(default_factory=lambda: [OTHER])
    _thread: int = field(default_factory=threading.get_ident)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        self._last = (self.began, 0.0, 0.0)

    def enter(self, name: str) -> bool:
        """Begin a phase; return whether this is the thread whose phases are counted."""
        if threading.get_ident() != self._thread:
            return False
        self.charge()
        self._stack.append(name)
        self.phases.setdefault(name, Spent()).times += 1
        return True

    def leave(self) -> None:
        """End the phase that was begun last."""
        self.charge()
        self._stack.pop()

    def charge(self, name: str | None = None) -> None:
        """Count the time since the last change for the phase `name`, by default for the present phase."""
        times = os.times()
        now = (time.monotonic(), times.user + times.system, times.children_user + times.children_system)
        spent = self.phases.setdefault(name or self._stack[-1], Spent())
        spent.seconds += now[0] - self._last[0]
        spent.own += now[1] - self._last[1]
        spent.children += now[2] - self._last[2]
        self._last = now

    def ended(self, argv: Sequence[str], seconds: float) -> None:
        """Count a process that has ended."""
        with self._lock:
            spent = self.processes.setdefault(kind_of(argv), Spent())
            spent.times += 1
            spent.seconds += seconds


class _Present:
    recorder: Recorder | None = None
    listener: Callable[[Sequence[str]], None] | None = None


def watch(listener: Callable[[Sequence[str]], None] | None) -> None:
    """Have `listener` called with the argument list of each process that is started from now on (`--verbose`)."""
    _Present.listener = listener


def begin(*, since: float | None = None) -> Recorder:
    """Record from now on, and count the time since `since` for the start of the program."""
    recorder = Recorder() if since is None else Recorder(since)
    recorder.charge(START)
    _Present.recorder = recorder
    return recorder


def finish() -> Recorder | None:
    """End the recording and return it, None where there was none."""
    recorder, _Present.recorder = _Present.recorder, None
    if recorder:
        recorder.charge()
    return recorder


@contextmanager
def recorded_apart() -> Iterator[Recorder]:
    """Record the block by a recorder of its own; a recorder that is on counts the block for its present phase."""
    outer, recorder = _Present.recorder, Recorder()
    _Present.recorder = recorder
    try:
        yield recorder
    finally:
        recorder.charge()
        _Present.recorder = outer


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Count the block for a phase; also a decorator. It has no effect unless a recorder is on."""
    recorder = _Present.recorder
    counted = recorder.enter(name) if recorder else False
    try:
        yield
    finally:
        if recorder and counted:
            recorder.leave()


@contextmanager
def process(argv: Sequence[str]) -> Iterator[None]:
    """Count the block as the life of a process, if a recorder is on; a listener is called at its begin."""
    if _Present.listener:
        _Present.listener(argv)
    began = time.monotonic()
    try:
        yield
    finally:
        if _Present.recorder:
            _Present.recorder.ended(argv, time.monotonic() - began)


def kind_of(argv: Sequence[str]) -> str:
    """Return the program of a command line, with the verb of docker and of Compose, and the program in a container."""
    program, words = argv[0].rpartition("/")[2], list(argv[1:])
    if program == "docker" and words[:1] == ["compose"]:
        program, words = "docker compose", words[1:]
    if not program.startswith("docker"):
        return program
    verb, *after = _without_options(words) or [""]
    if program == "docker" and verb == "exec":
        inside = _without_options(after)[1:]  # the first is the container
        if inside[:_SCRIPT] == ["sh", "-c"] and len(inside) > _SCRIPT + 1:
            inside = inside[_SCRIPT + 1 :]
        return f"docker exec {inside[0].rpartition('/')[2] if inside else ''}".rstrip()
    return f"{program} {verb}".rstrip()


def process_start() -> float:
    """Return when this process was started, by the monotonic clock; now if the system does not show it."""
    now = time.monotonic()
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_STARTED_FIELD])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return now
    return now - max(0.0, age)


def _without_options(words: Sequence[str]) -> list[str]:
    left = list(words)
    while left and left[0].startswith("-"):
        left = left[2 if left[0] in _WITH_VALUE else 1 :]
    return left
