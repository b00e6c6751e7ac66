"""What differs between a saved state and a present one: tables, rows, sequences, objects and files.

"Added", "changed" and "removed" are always meant since the saved state: a restore would take them back.
"""

from __future__ import annotations

import msgspec


class RowChange(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one table that differ, counted, and the first keys of each kind as `id=5`.

    `key` names the columns by which rows are the same row; without a primary key a row is its own key, and nothing
    counts as changed. `exact` is false when only a part of the differing rows could be told apart: the counts are
    then at least these. Rows are compared by the columns that both sides have; the others are named.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    exact: bool = True
    key: tuple[str, ...] = ()
    added_keys: tuple[str, ...] = ()
    changed_keys: tuple[str, ...] = ()
    removed_keys: tuple[str, ...] = ()
    new_columns: tuple[str, ...] = ()
    lost_columns: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many rows differ."""
        return self.added + self.changed + self.removed

    @property
    def nothing(self) -> bool:
        """Whether all is the same, columns too."""
        return not (self.count or self.new_columns or self.lost_columns)

    @property
    def only_removed(self) -> bool:
        """Whether every present row, with all its columns, is among the saved ones."""
        return self.exact and not (self.added or self.changed or self.new_columns)


class TableDifference(msgspec.Struct, frozen=True):
    """A table that differs: rows then and now (None: not there), and which rows, when that could be told."""

    name: str
    saved: int | None
    now: int | None
    rows: RowChange | None = None


class Counted(msgspec.Struct, frozen=True):
    """A set of names that differ: how many, and the first of them."""

    count: int = 0
    first: tuple[str, ...] = ()


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """The files that differ, and how many are the same."""

    added: Counted = Counted()
    changed: Counted = Counted()
    removed: Counted = Counted()
    same: int = 0


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A saved state held against a present one. `tables` are those that differ, `same` counts the others."""

    saved: str
    now: str
    tables: tuple[TableDifference, ...] = ()
    same: int = 0
    sequences: tuple[str, ...] = ()
    new_objects: tuple[str, ...] = ()
    lost_objects: tuple[str, ...] = ()
    files: FileChange | None = None

    @property
    def differences(self) -> tuple[str, ...]:
        """What differs, in words with numbers; nothing when all is the same."""
        files = self.files or FileChange()
        counts = (
            (len(self.tables), "table"),
            (len(self.sequences), "sequence"),
            (len(self.new_objects) + len(self.lost_objects), "schema object"),
            (files.added.count + files.changed.count + files.removed.count, "file"),
        )
        return tuple(f"{count} {word}{'s' if count > 1 else ''}" for count, word in counts if count)
