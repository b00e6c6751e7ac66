"""A stamp of its own for every operation that keeps something: the undo of an operation must not undo another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import free_second
from korrigo_backup.postgres.databases import Databases

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.site.site import Site


def own_stamp(site: Site, now: datetime, records: Path | None = None) -> datetime:
    """Return the first second from `now` on whose stamp no previous copy of the site has.

    An operation that keeps a record of its way back names the directory of the records: two within one second would
    share one file.
    """
    names = set(Databases(site.postgres).names())
    if site.media:
        names |= set(site.media.names())
    if records:
        names |= {path.name for path in records.iterdir() if path.name.startswith(".")}
    return free_second(now, names)
