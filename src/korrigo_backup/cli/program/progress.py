"""The progress of a verb, on standard error: a display is made when the first work begins, and by none without one."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar

from korrigo_backup.cli.output import CommandContext, in_language
from korrigo_backup.cli.program.document import Document
from korrigo_backup.system import progress

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from korrigo_backup.run.progress.display import Display

_SCHEDULED = frozenset({"nightly", "schedule", "point"})
"""Verbs of the schedule: a log gets no line a minute from them."""


class _Shown:
    """The display of one command line; `begin` is called by the thread whose work begins."""

    current: ClassVar[_Shown | None] = None

    def __init__(self, verb: str | None) -> None:
        self._verb = verb
        self._display: Display | None = None
        self._is_made = False
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        _Shown.current = self
        progress.watch(self.begin)

    def __exit__(self, *_raised: object) -> None:
        progress.watch(None)
        _Shown.current = None
        if self._display:
            self._display.close()

    def begin(self) -> None:
        with self._lock:
            if not self._is_made:
                self._display, self._is_made = self._made(), True
        if self._display:
            self._display.begin()

    def _made(self) -> Display | None:
        from korrigo_backup.run.progress.style import Style, style  # noqa: PLC0415 - a quick verb needs none

        how = style(
            sys.stderr,
            os.environ,
            quiet=CommandContext.is_quiet,
            scheduled=self._verb in _SCHEDULED,
            document=Document.current is not None,
        )
        if how is Style.NONE:
            return None
        from korrigo_backup.run.progress.display import Display  # noqa: PLC0415 - as above

        return Display(sys.stderr, how, in_language)


def displayed(verb: str | None) -> AbstractContextManager[None]:
    """Return a context that shows the progress of its block; a command line inside of another has the outer display."""
    return nullcontext() if _Shown.current else _Shown(verb)
