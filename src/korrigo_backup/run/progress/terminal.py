"""Progress redrawn at the end of a terminal. It is imported only where it is drawn: rich takes 0.1 s."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from korrigo_backup.run.progress.lines import BAR, NARROW, Bar
from korrigo_backup.system import screen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from rich.console import RenderableType

    from korrigo_backup.run.progress.lines import Line


class _Console(Console):
    """A console that leaves the cursor visible: a run that is killed cannot show it again."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: FBT001,FBT002 - as in rich
        return show


class Terminal:
    """The lines of progress at the end of a terminal, in colours unless NO_COLOR is set."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = _Console(file=stream, force_terminal=True, markup=False, emoji=False, highlight=False)
        self._live: Live | None = None

    @property
    def columns(self) -> int:
        """The columns that a line may have: the last one stays free, where some terminals break the line."""
        try:
            return (os.get_terminal_size(self._stream.fileno()).columns or NARROW) - 1
        except (OSError, ValueError):
            return NARROW - 1

    def draw(self, lines: Iterable[Line]) -> None:
        """Draw these lines in place of those drawn before; each must fit. OSError if the terminal is gone."""
        with screen.drawn(self):
            self._console.width = self.columns
            if self._live is None:  # a new one: rich's goes up by its former lines when it is started again
                self._live = Live(
                    console=self._console,
                    transient=True,
                    auto_refresh=False,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._live.start()
            self._live.update(Group(*map(_row, lines)), refresh=True)

    def erase(self) -> None:
        """Take the lines off the terminal."""
        live, self._live = self._live, None
        if live:
            live.stop()


def _row(line: Line) -> RenderableType:
    row = Table.grid(padding=(0, 2), pad_edge=False)
    for _ in line:
        row.add_column(no_wrap=True)
    row.add_row(*(_cell(part) for part in line))
    return row


def _cell(part: str | Bar) -> RenderableType:
    if isinstance(part, Bar):
        return ProgressBar(total=1.0, completed=part.fraction, width=BAR)
    return Text(part)
