"""The last lines of a terminal, drawn again and again, with all other output above them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Drawing(Protocol):
    """Lines at the end of a terminal."""

    def erase(self) -> None:
        """Take the lines off the terminal, if there are any. OSError or ValueError if that is gone."""
        ...


class _Drawn:
    lock: ClassVar[threading.RLock] = threading.RLock()
    """Held by who writes to the terminal, for a question until it is answered."""

    drawing: ClassVar[Drawing | None] = None


@contextmanager
def above() -> Iterator[None]:
    """Erase the drawn lines, and draw none while the block writes to the terminal or reads from it."""
    with _Drawn.lock:
        erase()
        yield


@contextmanager
def drawn(drawing: Drawing) -> Iterator[None]:
    """Let the block draw the lines that the next other output erases."""
    with _Drawn.lock:
        _Drawn.drawing = drawing
        yield


def erase() -> None:
    """Erase the drawn lines; a terminal that is gone has none."""
    with _Drawn.lock:
        drawing, _Drawn.drawing = _Drawn.drawing, None
        if drawing:
            try:
                drawing.erase()
            except (OSError, ValueError):  # closed
                return
