"""Waiting for a condition of another process or a server, with a limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait_until(is_done: Callable[[T], bool], ask: Callable[[], T], *, seconds: float, pause: float) -> T:
    """Call `ask` every `pause` seconds until `is_done` accepts its answer, or `seconds` are over.

    Returns the last answer; after the limit it is an answer that `is_done` does not accept.
    """
    deadline = time.monotonic() + seconds
    while not is_done(answer := ask()) and time.monotonic() <= deadline:
        time.sleep(pause)
    return answer
