"""A staging server: another PostgreSQL, where the loaded database stays until the next drill (runbook 6.3)."""

from __future__ import annotations

import re
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import beside
from korrigo_backup.errors import KorrigoBackupError, Refused, World
from korrigo_backup.places.local import drill_tree
from korrigo_backup.places.place import PlaceName
from korrigo_backup.postgres import fence
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.properties import OWN_COMMENT
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.run.step import StartingStaging, StoppingStaging, silent
from korrigo_backup.system.files import free_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.artifact.manifest import DatabaseProof
    from korrigo_backup.compose.project import Project
    from korrigo_backup.media.tree import MediaTree
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.run.step import Listener

_OF_SITE, _OF_STAGING = re.compile(r"\bPOSTGRES_"), "KORRIGO_BACKUP_STAGING_"

_LABEL = OWN_COMMENT + "the next drill of {} replaces this staging database"
"""Comment of a database that a drill has made, before the name and the environment of its site."""


@dataclass(frozen=True)
class StagingServices:
    """The services of a staging site on Compose that use its database, by their `names` in its files."""

    project: Project
    names: tuple[str, ...]

    @contextmanager
    def stopped(self, listen: Listener) -> Iterator[None]:
        """Stop the services that have a container, and start them at the end, as the runbook does (6.3).

        A killed drill has left them stopped: the next drill starts them. Raises Unreachable if Compose fails; an error
        of the block stays the error, and its state names the services that could not be started.
        """
        there = {one.service for one in self.project.containers()}
        services = tuple(name for name in self.names if name in there)
        if not services:
            yield
            return
        listen(StoppingStaging(services))
        failed: KorrigoBackupError | None = None
        try:
            self.project.call("stop", *services)
            yield
        except KorrigoBackupError as problem:
            failed = problem
            raise
        finally:
            listen(StartingStaging(services))
            try:
                self.project.call("start", *services)
            except KorrigoBackupError as problem:
                if failed is None:
                    raise
                names = ", ".join(services)
                failed.leave(World.CHANGED, f"services of the staging site are stopped: {names}: {problem.message}")


def of_staging(hint: str) -> str:
    """Return a hint with the variables of the staging server in place of those of the site's server."""
    return _OF_SITE.sub(_OF_STAGING, hint)


@dataclass(frozen=True)
class StagingServer:
    """The staging database that `postgres` names, of a `site` (its name and environment).

    Media are loaded into the private backup `directory`, whose lock the caller holds. `services` are those that use
    the database, None for a server that is reached directly.
    """

    postgres: Postgres
    directory: Path
    site: str
    services: StagingServices | None = None
    listen: Listener = silent
    name: PlaceName = PlaceName.STAGING
    confined: bool = False

    @property
    def label(self) -> str:
        """The place in words."""
        return f"on the staging {self.postgres.access.description}"

    @contextmanager
    def server(self, proof: DatabaseProof | None) -> Iterator[Postgres]:
        """Yield the staging server, whose staging database is locked against other drills, its services stopped.

        Raises Refused if that database was not made by a drill of this site.
        """
        del proof
        with fence.held(self.postgres, f"drill of {self.site}") as server:
            self._drop_staged(server)
            self._require_own(Databases(server))
            with self.services.stopped(self.listen) if self.services else nullcontext():
                yield server

    @contextmanager
    def media(self) -> Iterator[MediaTree]:
        """Yield an empty tree in the backup directory."""
        with drill_tree(self.directory) as tree:
            yield tree

    def free(self) -> tuple[int | None, int]:
        """Return the free bytes of the staging server's disk, and those of the file system of the backups."""
        return self.postgres.free_space(), free_bytes(self.directory)

    def needs(self, database: int) -> int:
        """Return the size of the saved database."""
        return database

    def keep(self, server: Postgres, staged: str) -> str:
        """Put a proven database in the place of the staging database and return its name."""
        databases, name = Databases(server), server.database
        self._require_own(databases)
        try:
            databases.drop_staged(name)
        except StatementFailed as problem:
            databases.admit(name)
            raise Refused(
                f"cannot replace database {name} {self.label}: {problem.message}", hint=problem.hint
            ) from None
        databases.place(staged, name, comment=_LABEL.format(self.site))
        return name

    def left(self) -> tuple[str, ...]:
        """Return the databases of killed drills."""
        return self._staged(self.postgres)

    def remove_left(self) -> tuple[str, ...]:
        """Drop them. Raises Locked while another drill loads into this staging database."""
        if not self.left():
            return ()
        with fence.held(self.postgres, f"drill of {self.site}") as server:
            return self._drop_staged(server)

    def _staged(self, server: Postgres) -> tuple[str, ...]:
        return tuple(sorted(beside(Databases(server).names(), server.database, "stage").values()))

    def _drop_staged(self, server: Postgres) -> tuple[str, ...]:
        names = self._staged(server)
        for name in names:
            Databases(server).drop_staged(name)
        return names

    def _require_own(self, databases: Databases) -> None:
        """Raise Refused if the staging database exists and has not the label of this site's drills."""
        name = self.postgres.database
        if name in databases.names() and databases.comment(name) != _LABEL.format(self.site):
            raise Refused(
                f"database {name} {self.label} was not made by a drill of {self.site}: it is not replaced",
                hint="drop or rename it, or set another database: [staging] name",
            )
