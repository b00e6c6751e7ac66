"""Beside the live data: a database of its own on the site's server, a directory of its own in the media tree."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import anonymised_database, beside
from korrigo_backup.errors import Refused
from korrigo_backup.places.local import Local, drill_tree
from korrigo_backup.places.place import PlaceName, Places
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.properties import OWN_COMMENT
from korrigo_backup.system.files import free_bytes

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from korrigo_backup.artifact.manifest import DatabaseProof
    from korrigo_backup.media.port import Tree
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.site.site import Site


ANONYMISED = OWN_COMMENT + "an anonymised copy; drop it when it is not used any more"
"""Comment of a database that a drill has anonymised."""

_STAGE, _PARTIAL = ".stage-", ".partial"


@dataclass(frozen=True)
class BesideLive:
    """The place next to the live data of a site, whose lock the caller holds.

    With `files`, the private backup directory, media are loaded there and not in the live tree. With `keeps` an
    anonymised database stays under a name of its own.
    """

    site: Site
    name: PlaceName = PlaceName.BESIDE
    label: str = "next to the live site"
    confined: bool = False
    files: Path | None = None
    keeps: bool = False

    def server(self, proof: DatabaseProof | None) -> AbstractContextManager[Postgres]:
        """Yield the site's own server: a loaded database has a name of its own there."""
        del proof
        return nullcontext(self.site.postgres)

    def media(self) -> AbstractContextManager[Tree | None]:
        """Yield the live tree, in which a directory of its own is loaded. Raises Refused if there is none.

        A missing root may be a volume that is not mounted: a drill makes no directory in its place.
        """
        if self.files:
            return drill_tree(self.files)
        if self.site.media is None or not self.site.media.exists():
            root = "is not configured" if self.site.media is None else f"{self.site.media.root} does not exist"
            raise Refused(
                f"the media directory {root}, so no files can be loaded next to it",
                hint="set MEDIA_ROOT, or mount it; or drill in another place: --place local",
            )
        return nullcontext(self.site.media)

    def free(self) -> tuple[int | None, int | None]:
        """Return the free bytes of the server's disk and of the media tree's."""
        if self.files:
            return self.site.postgres.free_space(), free_bytes(self.files)
        return self.site.postgres.free_space(), self.site.media.free() if self.site.media else None

    def needs(self, database: int) -> int:
        """Return the size of the saved database."""
        return database

    def keep(self, server: Postgres, staged: str) -> str:
        """Keep an anonymised copy where that is asked for; else return "": all is removed."""
        if not self.keeps:
            return ""
        name = anonymised_database(staged)
        Databases(server).place(staged, name, comment=ANONYMISED)
        return name

    def left(self) -> tuple[str, ...]:
        """Return the staged databases and directories of killed restores and drills."""
        return (*self._databases(), *self._directories())

    def remove_left(self) -> tuple[str, ...]:
        """Drop and remove them. A run that has recovered (`recovery/recover.py`) finds none."""
        databases, directories = self._databases(), self._directories()
        for name in databases:
            Databases(self.site.postgres).drop_staged(name)
        for name in directories:
            if self.site.media:
                self.site.media.discard_stage(name.removeprefix(_STAGE).removesuffix(_PARTIAL))
        return (*databases, *directories)

    def _databases(self) -> tuple[str, ...]:
        names = Databases(self.site.postgres).names()
        return tuple(sorted(beside(names, self.site.postgres.database, "stage").values()))

    def _directories(self) -> tuple[str, ...]:
        """Return the directories of loads, but for those whose swap has begun: they are a matter of the recovery."""
        names = self.site.media.names() if self.site.media else []
        return tuple(sorted(name for name in names if name.startswith(_STAGE) and ".moving" not in name))


def beside_or_local(site: Site, directory: Path) -> Places:
    """Return the place beside the live site, and a server of this machine for a role that may not load a database."""
    return Places(BesideLive(site), Local(directory, site.postgres.database))
