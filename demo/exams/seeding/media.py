"""The media tree of the reference site: scans drawn in parallel, and a few awkward files."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from exams.seeding.plan import Size, papers
from exams.seeding.scans import enter, scan

WORKERS = 2
FOLDERS = ("copies", "booklets", "documents", "exports")
EMPTY_FOLDER = "exports"
DOCUMENTS = {
    "documents/Barème détaillé – épreuve n°1 (été).txt": "Barème : 4 + 6 + 10 = 20 points\n".encode(),
    "documents/vide.txt": b"",
}


@contextmanager
def scanning(size: Size, root: Path) -> Iterator[Iterator[tuple[int, int]]]:
    """Draw all copies below `root` in the background; yield the files and bytes of each as they come.

    The workers are fresh interpreters: a fork would share the parent's database connection.
    """
    root.mkdir(parents=True, exist_ok=True)
    pool = ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn"), initializer=enter, initargs=(str(root),))
    try:
        yield pool.map(scan, papers(size), chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)


def write_documents(root: Path) -> tuple[int, int]:
    """Write an empty file, a file with accents and spaces in its name, and an empty folder."""
    (root / EMPTY_FOLDER).mkdir(parents=True, exist_ok=True)
    for name, content in DOCUMENTS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return len(DOCUMENTS), sum(len(content) for content in DOCUMENTS.values())


def remove_media(root: Path) -> None:
    """Remove the folders that the seed makes; whatever else lies in the tree stays."""
    for folder in FOLDERS:
        if (root / folder).exists():
            shutil.rmtree(root / folder)
