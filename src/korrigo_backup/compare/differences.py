"""The differences between a saved state and the present state: tables, rows, sequences, objects and files.

"Added", "changed" and "removed" are always meant since the saved state: a restore would undo them.
"""

from __future__ import annotations

import msgspec


class RowChange(msgspec.Struct, frozen=True, kw_only=True):
    """The differing rows of a table, counted, and the first keys of each kind as `id=5`.

    `key` names the columns that identify a row; without a primary key a row is its own key, and no row counts as
    changed. `exact` is False if only a part of the differing rows could be identified: the counts are then lower
    bounds. Rows are compared by the columns that both sides have; the others are named.
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
        """Whether every present row, with all its columns, is among the saved rows."""
        return self.exact and not (self.added or self.changed or self.new_columns)


class TableDifference(msgspec.Struct, frozen=True):
    """A table that differs: its rows then and now (None: no such table), and the differing rows, if they are known."""

    name: str
    saved: int | None
    now: int | None
    rows: RowChange | None = None


class Counted(msgspec.Struct, frozen=True):
    """A set of names that differ: how many, and the first of them."""

    count: int = 0
    first: tuple[str, ...] = ()


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """The files that differ, and how many are the same. `erased` counts those that a restore has erased on request."""

    added: Counted = Counted()
    changed: Counted = Counted()
    removed: Counted = Counted()
    same: int = 0
    erased: int = 0


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A saved state compared with a present state. `tables` are those that differ, `same` counts the others."""

    saved: str
    now: str
    tables: tuple[TableDifference, ...] = ()
    same: int = 0
    sequences: tuple[str, ...] = ()
    new_objects: tuple[str, ...] = ()
    lost_objects: tuple[str, ...] = ()
    files: FileChange | None = None

    @property
    def has_database(self) -> bool:
        """Whether databases were compared, not files alone."""
        return self.files is None or bool(self.tables or self.same or self.sequences or self.new_objects)

    @property
    def differences(self) -> tuple[str, ...]:
        """The differences, in words with numbers; empty if both states are equal."""
        files = self.files or FileChange()
        counts = (
            (len(self.tables), "table"),
            (len(self.sequences), "sequence"),
            (len(self.new_objects) + len(self.lost_objects), "schema object"),
            (files.added.count + files.changed.count + files.removed.count, "file"),
        )
        return tuple(f"{count} {word}{'s' if count > 1 else ''}" for count, word in counts if count)
