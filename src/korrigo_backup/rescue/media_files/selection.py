"""Files chosen by path or pattern from media backups: decided here, without input or output.

A path below the media root means that file, or all files below that directory. Where no backup has it, a text with `*`,
`?` or `[…]` is a pattern of whole paths; `*` stands for slashes, too. A directory may have become a link or a file
between two backups: no file of an older backup is added below it, nor in the place of a directory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PATTERN = re.compile(r"[*?\[]")


class SavedFile(msgspec.Struct, frozen=True):
    """A file of a media backup: its path below the media root, SHA-256, bytes, time of its last change in nanoseconds.

    Bytes and time are None where its listing lacks them. `target` is that of a symbolic link, which has no SHA-256.
    """

    path: str
    sha256: str
    size: int | None
    mtime_ns: int | None
    artifact: str
    target: str | None = None


@dataclass
class _Found:
    """The files that a text means, by path, and the directories above them."""

    files: dict[str, SavedFile] = field(default_factory=dict)
    above: set[str] = field(default_factory=set)

    def add(self, file: SavedFile) -> None:
        """Add a file, unless a newer backup has something else at its path, above it or below it."""
        above = _above(file.path)
        if file.path in self.files or file.path in self.above or any(one in self.files for one in above):
            return
        self.files[file.path] = file
        self.above.update(above)


@dataclass
class Selection:
    """The files that some texts mean; backups are added newest first, and the first that has a path gives it."""

    asked: Sequence[str]
    _named: dict[str, _Found] = field(default_factory=dict)
    _matched: dict[str, _Found] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._named = {text: _Found() for text in self.asked}
        self._matched = {text: _Found() for text in self.asked}
        self._patterns = {text: re.compile(translate(text)) for text in self.asked if _PATTERN.search(text)}

    @property
    def is_complete(self) -> bool:
        """Whether each text is a single file that was found: an older backup can add none."""
        return all(text in found.files for text, found in self._named.items())

    def add(self, files: Iterable[SavedFile]) -> None:
        """Take the files of a backup that are meant."""
        for file in files:
            for text, found in self._named.items():
                if file.path == text or file.path.startswith(f"{text}/"):
                    found.add(file)
                elif text in self._patterns and self._patterns[text].match(file.path):
                    self._matched[text].add(file)

    @property
    def missing(self) -> list[str]:
        """The texts that mean no file of the backups."""
        return [text for text in self.asked if not self._of(text)]

    @property
    def files(self) -> list[SavedFile]:
        """The files that are meant, each once, in the order of their paths."""
        found = {path: file for text in self.asked for path, file in self._of(text).items()}
        return [found[path] for path in sorted(found)]

    def is_named(self, path: str) -> bool:
        """Return whether a path was typed as it is, not found below a directory or by a pattern."""
        return path in self._named and path in self._named[path].files

    @property
    def clash(self) -> tuple[SavedFile, SavedFile] | None:
        """A file that one text means, and one below its path that another text means; None if all have room."""
        found = {file.path: file for file in self.files}
        both = ((found[one], file) for path, file in found.items() for one in _above(path) if one in found)
        return next(both, None)

    def _of(self, text: str) -> dict[str, SavedFile]:
        return self._named[text].files or self._matched[text].files


def _above(path: str) -> list[str]:
    """Return the directories above a path, below the media root."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]
