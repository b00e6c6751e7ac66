"""How progress is shown: redrawn on a terminal, as lines in a log, or not at all."""

from __future__ import annotations

from enum import Enum, auto
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO


class Style(Enum):
    """How progress is shown."""

    TERMINAL = auto()
    LOG = auto()
    NONE = auto()


def _has_rich() -> bool:
    try:
        return find_spec("rich") is not None
    except ValueError:  # its place in sys.modules is taken by None
        return False


def style(stream: TextIO, environment: Mapping[str, str], *, quiet: bool, scheduled: bool, document: bool) -> Style:
    """Return how progress is shown on a stream of text for people.

    A run that nobody watches shows none: by the schedule, or without a terminal's TERM in the environment, as cron and
    systemd start one. So does a `quiet` one, and one whose output is a `document`, unless at a terminal. Without rich,
    as in a site's backend that has the Django app alone, a terminal gets the lines of a log.
    """
    terminal = environment.get("TERM", "")
    if quiet or not terminal:
        return Style.NONE
    if stream.isatty() and terminal != "dumb" and _has_rich():
        return Style.TERMINAL
    return Style.NONE if scheduled or document else Style.LOG
