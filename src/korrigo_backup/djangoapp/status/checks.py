"""The system check: is there a proven backup that is young enough, and can it be seen from here (korrigo_backup.W…).

Registered for deployment, as Django's own checks of a production's settings are: the answer depends on the machine and
the hour, so it has no place before every `migrate`, `runserver` and `test` of a developer. All are warnings, since an
error would keep a site that has no backup yet from being deployed; `--fail-level WARNING` makes them fail.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.checks import Warning as Warned

from korrigo_backup.artifact.kinds import WITH_ROWS
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.djangoapp.location import DEFAULT_MAX_AGE, DIRECTORY, backup_directory, max_age
from korrigo_backup.djangoapp.status.source import read
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.status.good import good_artifacts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from korrigo_backup.status.model import Facts

_APP = "korrigo_backup"

_AHEAD = timedelta(hours=1)
"""By how much a backup's time may be ahead of this clock.

A backup from a wrong year would hide that none was made since.
"""

_SEE_WHY = "see on the host why the nightly backup or the publication of its status does not run: korrigo-backup status"
_MAKE_ONE = "make a backup: korrigo-backup backup; every night: see the runbook's 4.6"


def check_backups(app_configs: Sequence[Any] | None, **_given: Any) -> list[Any]:
    """Return the warnings about this site's backups; only manifests are read, and no exception leaves it."""
    if app_configs is not None and all(config.label != _APP for config in app_configs):
        return []
    age, messages = DEFAULT_MAX_AGE, []
    try:
        age = max_age()
    except ValueError as problem:
        messages.append(_warned(5, str(problem), f"set a number, or remove it: {_hours(age)} hours count meanwhile"))
    try:
        directory = backup_directory()
        if directory is None:
            hint = f"set {DIRECTORY}, or silence {_APP}.W001 where backups cannot be seen"
            return [*messages, _warned(1, f"{DIRECTORY} is not set: whether this site has backups is not known", hint)]
        found = readable(directory)
    except (OSError, ValueError, TypeError, RuntimeError, KorrigoBackupError) as problem:
        hint = f"see that {DIRECTORY} is right, mounted, and readable by the user that runs the site"
        return [*messages, _warned(2, f"the backups cannot be seen: {problem}", hint)]
    return [*messages, *warnings(found, now=datetime.now(UTC), limit=age)]


def readable(place: Path) -> Facts:
    """Return the facts in a directory, or in a published file. Raises OSError if it is missing, or cannot be read."""
    if not place.is_file():
        os.scandir(place).close()
    found = read(place, now=datetime.now(UTC))[0]
    if found.unreadable:
        raise OSError(found.unreadable[0])
    return found


def warnings(found: Facts, *, now: datetime, limit: timedelta) -> list[Any]:
    """Return the warnings about these backups; `limit` is the age that the newest proven backup may have.

    A backup of the database counts as proven if its manifest records a read-back, and no verification has found it bad
    since.
    """
    messages = [
        _warned(
            6, f"the manifest of {artifact.name} was altered", "do not restore it; find the program that wrote there"
        )
        for artifact in found.artifacts
        if artifact.authenticity is Authenticity.FORGED
    ]
    good = [a for a in good_artifacts(found) if a.kind in WITH_ROWS and a.created <= now + _AHEAD]
    if not good:
        shut = next((f"{artifact.name}: {artifact.problem}" for artifact in found.artifacts if artifact.problem), None)
        return [*messages, _warned(3, f"no proven backup at all in {found.directory}", shut or _MAKE_ONE)]
    newest = max(artifact.created for artifact in good)
    if now - newest > limit:
        text = f"no proven backup since {newest.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({_hours(now - newest)} hours)"
        messages.append(_warned(4, text, _SEE_WHY))
    return messages


def _hours(span: timedelta) -> int:
    return int(span / timedelta(hours=1))


def _warned(number: int, text: str, hint: str) -> Any:
    return Warned(text, hint=hint, id=f"{_APP}.W{number:03}")
