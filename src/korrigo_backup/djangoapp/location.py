"""Where the site's process finds the backups, by settings or environment, and how old the newest may be."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

DIRECTORY = "KORRIGO_BACKUP_DIR"
_OF_THE_COMMAND = "BACKUP_DIR"
"""The command's own variable, for a site that shares its environment or `.env`."""

REQUESTS = "KORRIGO_BACKUP_REQUESTS_DIR"
"""The directory through which the host is asked to bring rows back: its `[requests] directory`, as seen from here."""

ERASURE = "KORRIGO_BACKUP_ERASURE"
"""The directory through which the host is asked to forget: its `[erasure] requests`, as seen from here."""

MAX_AGE = "KORRIGO_BACKUP_MAX_AGE_HOURS"
CANARY = "KORRIGO_BACKUP_CANARY"
ACCEPT = "KORRIGO_BACKUP_STATUS_ACCEPT"

OURS = ("backup", "restore")
"""The management commands of this app whose names other apps may have, too: the first in INSTALLED_APPS has them."""

DEFAULT_MAX_AGE = timedelta(hours=26)
"""A backup a day (runbook 4.6), and two hours for the run itself."""


def backup_directory() -> Path | None:
    """Return the directory of the backups, None if no setting names it.

    The setting counts before the variable of its name, that before BACKUP_DIR. A relative path is below BASE_DIR, if
    the settings have that, since a site's process is started anywhere. Raises TypeError or ValueError for an invalid
    path, RuntimeError for the home of a user that does not exist.
    """
    named = getattr(settings, DIRECTORY, None) or os.environ.get(DIRECTORY) or os.environ.get(_OF_THE_COMMAND)
    return _path(DIRECTORY, named)


def requests_directory() -> Path | None:
    """Return the spool of requests, None if no setting and no variable names it; raises as `backup_directory`."""
    return _path(REQUESTS, getattr(settings, REQUESTS, None) or os.environ.get(REQUESTS))


def erasure_directory() -> Path | None:
    """Return the directory of requests to forget, None if none is named; raises as `backup_directory`."""
    return _path(ERASURE, getattr(settings, ERASURE, None) or os.environ.get(ERASURE))


def _path(setting: str, named: Any) -> Path | None:
    if not named:
        return None
    if "\0" in str(named):
        raise ValueError(f"{setting} holds a NUL character: it is no path")
    return Path(getattr(settings, "BASE_DIR", "."), named).expanduser().absolute()


def max_age() -> timedelta:
    """Return the age from which the newest backup is too old. ValueError unless it is a number above 0."""
    value = getattr(settings, MAX_AGE, None)
    if value is None:
        return DEFAULT_MAX_AGE
    try:
        age = timedelta(hours=float(value))
    except (TypeError, ValueError, OverflowError):
        age = timedelta(0)
    if age <= timedelta(0):
        raise ValueError(f"{MAX_AGE} is {value!r}: not a number of hours above 0")
    return age


def looks_for_loss() -> bool:
    """Return whether the newest backups are compared with the history: the host's `[nightly] canary`."""
    return bool(getattr(settings, CANARY, True))


def accepted() -> tuple[str, ...]:
    """Return the ids of warnings that the site lives with: the host's `[status] accept`."""
    ids = getattr(settings, ACCEPT, ())
    return (ids,) if isinstance(ids, str) else tuple(map(str, ids))
