"""A stage that keeps one file of a media backup in memory, for a look at it: nothing is written to disk."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from korrigo_backup.core.size import human
from korrigo_backup.errors import Refused
from korrigo_backup.media.staging import LostFileProperties

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from korrigo_backup.media.reuse import LiveFile
    from korrigo_backup.media.staging import GivenProperties

LARGEST_FILE = 16 * 1024 * 1024
"""Bytes of a file that is shown."""


class WholeFileError(Exception):
    """The file is read to its end: the rest of the backup is not needed."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content


class OneFile:
    """The stage of one file; see `port.Stage`. Raises WholeFileError with the file, Refused if it is too large."""

    def add_directory(self, path: str, given: GivenProperties) -> None:
        """Make no directory."""

    def create(self, _path: str) -> IO[bytes]:
        """Open the file in memory."""
        return _Bounded()

    def settle(self, file: IO[bytes], given: GivenProperties) -> None:
        """End the reading."""
        del given
        file.seek(0)
        raise WholeFileError(file.read())

    def take_over(self, files: Sequence[LiveFile], *, link: bool) -> list[bool]:
        """Take over no live file."""
        del link
        return [False] * len(files)

    def add_hard_link(self, path: str, existing: str) -> None:
        """Give no second name."""

    def add_link(self, path: str, target: str, *, mtime_ns: int, owner: tuple[int, int] | None = None) -> None:
        """Make no symbolic link."""

    def carry_link(self, path: str, target: str) -> None:
        """Make no symbolic link."""

    def finish(self) -> LostFileProperties:
        """Return that nothing was lost."""
        return LostFileProperties()

    def close(self) -> None:
        """Close nothing."""


class _Bounded(io.BytesIO):
    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override] # what is written here
        require_small(self.tell() + len(data))
        return super().write(data)


def require_small(size: int) -> None:
    """Raise Refused for a file that is too large to be shown."""
    if size > LARGEST_FILE:
        raise Refused(
            f"the file has more than {human(LARGEST_FILE)}", hint="on the host: korrigo-backup restore --file PATH"
        )
