"""Single files of a media backup, put among the live files: nothing is overwritten, no link is followed."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from korrigo_backup.core.paths import printable
from korrigo_backup.errors import Refused
from korrigo_backup.media.places import plain_place
from korrigo_backup.media.reuse import READ

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from korrigo_backup.media.port import Stage
    from korrigo_backup.media.reuse import LiveFile
    from korrigo_backup.media.staging import LostFileProperties


class _Nowhere(io.RawIOBase):
    """A file that is not kept."""

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        return len(data)  # type: ignore[arg-type] # bytes or a view of them


@dataclass
class ChosenFiles:
    """A stage that takes only the files of `wanted` and their directories; see `port.Stage`.

    `second_names` has wanted second names of files (hard links) whose first name is not wanted. With `under` a file is
    staged under another name, and its directory is there.
    """

    stage: Stage
    wanted: frozenset[str]
    under: Mapping[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    second_names: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        directories = () if self.under else self.wanted
        self._parents = {"", *(parent for path in directories for parent in parents(path))} if directories else set()

    def add_directory(
        self,
        path: str,
        *,
        mode: int,
        mtime_ns: int,
        owner: tuple[int, int] | None = None,
        extended: Mapping[str, bytes] | None = None,
    ) -> None:
        """Make a directory that a wanted file needs."""
        if path in self._parents:
            self.stage.add_directory(path, mode=mode, mtime_ns=mtime_ns, owner=owner, extended=extended)

    def create(self, path: str) -> IO[bytes]:
        """Open a wanted file, or a file whose content is thrown away."""
        if path in self.wanted:
            self.taken.add(path)
            return self.stage.create(self.under.get(path, path))
        return _Nowhere()  # type: ignore[return-value] # it is only written to

    def settle(
        self,
        file: IO[bytes],
        *,
        mode: int,
        mtime_ns: int,
        owner: tuple[int, int] | None = None,
        extended: Mapping[str, bytes] | None = None,
    ) -> None:
        """Give a wanted file its properties."""
        if not isinstance(file, _Nowhere):
            self.stage.settle(file, mode=mode, mtime_ns=mtime_ns, owner=owner, extended=extended)

    def take_over(self, files: Sequence[LiveFile], *, link: bool) -> list[bool]:
        """Take over no live file: those that are live are not wanted."""
        del link
        return [False] * len(files)

    def add_hard_link(self, path: str, existing: str) -> None:
        """Give a wanted file its second name, if that is wanted, too."""
        if path in self.wanted and existing in self.taken:
            self.taken.add(path)
            self.stage.add_hard_link(path, existing)
        elif path in self.wanted:
            self.second_names.setdefault(existing, []).append(path)

    def add_link(self, path: str, target: str, *, mtime_ns: int, owner: tuple[int, int] | None = None) -> None:
        """Make no symbolic link."""

    def carry_link(self, path: str, target: str) -> None:
        """Make no symbolic link."""

    def finish(self) -> LostFileProperties:
        """Force all to disk."""
        return self.stage.finish()

    def close(self) -> None:
        """Close the open descriptors."""
        self.stage.close()


def parents(path: str) -> list[str]:
    """Return the directories of a path, the outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def missing_directories(root: Path, paths: Sequence[str], hint: str) -> tuple[str, ...]:
    """Return the directories that files need and that are not there, the outer directories first.

    Raises Refused, with a hint, for a directory that is a link or a file.
    """
    found = dict.fromkeys(parent for path in paths for parent in parents(path))
    return tuple(name for name in found if not _is_directory(root, name, hint))


def _is_directory(root: Path, name: str, hint: str) -> bool:
    path = root / name
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise Refused(f"{printable(name)} among the media is a link or a file now: no file is put below it", hint=hint)
    return path.is_dir()


def put(root: Path, staged: Path, paths: Sequence[str], directories: Sequence[str]) -> None:
    """Move staged files to their places; FileExistsError if a name is taken, then some may be moved."""
    for name in directories:
        make_directory(root, name, staged)
    for path in paths:
        with plain_place(staged, path) as source, plain_place(root, path) as target:
            source.rename_new(target)
    for path in {path.rpartition("/")[0]: path for path in (*paths, *directories)}.values():
        with plain_place(root, path) as place:
            place.force()


def make_directory(root: Path, name: str, like: Path) -> None:
    """Make a directory with mode and owner of its namesake below `like`; one that is there stays as it is.

    Raises Refused if a directory of the path is a link now.
    """
    with plain_place(like, name) as model, plain_place(root, name) as place:
        info = model.info()
        try:
            os.mkdir(place.name, dir_fd=place.directory)
        except FileExistsError:
            return
        made = os.open(place.name, READ | os.O_DIRECTORY, dir_fd=place.directory)
        try:
            if info:
                os.fchown(made, info.st_uid, info.st_gid)
                os.fchmod(made, info.st_mode & 0o7777)
        finally:
            os.close(made)
