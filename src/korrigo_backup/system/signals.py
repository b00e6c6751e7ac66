"""Make a signal end the wait of a process.

Python only takes note of a signal, and runs its handler between two steps of the main thread. A signal that arrives
just before that thread begins to wait, or in another thread, does not end the wait: a Ctrl-C is answered when the
backup is done. So a thread learns of each signal at once, and sends it to the main thread until the handler runs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

_AGAIN = 0.1
"""Seconds for the handler to run, before the signal is sent to the main thread once more."""


class EndingSignals:
    """Signals that end a run by raising an exception in the main thread, once."""

    def __init__(self, numbers: Iterable[signal.Signals], problem: BaseException) -> None:
        self._numbers = tuple(numbers)
        self._problem = problem
        self._handled = threading.Event()

    def listen(self) -> None:
        """Raise the exception in the main thread when the first of the signals comes; only that thread may call this.

        A wait of the main thread then ends. Processes started afterwards ignore Ctrl-C, which a terminal sends to every
        process, but can be terminated. Later signals have no effect: they must not stop the undo.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        for number in self._numbers:
            signal.signal(number, self._end)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._pass_on, args=(reader,), daemon=True).start()

    def _end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._handled.set()
        sys.unraisablehook = _except_late_signals(sys.unraisablehook)
        for again in self._numbers:
            signal.signal(again, _ignore)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise self._problem

    def _pass_on(self, reader: int) -> None:
        while number := os.read(reader, 1):
            while number[0] in self._numbers and not self._handled.wait(_AGAIN):
                signal.pthread_kill(_main(), number[0])


def _main() -> int:
    return threading.main_thread().ident or 0


def _ignore(number: int, frame: FrameType | None) -> None:
    del number, frame


def _except_late_signals(hook: Callable[[sys.UnraisableHookArgs], object]) -> Callable[[sys.UnraisableHookArgs], None]:
    """Return a hook that drops what Python prints of a signal that arrives while it begins to be ignored."""

    def report(unraisable: sys.UnraisableHookArgs) -> None:
        if not (isinstance(unraisable.exc_value, OSError) and _LATE in str(unraisable.exc_value)):
            hook(unraisable)

    return report


_LATE = "ignored due to race condition"
"""Words of `PyErr_CheckSignals`."""
