"""A place for a drill on this machine, if the site's server lets our role load no other database.

A user who writes to the live database writes the functions that a load runs. Here they would run on the machine of the
backups and of their key, so the dump is loaded by a role without rights, and no role of the dump gets any.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import DRILL_SERVER
from korrigo_backup.artifact.properties import RoleProof
from korrigo_backup.core.finding import Level
from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.postgres.client import Postgres
from korrigo_backup.postgres.properties import create_roles
from korrigo_backup.postgres.throwaway import SUPERUSER, ThrowawayServer, server_programs
from korrigo_backup.system.files import explained, free_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from korrigo_backup.artifact.manifest import DatabaseProof
    from korrigo_backup.core.finding import Finding

ROOM_FACTOR = 2
"""Free bytes wanted, as a multiple of the database: its data and the log of writing them."""

LACKING = frozenset({"extensions.privileged", "role.createdb", "database.hba"})
"""Findings about rights that our role lacks on the site's server, and has on a server of its own."""


def lacks(findings: Iterable[Finding]) -> Finding | None:
    """Return the first finding that a server of our own has an answer to."""
    return next((one for one in findings if one.level is Level.ERROR and one.id in LACKING), None)


def left(directory: Path) -> Path | None:
    """Return the server directory of a killed drill in the backup directory, None if there is none."""
    home = directory / DRILL_SERVER
    return home if home.exists() else None


def remove_left(directory: Path) -> None:
    """End and remove the server of a killed drill. The caller holds the lock."""
    home = left(directory)
    if home is None:
        return
    version = home / "data" / "PG_VERSION"
    programs = server_programs(_major(version.read_text())) if version.exists() else None
    with explained(f"remove {home}"):
        if programs:
            ThrowawayServer(programs, home=home).end_left()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def local_server(directory: Path, proof: DatabaseProof, live: str, lacking: Finding) -> Iterator[Postgres]:
    """Yield a throw-away server of the saved major version or a newer one, with roles that have only the saved names.

    Its data lie in the private backup `directory`, whose lock the caller holds: the leftover of a killed drill is ended
    and removed first. Raises Refused with `lacking` if this machine has no such programs, no room, or cannot start
    them.
    """
    programs = server_programs(_major(proof.server_version))
    if programs is None:
        raise _refused(lacking, "this machine has no PostgreSQL server of that version to drill on")
    if free_bytes(directory) < ROOM_FACTOR * (proof.size or 0):
        raise _refused(lacking, f"{directory} has no room to drill on this machine")
    with ExitStack() as stack:
        home = directory / DRILL_SERVER
        try:
            place = ThrowawayServer(programs, home=home)
            place.end_left()
            shutil.rmtree(home, ignore_errors=True)
            stack.callback(shutil.rmtree, home, ignore_errors=True)
            with explained("start it"):
                stack.enter_context(place)
        except KorrigoBackupError as problem:
            raise _refused(lacking, f"no server could be started here: {problem.message}") from None
        server = Postgres(place.access(), database=live, maintenance=SUPERUSER)
        if statements := create_roles(RoleProof(name=one.name) for one in proof.roles if one.name != SUPERUSER):
            server.script("; ".join(statements), database=SUPERUSER)
        yield server


def _refused(lacking: Finding, why: str) -> Refused:
    return Refused(f"{lacking.message}, and {why}", hint=lacking.hint)


def _major(version: str) -> int:
    head = version.partition(".")[0]
    return int("".join(character for character in head if character.isdigit()) or 0)
