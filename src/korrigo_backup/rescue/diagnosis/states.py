"""The live tables and files against a saved state: whether something is lost, and how much has changed."""

from __future__ import annotations

import msgspec

from korrigo_backup.compare.differences import FileChange, RowChange  # noqa: TC001 - msgspec reads them
from korrigo_backup.rescue.diagnosis.moments import TableMoment  # noqa: TC001 - msgspec reads it

_WHOLE = 0.5
"""The share of a table's rows from which on a change is that of the whole table."""


class TableState(msgspec.Struct, frozen=True, kw_only=True):
    """A table that differs from a saved state: the dump, the moment of its newest loss or change, the rows that differ.

    `change` is None if the table is gone, or is not in the dump.
    """

    table: str
    reference: str
    moment: TableMoment
    change: RowChange | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the table is gone, or lacks rows, former values or columns of the dump."""
        change = self.change
        return change is None or bool(change.removed or change.changed or change.lost_columns)

    @property
    def is_changed_as_a_whole(self) -> bool:
        """Whether so many of its rows changed that one statement did it, or somebody imported them."""
        rows = self.moment.rows_before or 0
        return self.change is not None and self.change.changed > max(1, rows * _WHOLE)


class FileState(msgspec.Struct, frozen=True, kw_only=True):
    """The live files against those of a media backup.

    `unread_bytes` are those of files that were not all read: of a media store, files with other size or time are
    changed; of a large archive, files touched since were compared by their checksums, and others count as the same.
    """

    reference: str
    change: FileChange
    unread_bytes: int = 0

    @property
    def is_lost(self) -> bool:
        """Whether a file of the backup is missing, or has another content now."""
        return bool(self.change.removed.count or self.change.changed.count)
