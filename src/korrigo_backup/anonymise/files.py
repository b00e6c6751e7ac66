"""The loaded media files of a copy: those that ruled columns name are removed or replaced, and the rest is checked.

A file is never written over: its bytes may be those of the media store, which has linked it here.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.anonymise.placeholders import placeholder
from korrigo_backup.anonymise.rules import FileAct
from korrigo_backup.anonymise.survivors import Survivor
from korrigo_backup.system.files import private_directory, write_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True)
class NamedFile:
    """A file that a column names: its path below the media root, and its new path, which may be the same."""

    path: str
    new: str
    act: FileAct
    column: str


@dataclass
class CopyFiles:
    """The files of a copy below `root`; the numbers of replaced, removed, kept and absent files."""

    root: Path
    replaced: int = 0
    removed: int = 0
    kept: int = 0
    absent: int = 0
    _originals: dict[bytes, str] = field(default_factory=dict, repr=False)
    _done: set[str] = field(default_factory=set, repr=False)
    _made: set[str] = field(default_factory=set, repr=False)

    def change(self, named: Iterable[NamedFile]) -> None:
        """Remove or replace the files that columns name. A path that leads out of the tree is no file of it."""
        for one in named:
            if one.path in self._done:
                continue
            self._done.add(one.path)
            path = self._inside(one.path)
            if path is None:
                self.absent += 1
                continue
            self._replace(path, one)

    def change_others(self, act: FileAct) -> None:
        """Do the same with all files that no ruled column names; links are always removed."""
        for path in list(self._walk()):
            name = str(path.relative_to(self.root))
            if path.is_symlink():
                path.unlink()
            elif name not in self._made:
                if act is FileAct.KEEP:
                    self.kept += 1
                else:
                    self._replace(path, NamedFile(name, name, act, ""))
        for directory, _, _ in os.walk(self.root, topdown=False):
            if Path(directory) != self.root and not os.listdir(directory):  # noqa: PTH208 - a name is enough
                Path(directory).rmdir()

    def survivors(self) -> list[Survivor]:
        """Return a survivor for each column whose files are there with their bytes, also under another name."""
        found = {}
        for path in self._walk():
            column = self._originals.get(_digest(path))
            if column and str(path.relative_to(self.root)) not in self._made:
                found[column] = Survivor("the media files", column)
        return list(found.values())

    def _replace(self, path: Path, one: NamedFile) -> None:
        blank = placeholder(one.path)
        if one.column and path.stat().st_size and (digest := _digest(path)) != hashlib.sha256(blank).digest():
            self._originals[digest] = one.column
        path.unlink()
        if one.act is FileAct.REMOVE:
            self.removed += 1
            return
        target = self.root / one.new
        private_directory(target.parent)
        if target.exists():
            target.unlink()
        write_private(target, blank)
        self._made.add(one.new)
        self.replaced += 1

    def _inside(self, name: str) -> Path | None:
        """Return a regular file of the tree, None if there is none of this name, or a link is on the way to it."""
        path = self.root / name
        parts = Path(name).parts
        if not parts or ".." in parts or Path(name).is_absolute():
            return None
        real = path.resolve()
        return path if real == self.root.resolve() / name and path.is_file() else None

    def _walk(self) -> Iterator[Path]:
        for above, directories, names in os.walk(self.root):
            links = (name for name in directories if (Path(above) / name).is_symlink())
            for name in (*names, *links):
                yield Path(above) / name


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
