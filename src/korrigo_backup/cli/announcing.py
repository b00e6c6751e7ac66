"""Whether a run is announced on the channels of `[notify]`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from korrigo_backup.errors import UsageError
from korrigo_backup.notify.send import NOT_CONFIGURED

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.notify.send import Announcer


def announcer(wired: Wired, wish: bool | None) -> Announcer:  # noqa: FBT001 - an option that may be left out
    """Return the notifier: with all channels if `wish` is True, or if it is None and no terminal is attached.

    The user at a terminal sees how the command ends; cron, a timer and a pipeline do not. Raises UsageError if `wish`
    is True and no channel is configured.
    """
    found = wired.announcer()
    if wish and found.silent:
        raise UsageError("--notify is given, but no channel is configured", hint=NOT_CONFIGURED)
    wanted = _unattended() if wish is None else wish
    return found if wanted else replace(found, channels=())


def _unattended() -> bool:
    return sys.stdin is None or not sys.stdin.isatty()
