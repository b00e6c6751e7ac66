"""Many files that go to a target together: how they are divided, and where their names below a directory begin."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from korrigo_backup.system.files import explained, private_directory, remove_tree
from korrigo_backup.targets.port import PutObject, require_named, require_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

T = TypeVar("T")

FILES = 20_000
BYTES = 256 * 1024 * 1024
"""The most files and bytes of a batch; a larger file is a batch of its own. Sealed, two batches lie in the spool."""


_TOPS = 100
"""The most directories and files that a command line names."""


@dataclass(frozen=True)
class BatchTree:
    """Files below the local directory `base` that go below `prefix` on the target, each under its relative name."""

    base: Path
    prefix: str
    objects: dict[str, PutObject]

    @property
    def tops(self) -> list[str]:
        """The entries of `base` that are to be sent; empty if there are many, or other files beside."""
        tops = sorted({name.partition("/")[0] for name in self.objects})
        found = sum(len(files) for _, _, files in os.walk(self.base)) if len(tops) <= _TOPS else 0
        return tops if found == len(self.objects) else []

    @property
    def names(self) -> bytes:
        """The relative names, one a line: names of objects have no line feed."""
        return "".join(f"{name}\n" for name in self.objects).encode()


def trees(objects: Iterable[PutObject]) -> list[BatchTree]:
    """Return the objects in as few trees as their files allow.

    Raises UsageError for a name that is not plain, KorrigoBackupError for a file that is not there.
    """
    found: dict[tuple[Path, str], BatchTree] = {}
    for one in objects:
        require_named(one.name, one.source)
        with explained(f"read {one.source}"):
            one.source.stat()
        parts, local = one.name.split("/"), one.source.absolute().parts
        same = 1
        while same < min(len(parts), len(local) - 1) and parts[-same - 1] == local[-same - 1]:
            same += 1
        base, prefix = one.source.absolute().parents[same - 1], "/".join(parts[:-same])
        tree = found.setdefault((base, prefix), BatchTree(base, prefix, {}))
        tree.objects["/".join(parts[-same:])] = one
    return list(found.values())


@contextmanager
def gathered(objects: Sequence[PutObject], place: Path) -> Iterator[list[PutObject]]:
    """Yield the objects with files in the new directory `place`, which holds nothing else and is removed again.

    A target can send a whole directory in half the time of named files. The files are hard links; where the file system
    has none, the objects are yielded as they are.
    """
    with explained(f"write {place}"):
        remove_tree(place)
        private_directory(place)
    try:
        try:
            links = _links(objects, place)
        except OSError:
            links = list(objects)
        yield links
    finally:
        with explained(f"remove {place}"):
            remove_tree(place)


def _links(objects: Sequence[PutObject], place: Path) -> list[PutObject]:
    made, links = set[str](), []
    for one in objects:
        link = f"{place}/{require_plain(one.name)}"
        above = link.rpartition("/")[0]
        if above not in made:
            Path(above).mkdir(mode=0o700, parents=True, exist_ok=True)
            made.add(above)
        os.link(one.source, link)
        links.append(PutObject(one.name, Path(link), one.sha256))
    return links


def batches(files: Iterable[tuple[T, int]]) -> Iterator[list[T]]:
    """Yield the files, each with its size in bytes, in batches of at most FILES and BYTES."""
    batch: list[T] = []
    room = BYTES
    for file, size in files:
        if batch and (size > room or len(batch) >= FILES):
            yield batch
            batch, room = [], BYTES
        batch.append(file)
        room -= size
    if batch:
        yield batch
