"""The data: the reference site of demo/, grown to a size; made once and kept."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
COPIES = "300"
SCHOOL_BYTES = 25_500_000
"""What one school (300 copies with their annotations and events, and the indexes) adds to a database."""

EMPTY_BYTES = 9_000_000
PHOTOGRAPH = 2_400_000
"""Bytes of a photographed page: as a telephone makes it, and as good as random for a compressor."""


@dataclass(frozen=True)
class Size:
    """A database and a media tree, by their sizes in bytes; how often each pair of runs is repeated."""

    name: str
    database: int
    media: int
    repeat: int


SIZES = {
    "100mb": Size("100mb", 100_000_000, 100_000_000, 5),
    "2gb": Size("2gb", 2_000_000_000, 1_500_000_000, 3),
}


def seed(env: dict[str, str]) -> None:
    """Write the reference site: one school, rows and scans."""
    for arguments in (("migrate", "--verbosity", "0"), ("seed", "--copies", COPIES)):
        subprocess.run(
            [sys.executable, "demo/manage.py", *arguments], env=env | {"DEBUG": "1"}, cwd=PROJECT, check=True
        )


def grow(psql: str, env: dict[str, str], size: Size) -> None:
    """Add schools to a copy of the seeded database until it has its size."""
    classes = max(1, round((size.database - EMPTY_BYTES) / SCHOOL_BYTES) - 1)
    argv = [
        psql,
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-v",
        f"classes={classes}",
        "-f",
        str(PROJECT / "benchmarks/grow.sql"),
    ]
    subprocess.run(argv, env=env | {"PGDATABASE": size.name}, check=True)


def media(scans: Path, target: Path, size: Size) -> None:
    """Fill a tree: half of the bytes the reference site's scans, half photographs; and the site's text files."""
    shutil.rmtree(target, ignore_errors=True)
    written, files = 0, sorted(path for path in scans.rglob("*") if path.is_file())
    for number in range(10**6):
        for path in files:
            place = target / f"school-{number}" / path.relative_to(scans)
            place.parent.mkdir(parents=True, exist_ok=True)
            written += shutil.copyfile(path, place).stat().st_size
            if written >= size.media / 2:
                break
        else:
            continue
        break
    noise = random.Random(1)
    for number in range(max(1, size.media // 2 // PHOTOGRAPH)):
        place = target / "photographs" / str(number % 20) / f"page-{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"\xff\xd8\xff\xe0" + noise.randbytes(PHOTOGRAPH))
