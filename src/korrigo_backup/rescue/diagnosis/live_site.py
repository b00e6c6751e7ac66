"""The live side of a diagnosis, and the live rows that differ from those of a dump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.compare.erased import erased_in_dump
from korrigo_backup.compare.present import LiveRows
from korrigo_backup.compare.rows import dump_rows, narrow_under
from korrigo_backup.postgres import rows as site_rows
from korrigo_backup.verify.dump_source import open_unread

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.compare.differences import RowChange
    from korrigo_backup.media.port import Tree
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.rescue.diagnosis.moments import PointTables, TableMoment
    from korrigo_backup.site.site import Site

SHOWN = 5
"""Keys and files of each kind that are named."""


@dataclass(frozen=True)
class LiveSite:
    """The live side: a snapshot and the media tree, None where they cannot be read; `now` is their time."""

    site: Site
    taken: Snapshot | None
    tree: Tree | None
    now: datetime


def rows_since(
    dump: Artifact, live: LiveSite, present: PointTables, wanted: Mapping[str, TableMoment]
) -> dict[str, RowChange]:
    """Return the rows that differ, of those tables of a dump that are still live; rows erased on request do not."""
    rows = {name: max(moment.rows_before or 0, present.tables[name][0]) for name, moment in wanted.items()
            if name in present.tables}  # fmt: skip
    if not rows or live.taken is None:
        return {}
    foreign = dump.manifest is None or dump.manifest.database is None
    settings = (*site_rows.FOREIGN, site_rows.OURS) if foreign else (site_rows.OURS,)
    with open_unread(dump, live.site.postgres.access) as file:
        saved = dump_rows(file, dump.name)
        saved = erased_in_dump(live.site, dump, saved).left_out_of(saved)
        return narrow_under(settings, saved, LiveRows(live.taken), rows, shown=SHOWN)
