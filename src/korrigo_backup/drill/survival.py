"""The part of a simulated incident that is survived: a restore is killed, a backup gets no room, on a site of its own.

The site has a server of this machine, a media tree and a backup directory, all throw-away. It is worked on by this
program's own command, as an operator would; what counts is what the next command finds.
"""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace as changed

from korrigo_backup.app.unattended import own_command
from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.compare.differences import Comparison
from korrigo_backup.errors import ProofFailed, Refused
from korrigo_backup.places.local import Local
from korrigo_backup.postgres.access import Direct
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.system.files import private_directory
from korrigo_backup.system.run import Command, describe_status, run, spawn

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.secret import Secret
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.system.run import Completed

_DATABASE = "korrigo_incident"
_MARK = "korrigo_backup_incident_mark"
"""A schema that only the data before the killed restore have."""

_LIMITED = 'ulimit -f "$1"; shift; exec "$@"'
"""A shell that lets its command write files of so many blocks of 512 bytes, and no longer ones."""

_BLOCK = 512
_RESTORE = ("--yes", "--into-other-site", "--no-validate", "--no-safety-backup")


class Trial(StrEnum):
    """What is done to the site, in words."""

    KILLED = "a restore killed at a random moment"
    NO_ROOM = "a backup whose files find no room"


@dataclass(frozen=True)
class Survived:
    """A trial, where it struck, and how it was survived; "" if it was not."""

    trial: Trial
    where: str
    how: str


def survive(
    catalog: Catalog, artifact: Artifact, key_file: Path, home: Path, chance: random.Random
) -> Iterator[Survived]:
    """Yield the result of each trial on a site that is made from an artifact below the private directory `home`.

    Raises Refused if this machine cannot make such a site: no server programs, no room, or the backup does not load
    there.
    """
    with _site(catalog, artifact, key_file, home) as site:
        began = time.monotonic()
        done = site.run("restore", str(artifact.path), *_RESTORE)
        if done.status:
            raise Refused(f"no site can be made of it here: {_error(done)}", hint="korrigo-backup drill --place local")
        yield _killed(site, artifact, time.monotonic() - began, chance)
        yield _without_room(site, chance)


@dataclass(frozen=True)
class _Site:
    home: Path
    server: Postgres
    env: Mapping[str, str | Secret]

    def command(self, *arguments: str) -> Command:
        return Command((str(own_command()), *arguments), self.env, cwd=self.home)

    def run(self, *arguments: str) -> Completed:
        return run(self.command(*arguments))

    @property
    def backups(self) -> set[Path]:
        return {path for path in (self.home / "backups").glob("*.sql.gz") if not path.is_symlink()}


@contextmanager
def _site(catalog: Catalog, artifact: Artifact, key_file: Path, home: Path) -> Iterator[_Site]:
    dump = next(one for one in components(catalog, artifact) if KINDS[one.kind].is_dump)
    proof = dump.manifest.database if dump.manifest else None
    with ExitStack() as stack:
        server = stack.enter_context(Local(catalog.directory, _DATABASE).server(proof))
        server.change(f"CREATE DATABASE {identifier(_DATABASE)}")
        place = home / "site"
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        for directory in (place, place / "backups", place / "media"):
            private_directory(directory)
        yield _Site(place, server, _environment(server, place, key_file))


def _environment(server: Postgres, place: Path, key_file: Path) -> dict[str, str | Secret]:
    access = server.access
    if not isinstance(access, Direct):
        raise TypeError("a throw-away server is reached directly")
    return {
        "POSTGRES_HOST": access.host,
        "POSTGRES_PORT": str(access.port),
        "POSTGRES_USER": access.user,
        "POSTGRES_PASSWORD": access.password or "",
        "POSTGRES_DB": _DATABASE,
        "MEDIA_ROOT": str(place / "media"),
        "BACKUP_DIR": str(place / "backups"),
        "KORRIGO_BACKUP_KEY_FILE": str(key_file.absolute()),
        "KORRIGO_BACKUP_CLIENT_DIR": str(access.client_dir or ""),
    }


def _killed(site: _Site, artifact: Artifact, seconds: float, chance: random.Random) -> Survived:
    """Kill a second restore at a moment of its later half, in which it swaps, and look what the next command finds."""
    share = chance.uniform(0.5, 1)
    where = f"SIGKILL after {share:.0%} of its time"
    site.server.script(f"CREATE SCHEMA {_MARK}")
    with spawn(site.command("restore", str(artifact.path), *_RESTORE), stdout=True) as process:
        time.sleep(seconds * share)
        process.kill()
    for arguments in (("backup", "db"), ("verify", "latest")):
        done = site.run(*arguments)
        if done.status:
            return Survived(Trial.KILLED, f"{where}: {' '.join(arguments)}: {_error(done)}", "")
    site.server.script(f"DROP SCHEMA IF EXISTS {_MARK}")
    done = site.run("compare", str(artifact.path), "--json")
    if done.status not in {0, ProofFailed.exit_code}:
        return Survived(Trial.KILLED, f"{where}: compare: {_error(done)}", "")
    found = msgspec.json.decode(done.stdout, type=Comparison)
    # every object belongs to the server's only user who may log in, so owners differ
    content = changed(found, new_objects=(), lost_objects=())
    if content.differences:
        return Survived(Trial.KILLED, f"{where}: {', '.join(content.differences)} differ", "")
    how = "the next command went on, and rows and files are those that were saved"
    return Survived(Trial.KILLED, where, how)


def _without_room(site: _Site, chance: random.Random) -> Survived:
    """Make a backup that can write a part of its bytes; it must fail, and the backups of before must be good."""
    before = site.backups
    share = chance.uniform(0, 0.9)
    where = f"after {share:.0%} of the bytes"
    blocks = int(min(path.stat().st_size for path in before) * share) // _BLOCK
    limited = site.command("backup", "db")
    done = run(replace(limited, argv=("sh", "-c", _LIMITED, "sh", str(blocks), *limited.argv)))
    verified = site.run("verify", "all")
    good = done.status != 0 and site.backups == before and verified.status == 0
    how = f"it ended with status {done.status}, and all backups are good"
    return Survived(Trial.NO_ROOM, where, how if good else "")


def _error(done: Completed) -> str:
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return lines[0].removeprefix("error: ") if lines else describe_status(done.status)
