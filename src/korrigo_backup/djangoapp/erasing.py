"""The erasure ledger, as far as the site's own process sees it: `manage.py restore PATH` by hand does not apply it."""

from __future__ import annotations

import os
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from korrigo_backup.djangoapp.location import ERASURE, erasure_directory
from korrigo_backup.erasure.entry import Subject
from korrigo_backup.erasure.ledger import NAME, ErasureLedger
from korrigo_backup.errors import Refused
from korrigo_backup.retention.policy import own_clock

if TYPE_CHECKING:
    from korrigo_backup.artifact.keyring import Keyring

OPTION = "--without-ledger"

_ZONES = timedelta(days=1)
"""The time in the name of a backup is that of a clock whose zone is not known here."""


def erased_since(keys: Keyring | None, timestamp: str) -> str:
    """Return why a restore may bring erased rows back, "" if there is no sign of that.

    `timestamp` is that of the backup. The ledger is looked for next to the key file. Raises UnreadableLedger.
    """
    path = keys.path.parent / NAME if keys else None
    if keys and path and os.path.lexists(path):
        made = own_clock(timestamp)
        since = made.replace(tzinfo=UTC) - _ZONES if made else None
        entries = [one for one in ErasureLedger(path, keys).read() if one.subject is not Subject.RULES]
        if any(since is None or one.time >= since for one in entries):
            return f"the erasure ledger {path} has entries that are younger than this backup"
        return ""
    if erasure_directory():
        return f"this site asks to forget rows ({ERASURE}), and the erasure ledger is not to be seen from here"
    return ""


def require_nothing_erased(why: str) -> None:
    """Raise Refused for a reason of `erased_since`."""
    if why:
        raise Refused(
            f"manage.py restore does not apply the erasure ledger, and would bring erased rows back: {why}",
            hint=f"on the host: korrigo-backup restore PATH, which erases them again; or give {OPTION}, and erase them"
            " afterwards",
            id_="erasure.by_hand",
        )
