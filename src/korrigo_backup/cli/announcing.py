"""Whether a run is told to the channels of `[notify]`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from korrigo_backup.errors import UsageError
from korrigo_backup.notify.announce import NOT_CONFIGURED, Announcer

if TYPE_CHECKING:
    from korrigo_backup.wiring import Wired


def announcer(wired: Wired, wish: bool | None) -> Announcer:  # noqa: FBT001 - an option that may be left out
    """Return who is told: everybody if it is wished, and unless said otherwise when nobody sits at a terminal.

    Who typed the command sees how it ends; cron, a timer and a pipeline do not look. Raises UsageError when it is
    wished and nobody is configured.
    """
    found = wired.announcer()
    if wish and found.silent:
        raise UsageError("--notify, but nobody is configured to be told", hint=NOT_CONFIGURED)
    told = _unattended() if wish is None else wish
    return found if told else Announcer()


def _unattended() -> bool:
    return sys.stdin is None or not sys.stdin.isatty()
