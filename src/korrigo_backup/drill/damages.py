"""The damages of a simulated incident: each breaks the copy of an artifact in one way, at a random place."""

from __future__ import annotations

import gzip
import tarfile
from enum import StrEnum
from typing import TYPE_CHECKING

from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.naming import MANIFEST_SUFFIX, MEDIA_STORE
from korrigo_backup.core.counted import counted

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog

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


def make_damage(damage: Damage, there: Catalog, copy: Path, chance: random.Random) -> str:
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
    return f"{path.name}, {counted(to, 'byte')} left"


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
    return f"{path.name}, {counted(len(gone), 'file')}"


def _without_stored(home: Path, chance: random.Random) -> str:
    """Remove the links of files of the media store."""
    stored = sorted(home.glob(f"{MEDIA_STORE}/??/*"))
    gone = chance.sample(stored, min(_REMOVED, len(stored)))
    for one in gone:
        one.unlink()
    return f"{MEDIA_STORE}, {counted(len(gone), 'file')}" if gone else ""


_OF_DUMP: dict[Damage, Callable[[Path, random.Random], str]] = {
    Damage.DUMP_BYTE: _flip,
    Damage.DUMP_CUT: _cut,
    Damage.TABLE_DROPPED: _without_table,
}
"""The damages of a dump: each takes its path and returns the place."""
