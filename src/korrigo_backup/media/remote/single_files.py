"""Single files of a tree behind a container; `media/single_files.py` runs there."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.media.single_files import PutChange, WantedFile

T = TypeVar("T")

_BATCH = 5_000
"""Files of one request: with long paths they fit into a frame."""


class Asks(Protocol):
    """Asks the agent a question."""

    def __call__(self, answer: type[T], doing: str, **given: object) -> T:
        """Return the answer of a type."""
        ...


class RemoteFiles:
    """Single files there, in requests of at most 5,000 of them."""

    def __init__(self, ask: Asks) -> None:
        self._ask = ask

    def compare(self, files: Sequence[WantedFile]) -> list[tuple[str, int]]:
        """Return for each file how the live file is, and its inode."""
        return [
            one
            for batch in _batches(files)
            for one in self._ask(list[tuple[str, int]], "compare_files", files=[asdict(file) for file in batch])
        ]

    def missing_directories(self, paths: Sequence[str], hint: str) -> tuple[str, ...]:
        """Return the directories that files need and that are not there, the outer directories first."""
        found: dict[str, None] = {}
        for batch in _batches(paths):
            found |= dict.fromkeys(self._ask(list[str], "missing_directories", paths=list(batch), hint=hint))
        return tuple(found)

    def staged(self, stamp: str, paths: Sequence[str]) -> list[int]:
        """Return the inodes of staged files."""
        return [
            inode
            for batch in _batches(paths)
            for inode in self._ask(list[int], "staged_files", stamp=stamp, paths=list(batch))
        ]

    def put(self, change: PutChange) -> None:
        """Move staged files to their places; the directories with the first."""
        for number, part in enumerate(_parts(change)):
            with_directories = part if number == 0 else replace(part, directories=())
            self._ask(type(None), "put_files", change=asdict(with_directories))

    def changed(self, change: PutChange) -> list[str]:
        """Return the paths of files that are neither gone nor those that were put."""
        return [path for part in _parts(change) for path in self._ask(list[str], "changed_files", change=asdict(part))]

    def take_away(self, change: PutChange) -> list[str]:
        """Remove the files that were put, and bring the former files back; the directories go with the last."""
        return [path for part in _parts(change) for path in self._ask(list[str], "take_away", change=asdict(part))]

    def discard_former(self, stamp: str) -> None:
        """Remove the overwritten files that are kept."""
        self._ask(type(None), "discard_former_files", stamp=stamp)


def _batches(found: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(found), _BATCH):
        yield found[begin : begin + _BATCH]


def _parts(change: PutChange) -> Iterator[PutChange]:
    """Yield a change in parts, at least one. Each names all directories: those in use are left as they are."""
    for batch in _batches(change.files) if change.files else [()]:
        replaced = {file.path: change.replaced[file.path] for file in batch if file.path in change.replaced}
        yield replace(change, files=tuple(batch), replaced=replaced)
