"""A dump of the live database that is loaded beside it and thrown away: no artifact, and no file once it is loaded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from korrigo_backup.artifact.artifact import Artifact
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.manifest import with_normal_names
from korrigo_backup.artifact.naming import stamp
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.backup.backup import require_space
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.dump import create as sqldump
from korrigo_backup.system.files import create_private, explained, open_plain
from korrigo_backup.system.streams import HashingWriter
from korrigo_backup.system.timings import phase
from korrigo_backup.verify.dump_source import SqlSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.site.site import Site


@contextmanager
def live_copy(
    site: Site, catalog: Catalog, *, now: datetime, observe: Callable[[Snapshot], None]
) -> Iterator[tuple[Artifact, SqlSource]]:
    """Dump the live database into a draft, and yield it open for loading; `observe` sees the same snapshot.

    Its rows are counted, not digested: the caller compares those that it relies on.
    """
    live = site.postgres.database
    require_space(catalog, Kind.SQL, otherwise=lambda: Databases(site.postgres).size(live))
    with catalog.draft(Kind.SQL, Origin.SAFETY, now) as draft:
        with phase("dump of the live database"), explained(_DOING), create_private(draft.path()) as file:
            proof = sqldump.create(site.postgres, HashingWriter(file), digest=False, observe=observe)
        with open_plain(draft.path()) as dump:
            with phase("reading back"), explained(_DOING):
                checked = sqldump.check(dump, draft.name)
            made = Artifact(
                directory=draft.path().parent,
                name=draft.path().name,
                kind=Kind.SQL,
                origin=Origin.SAFETY,
                stamp=stamp(now),
                created=now,
                size=checked.size,
                source=None,
                authenticity=Authenticity.AUTHENTIC,
            )
            yield made, SqlSource(dump, checked.sha256, checked.scan, with_normal_names(proof), ())


_DOING = "copy the live database"
