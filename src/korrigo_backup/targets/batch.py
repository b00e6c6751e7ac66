"""Many files that go to a target together: how they are divided, and where their names below a directory begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from korrigo_backup.system.files import explained
from korrigo_backup.targets.port import require_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from korrigo_backup.targets.port import PutObject

T = TypeVar("T")

FILES = 20_000
BYTES = 512 * 1024 * 1024
"""The most files and bytes of a batch; a larger file is a batch of its own. Sealed, a batch lies in the spool."""


@dataclass(frozen=True)
class Tree:
    """Files below the local directory `base` that go below `prefix` on the target, each under its relative name."""

    base: Path
    prefix: str
    objects: dict[str, PutObject]

    @property
    def names(self) -> bytes:
        """The relative names, one a line: names of objects have no line feed."""
        return "".join(f"{name}\n" for name in self.objects).encode()


def trees(objects: Iterable[PutObject]) -> list[Tree]:
    """Return the objects in as few trees as their files allow.

    Raises UsageError for a name that is not plain, KorrigoBackupError for a file that is not there.
    """
    found: dict[tuple[Path, str], Tree] = {}
    for one in objects:
        require_named(one.name, one.source)
        with explained(f"read {one.source}"):
            one.source.stat()
        parts, local = one.name.split("/"), one.source.absolute().parts
        same = 1
        while same < min(len(parts), len(local) - 1) and parts[-same - 1] == local[-same - 1]:
            same += 1
        base, prefix = one.source.absolute().parents[same - 1], "/".join(parts[:-same])
        tree = found.setdefault((base, prefix), Tree(base, prefix, {}))
        tree.objects["/".join(parts[-same:])] = one
    return list(found.values())


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
