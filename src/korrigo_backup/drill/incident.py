"""An incident simulated on a copy of a backup: things are broken at random, and the verification must find each.

Nothing but the copy is touched. The kinds of damage and their places follow from the seed, so that a run can be made
again.
"""

from __future__ import annotations

import gzip
import random
import shutil
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.naming import MANIFEST_SUFFIX, MEDIA_STORE
from korrigo_backup.core.finding import first_error
from korrigo_backup.drill.survival import Trial, survive
from korrigo_backup.errors import KorrigoBackupError, ProblemsFound, ProofFailed, Refused
from korrigo_backup.places.local import drill_files
from korrigo_backup.recovery.recover import recover_places
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import DamageTried, TrialsLeftOut
from korrigo_backup.system.files import explained, free_bytes, private_directory
from korrigo_backup.verify.verify import Depth, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.run.journal import JournaledSite
    from korrigo_backup.run.step import Listener

_REMOVED = 3
"""Files at most that are removed from the media."""

_CHUNK = 1 << 20


class Damage(StrEnum):
    """A kind of damage, in words."""

    DUMP_BYTE = "a flipped byte in the dump"
    DUMP_CUT = "a cut dump"
    TABLE_DROPPED = "a table's rows removed from the dump"
    MEDIA_BYTE = "a flipped byte in the media backup"
    FILES_REMOVED = "files removed from the media backup"
    MANIFEST_BYTE = "a flipped byte in a manifest"


@dataclass(frozen=True)
class Attempt:
    """A damage that was made, and the message that found it or how it was survived; "" if it was not."""

    damage: Damage | Trial
    where: str
    found: str


@dataclass(frozen=True)
class IncidentReport:
    """The attempts on a copy of an artifact, in the order of the seed."""

    artifact: Artifact
    seed: int
    attempts: tuple[Attempt, ...]
    left_out: str = ""
    """Why no site could be made on this machine, on which a kill and a full disk are survived."""

    @property
    def found(self) -> int:
        """How many damages were found."""
        return sum(bool(one.found) for one in self.attempts)


def simulate(
    catalog: Catalog,
    choose: Callable[[], Artifact],
    site: JournaledSite,
    *,
    key_file: Path,
    seed: int,
    now: datetime,
    listen: Listener,
) -> IncidentReport:
    """Break copies of the artifact that `choose` returns, each in one way, under the lock of the directory.

    The score is kept in the journal. Raises ProblemsFound if a damage was not found, Refused without room for the copy,
    ProofFailed if the artifact is bad itself.
    """
    with catalog.exclusive("an incident simulation"):
        recover_places(catalog, listen)
        artifact = choose()
        with journal.recorded(catalog.directory, site, Verb.INCIDENT, artifact.name, listener=listen) as running:
            chance = random.Random(seed)  # noqa: S311
            attempts = [*_attempts(catalog, artifact, chance, now, running.listen)]
            left_out = ""
            try:
                attempts += _survivals(catalog, artifact, key_file, chance, running.listen)
            except Refused as problem:
                left_out = problem.message
                running.listen(TrialsLeftOut(left_out))
            report = IncidentReport(artifact, seed, tuple(attempts), left_out)
            score = {"seed": str(seed), "found": str(report.found), "tried": str(len(attempts))}
            running.note(why=score)
            missed = [one for one in attempts if not one.found]
            if missed:
                raise ProblemsFound(
                    f"{len(missed)} of {len(attempts)} damages were not found or survived: {missed[0].damage}"
                    f" ({missed[0].where})",
                    hint=f"report it with the seed: korrigo-backup drill --level incident --seed {seed}",
                )
    return report


def _attempts(
    catalog: Catalog, artifact: Artifact, chance: random.Random, now: datetime, listen: Listener
) -> Iterator[Attempt]:
    _require_room(catalog, artifact)
    with _copied(catalog, artifact) as (there, copy):
        if bad := _finding(there, copy, now):
            raise ProofFailed(f"{artifact.name} is bad itself: {bad}", hint="korrigo-backup verify; use another backup")
    kinds = list(Damage)
    chance.shuffle(kinds)
    for damage in kinds:
        with _copied(catalog, artifact) as (there, copy):
            with explained("damage the copy"):
                where = _damage(damage, there, copy, chance)
            if where:
                attempt = Attempt(damage, where, _finding(there, copy, now))
                listen(DamageTried(str(damage), where, attempt.found))
                yield attempt


def _survivals(
    catalog: Catalog, artifact: Artifact, key_file: Path, chance: random.Random, listen: Listener
) -> Iterator[Attempt]:
    """Yield how a kill and a full disk are survived on a site of its own; raises Refused as `survive`."""
    if not any(KINDS[one.kind].is_dump for one in components(catalog, artifact)):
        return
    with _copied(catalog, artifact) as (there, copy):
        for one in survive(there, there.find(str(copy)), key_file, copy.parent, chance):
            listen(DamageTried(str(one.trial), one.where, one.how))
            yield Attempt(one.trial, one.where, one.how)


def _require_room(catalog: Catalog, artifact: Artifact) -> None:
    needs = 2 * sum(one.size for one in components(catalog, artifact))
    free = free_bytes(catalog.directory)
    if free < needs:
        raise Refused(
            f"no room for a copy of {artifact.name}: it needs {needs:,} bytes, {free:,} are free",
            hint=f"make room in {catalog.directory}",
        )


