"""Answer a checklist: collect all facts once, and let each point find its evidence."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from korrigo_backup.status.checklists.answer import Answer, Evidence
from korrigo_backup.status.checklists.daily import daily
from korrigo_backup.status.checklists.release import release
from korrigo_backup.status.collect import judged, look

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.status.collect import About
    from korrigo_backup.status.model import Goals, Status

LISTS = {"daily": daily, "release": release}
"""The checklists by name: the runbook's 9.2 and 6.7."""


def checklist(
    name: str, catalog: Catalog, goals: Goals, about: About, *, now: datetime, channels: int, people: int
) -> tuple[Answer, ...]:
    """Return the answers of one of `LISTS`; reads only.

    `channels` is the number of notification channels, `people` of contacts.
    """
    seen = look(catalog, about, now=now)
    status = judged(seen, goals, now=now)
    evidence = Evidence(
        seen=seen,
        status=status,
        goals=goals,
        channels=channels,
        people=people,
        modes=_modes(status, catalog.directory),
    )
    return LISTS[name](evidence)


def _modes(status: Status, directory: Path) -> dict[str, int]:
    found = {}
    for good in status.good:
        try:
            found[good.name] = stat.S_IMODE((directory / good.name).stat(follow_symlinks=False).st_mode)
        except OSError:
            continue  # removed meanwhile
    return found
