"""The display of a run's progress, in a thread of its own: redrawn on a terminal, a line a minute in a log.

It reads the counters of the work under way (`system/progress.py`) and the steps of the run (`operation.py`). A run of
less than a second has none.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from korrigo_backup.run.progress import estimate, lines
from korrigo_backup.run.progress.operation import operation
from korrigo_backup.run.progress.style import Style
from korrigo_backup.system import progress, screen

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from korrigo_backup.run.progress.terminal import Terminal
    from korrigo_backup.run.record import Record
    from korrigo_backup.system.progress import Work

DELAY = 1.0
"""Seconds before the first drawing."""

REDRAWN = 0.5
"""Seconds between two drawings."""

LINE_EVERY = 60.0
"""Seconds between two lines of a log."""

_MOST_WORKS = 3
"""Works shown at once, the newest."""


class Display:
    """Shows progress from the first work on, until `close`. `translate` brings a text into the reader's language."""

    def __init__(
        self,
        stream: TextIO,
        how: Style,
        translate: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._how = how
        self._translate = translate
        self._clock = clock
        self._began: float | None = None
        self._drawing: Terminal | None = None
        self._rates: dict[Work, estimate.Rate] = {}
        self._former: tuple[object, list[Record]] | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start the thread, unless it runs; for `progress.watch`."""
        if self._began is None:
            self._began = self._clock()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread and erase what it has drawn."""
        self._ended.set()
        if self._thread:
            self._thread.join()
        screen.erase()

    def show(self) -> None:
        """Draw once, or print a line. Nothing is shown while nothing is under way."""
        works = [one.updated() for one in progress.works()]
        rates = {work: self._rates.get(work) or estimate.Rate() for work in works}
        self._rates = rates
        if not works and operation() is None:
            self._began = None
            screen.erase()
            return
        now = self._clock()
        if self._began is None:
            self._began = now
        rated = [(work, rates[work].add(now, work.size)) for work in works]
        place = self._place(now - self._began, [estimate.work_left(*one) for one in rated])
        rated = rated[-_MOST_WORKS:]
        if self._how is Style.TERMINAL:
            terminal = self._terminal()
            terminal.draw(lines.terminal_lines(place, rated, terminal.columns, self._translate))
        else:
            self._stream.write(lines.plain_line(place, rated, self._translate) + "\n")
            self._stream.flush()

    def _terminal(self) -> Terminal:
        if self._drawing is None:
            from korrigo_backup.run.progress.terminal import Terminal  # noqa: PLC0415 - after the first second alone

            self._drawing = Terminal(self._stream)
        return self._drawing

    def _place(self, elapsed: float, left: list[float | None]) -> lines.RunPosition:
        found = operation()
        if found is None:
            return lines.RunPosition(elapsed=elapsed, left=estimate.time_left(None, (), 0.0, left))
        if self._former is None or self._former[0] is not found:
            self._former = (found, found.records())
        steps = list(found.steps)
        former = estimate.former_run(self._former[1], found.verb, found.subject, [step.id for step in steps])
        return lines.RunPosition(
            step=len(steps),
            of=max(len(former.steps), len(steps)) if former else None,
            elapsed=elapsed,
            left=estimate.time_left(former, steps, time.monotonic() - found.began, left),
        )

    def _run(self) -> None:
        every = REDRAWN if self._how is Style.TERMINAL else LINE_EVERY
        if self._ended.wait(DELAY if self._how is Style.TERMINAL else every):
            return
        with suppress(Exception):  # the terminal is gone, the log is full: the run goes on without a display
            self.show()
            while not self._ended.wait(every):
                self.show()
