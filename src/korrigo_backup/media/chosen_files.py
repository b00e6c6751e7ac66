"""A stage that takes only some of the files of a backup."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from korrigo_backup.media.put import parents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from korrigo_backup.media.port import Stage
    from korrigo_backup.media.reuse import LiveFile
    from korrigo_backup.media.staging import GivenProperties, LostFileProperties


class _Nowhere(io.RawIOBase):
    """A file that is not kept."""

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        return len(data)  # type: ignore[arg-type] # bytes or a view of them


@dataclass
class ChosenFiles:
    """A stage that takes only the files of `wanted` and their directories; see `port.Stage`.

    `links` has the target of each wanted symbolic link. `second_names` has wanted second
    names of files (hard links) whose first name is not wanted. With `under` a file is staged under another name, and
    its directory is there.
    """

    stage: Stage
    wanted: frozenset[str]
    under: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    second_names: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        directories = () if self.under else {*self.wanted, *self.links}
        self._parents = {"", *(parent for path in directories for parent in parents(path))} if directories else set()

    def add_directory(self, path: str, given: GivenProperties) -> None:
        """Make a directory that a wanted file needs."""
        if path in self._parents:
            self.stage.add_directory(path, given)

    def create(self, path: str) -> IO[bytes]:
        """Open a wanted file, or a file whose content is thrown away."""
        if path in self.wanted:
            self.taken.add(path)
            return self.stage.create(self.under.get(path, path))
        return _Nowhere()  # type: ignore[return-value] # it is only written to

    def settle(self, file: IO[bytes], given: GivenProperties) -> None:
        """Give a wanted file its properties."""
        if not isinstance(file, _Nowhere):
            self.stage.settle(file, given)

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
        """Make a wanted symbolic link."""
        if self.links.get(path) == target:
            self.taken.add(path)
            self.stage.add_link(path, target, mtime_ns=mtime_ns, owner=owner)

    def carry_link(self, path: str, target: str) -> None:
        """Make no symbolic link."""

    def finish(self) -> LostFileProperties:
        """Force all to disk."""
        return self.stage.finish()

    def close(self) -> None:
        """Close the open descriptors."""
        self.stage.close()
