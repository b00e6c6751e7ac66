"""What 10,000 backups in one directory cost: `list`, `status` and `prune`, as processes of their own.

    python benchmarks/many_artifacts.py [--artifacts 10000] [--tables 40] [--runs 3]

The files are made up, small, and look like real ones: signed manifests with the tables, sequences and objects of a
schema (about 50 KB each, as those of the reference site), dumps, media archives, Django backups and restore points,
an hour apart. Exit status 1 when a verb takes longer than the goal.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from korrigo_backup.artifact import keyring
from korrigo_backup.artifact.consistency import Consistency
from korrigo_backup.artifact.manifest import (
    DatabaseProof,
    DjangoProof,
    Manifest,
    MediaProof,
    Member,
    SchemaObject,
    SequenceProof,
    TableProof,
    encode,
)
from korrigo_backup.artifact.naming import Kind, Origin, compose, stamp
from korrigo_backup.artifact.signature import sign

GOAL = 2.0
"""Seconds."""

MIX = [Kind.SQL] * 6 + [Kind.MEDIA, Kind.MEDIA, Kind.POINT, Kind.DJANGO]
"""Of ten backups."""

CONTENT = b"x" * 100
"""Of every file: only its checksum is looked at."""

OBJECTS_A_TABLE = 9
"""Columns' defaults, indexes, constraints, sequences, the table: what the schema's fingerprint names."""


def main() -> int:
    """Make the directory, measure, remove it, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artifacts", type=int, default=10_000)
    parser.add_argument("--tables", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    slow = False
    with tempfile.TemporaryDirectory(prefix="korrigo-bench-") as place:
        fill(Path(place), chosen.artifacts, chosen.tables)
        print(f"{chosen.artifacts} artifacts; a database's manifest has {_largest(Path(place))} bytes")
        for words in (("--version",), ("list",), ("list", "--json"), ("status",), ("status", "--json"), ("prune",)):
            taken = [_timed(Path(place), words) for _ in range(chosen.runs)]
            seconds, processor = (median(figures) for figures in zip(*taken, strict=True))
            slow = slow or seconds > GOAL
            print(f"{' '.join(words):<14} {seconds:.2f} s, {processor:.2f} s of the processor")
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"the largest took {largest / 1024:.0f} MB of memory")
    return 1 if slow else 0


def fill(home: Path, count: int, tables: int) -> None:
    """Put `count` artifacts into `home/backups`, signed with the key of that home; the newest is of this hour."""
    backups = home / "backups"
    backups.mkdir(mode=0o700)
    key = keyring.read(home / ".config" / "korrigo-backup" / "key").signing()
    proof, now = _schema(tables), datetime.now(UTC)
    for number in range(count):
        kind = MIX[number % len(MIX)]
        created = now - timedelta(hours=number)
        name = compose(kind, Origin.ROUTINE, stamp(created.astimezone()))
        manifest = sign(encode(_manifest(kind, created, proof, name)), key)
        if kind is Kind.DJANGO:
            (backups / name).mkdir(mode=0o700)
            (backups / name / "manifest.json").write_bytes(manifest)
            (backups / name / "db_backup.json").write_bytes(CONTENT)
        elif kind is Kind.POINT:
            (backups / name).write_bytes(manifest)
        else:
            (backups / name).write_bytes(CONTENT)
            (backups / f"{name}.manifest.json").write_bytes(manifest)


def _schema(tables: int) -> DatabaseProof:
    names = [f"public.exams_table_{number}" for number in range(tables)]
    objects = [
        SchemaObject("constraint", f"{name} c{number}", hashlib.md5(name.encode()).hexdigest())  # noqa: S324
        for name in names
        for number in range(OBJECTS_A_TABLE)
    ]
    return DatabaseProof(
        name="viatique",
        server_version="16.4",
        client_version="16.4",
        digest="values-hashed/sum-2",
        tables=tuple(TableProof(name, 1000, "123456789012345678901234567890") for name in names),
        sequences=tuple(SequenceProof(f"{name}_id_seq", 1000, is_called=True) for name in names),
        schema=tuple(objects),
        migrations=tuple(f"exams.{number:04}_change" for number in range(tables)),
    )


def _manifest(kind: Kind, created: datetime, proof: DatabaseProof, name: str) -> Manifest:
    member = Member(
        "db_backup.json" if kind is Kind.DJANGO else name, len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
    )
    made = Manifest(
        timestamp=stamp(created),
        includes_media=False,
        database_backup=None,
        media_backup=None,
        backup_dir="/srv/backups",
        format=1,
        kind=kind,
        site="korrigo",
        environment="production",
        created=created,
        seconds=12.0,
        members=() if kind is Kind.POINT else (member,),
    )
    if kind is Kind.SQL:
        return replace(made, database_backup=name, database=proof)
    if kind is Kind.MEDIA:
        return replace(
            made, media_backup=name, media=MediaProof(files=1000, bytes=10**9, members="m.sha256", root="app/media")
        )
    if kind is Kind.POINT:
        return replace(made, consistency=Consistency(columns=(), references=0, missing=0, empty=0, orphans=0))
    return replace(made, django=DjangoProof(django_version="5.2", engine="postgresql", digest="x", models=proof.tables))


def _largest(home: Path) -> int:
    return max(path.stat().st_size for path in (home / "backups").glob("db_backup_*.json"))


def _timed(home: Path, words: tuple[str, ...]) -> tuple[float, float]:
    tool = Path(sys.executable).with_name("korrigo-backup")
    environ = {**os.environ, "HOME": str(home), "BACKUP_DIR": str(home / "backups")}
    began, used = time.monotonic(), _processor()
    subprocess.run([tool, *words], cwd=home, env=environ, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began, _processor() - used


def _processor() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
