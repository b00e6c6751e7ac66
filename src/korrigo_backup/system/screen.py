"""The last lines of a terminal, drawn again and again, with all other output above them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

_CLEAR = "\r\x1b[K"
_CLEAR_ABOVE = "\x1b[1A\x1b[K"


class _Drawn:
    lock: ClassVar[threading.RLock] = threading.RLock()
    """Held by who writes to the terminal, for a question until it is answered."""

    stream: ClassVar[TextIO | None] = None
    rows: ClassVar[int] = 0


@contextmanager
def above() -> Iterator[None]:
    """Erase the drawn lines, and draw none while the block writes to the terminal or reads from it."""
    with _Drawn.lock:
        erase()
        yield


def draw(lines: Sequence[str], stream: TextIO) -> None:
    """Draw these lines in place of those drawn before; each must fit the terminal. OSError if that is gone."""
    with _Drawn.lock:
        text = _erasing() + "\n".join(lines)
        _Drawn.stream, _Drawn.rows = stream, len(lines)
        _write(text, stream)


def erase() -> None:
    """Erase the drawn lines; a terminal that is gone has none."""
    with _Drawn.lock:
        text, stream = _erasing(), _Drawn.stream
        _Drawn.stream, _Drawn.rows = None, 0
        if text and stream:
            try:
                _write(text, stream)
            except (OSError, ValueError):  # closed
                return


def _erasing() -> str:
    return _CLEAR + _CLEAR_ABOVE * (_Drawn.rows - 1) if _Drawn.rows else ""


def _write(text: str, stream: TextIO) -> None:
    stream.write(text)
    stream.flush()
