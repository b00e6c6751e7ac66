"""The steps of one operation, told to whoever listens while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """A step that begins or is done. `id` is stable (`restore.load`); `facts` are what a line about it needs."""

    id: str
    facts: dict[str, str] = field(default_factory=dict)


Listener = Callable[[Step], None]


def silent(step: Step) -> None:
    """Listen to nothing."""
    del step
