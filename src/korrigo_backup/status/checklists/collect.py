"""Answer a checklist: each point finds its evidence in the status."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.status.checklists.answer import Answer, Evidence
from korrigo_backup.status.checklists.daily import daily
from korrigo_backup.status.checklists.release import release

if TYPE_CHECKING:
    from korrigo_backup.status.model import Status

LISTS = {"daily": daily, "release": release}
"""The checklists by name: the runbook's 9.2 and 6.7."""


def checklist(name: str, status: Status, *, channels: int, people: int) -> tuple[Answer, ...]:
    """Return the answers of one of `LISTS` for a status; of the disk, only modes of files are read.

    `channels` is the number of notification channels, `people` of contacts.
    """
    modes = _modes(status, Path(status.facts.directory))
    return LISTS[name](Evidence(status=status, channels=channels, people=people, modes=modes))


def _modes(status: Status, directory: Path) -> dict[str, int]:
    found = {}
    for good in status.good:
        try:
            found[good.name] = stat.S_IMODE((directory / good.name).stat(follow_symlinks=False).st_mode)
        except OSError:
            continue  # removed meanwhile
    return found