@contextmanager
def _copied(catalog: Catalog, artifact: Artifact) -> Iterator[tuple[Catalog, Path]]:
    """Yield a catalog with a copy of the artifact and its components alone, and the copy's path.

    Files of the media store are linked: a damage removes the link, and no content is written.
    """
    with drill_files(catalog.directory, "incident") as home, explained("copy the backup"):
        for one in {artifact.name, *(part.name for part in components(catalog, artifact))}:
            for path in artifact.directory.glob(f"{one}*"):
                if path.is_file() and not path.is_symlink():
                    shutil.copyfile(path, home / path.name)
                    (home / path.name).chmod(0o600)
        for stored in artifact.directory.glob(f"{MEDIA_STORE}/??/*"):
            place = home / stored.relative_to(artifact.directory)
            private_directory(place.parent.parent)
            private_directory(place.parent)
            place.hardlink_to(stored)
        yield catalog.elsewhere(home), home / artifact.name


def _finding(there: Catalog, copy: Path, now: datetime) -> str:
    """Return the message by which the verification finds the copy bad, "" if it finds it good."""
    try:
        found = verify(there, there.find(str(copy)), now=now, depth=Depth.CONTENT)
    except KorrigoBackupError as problem:
        return problem.message
    bad = first_error(found)
    return bad.message if bad else ""


def _damage(damage: Damage, there: Catalog, copy: Path, chance: random.Random) -> str:
    """Damage the copy and return the place in words, "" if it has nothing to be damaged in this way."""
    artifact = there.find(str(copy))
    parts = {KINDS[one.kind].is_dump: one for one in components(there, artifact)}
    dump, media = parts.get(True), parts.get(False)
    if dump and damage in _OF_DUMP:
        return _OF_DUMP[damage](dump.path, chance)
    if media and damage is Damage.MEDIA_BYTE:
        return _flip(media.path, chance)
    if media and damage is Damage.FILES_REMOVED:
        return _without_stored(copy.parent, chance) if media.is_listing else _without_files(media.path, chance)
    manifests = sorted(copy.parent.glob(f"*{MANIFEST_SUFFIX}"))
    if manifests and damage is Damage.MANIFEST_BYTE:
        return _flip(chance.choice(manifests), chance)
    return ""


def _flip(path: Path, chance: random.Random) -> str:
    at, bit = chance.randrange(path.stat().st_size), chance.randrange(8)
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)[0]
        file.seek(at)
        file.write(bytes([old ^ 1 << bit]))
    return f"{path.name}, byte {at}"


def _cut(path: Path, chance: random.Random) -> str:
    to = chance.randrange(path.stat().st_size)
    with path.open("r+b") as file:
        file.truncate(to)
    return f"{path.name}, {to} bytes left"


def _without_table(path: Path, chance: random.Random) -> str:
    """Remove the rows of a table from a dump."""
    tables = [number for number, (_, rows) in enumerate(_copies(path)) if rows]
    if not tables:
        return ""
    dropped, name = chance.choice(tables), ""
    fresh = path.with_name(f"{path.name}.fresh")
    with gzip.open(path) as old, gzip.open(fresh, "wb", compresslevel=1) as new:
        number, inside = -1, False
        for line in old:
            if inside and line == b"\\.\n":
                inside = False
            elif not inside and line.startswith(b"COPY ") and line.endswith(b"FROM stdin;\n"):
                number, inside = number + 1, True
                if number == dropped:
                    name = line.split()[1].decode(errors="replace")
                    new.write(line)
                    continue
            if not (inside and number == dropped):
                new.write(line)
    fresh.replace(path)
    return f"{path.name}, table {name}"


def _copies(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield the COPY statements of a dump, each with the number of its rows."""
    statement, rows = b"", 0
    with gzip.open(path) as dump:
        for line in dump:
            if statement and line == b"\\.\n":
                yield statement, rows
                statement = b""
            elif statement:
                rows += 1
            elif line.startswith(b"COPY ") and line.endswith(b"FROM stdin;\n"):
                statement, rows = line, 0


def _without_files(path: Path, chance: random.Random) -> str:
    """Remove files from an archive of media."""
    with gzip.open(path) as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
        names = [member.name for member in archive if member.isreg()]
    if not names:
        return ""
    gone = set(chance.sample(names, min(_REMOVED, len(names))))
    fresh = path.with_name(f"{path.name}.fresh")
    with (
        gzip.open(path) as raw,
        tarfile.open(fileobj=raw, mode="r|") as old,
        tarfile.open(str(fresh), "w|gz", bufsize=_CHUNK) as new,
    ):
        for member in old:
            if member.name not in gone:
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
    fresh.replace(path)
    return f"{path.name}, {len(gone)} files"


def _without_stored(home: Path, chance: random.Random) -> str:
    """Remove the links of files of the media store."""
    stored = sorted(home.glob(f"{MEDIA_STORE}/??/*"))
    gone = chance.sample(stored, min(_REMOVED, len(stored)))
    for one in gone:
        one.unlink()
    return f"{MEDIA_STORE}, {len(gone)} files" if gone else ""


_OF_DUMP: dict[Damage, Callable[[Path, random.Random], str]] = {
    Damage.DUMP_BYTE: _flip,
    Damage.DUMP_CUT: _cut,
    Damage.TABLE_DROPPED: _without_table,
}
"""The damages of a dump: each takes its path and returns the place."""
