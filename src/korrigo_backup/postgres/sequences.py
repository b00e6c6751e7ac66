"""Evaluate the positions of sequences, compared with the rows and with the newest backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import Finding, error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from korrigo_backup.artifact.manifest import SequenceProof


class Numbered(msgspec.Struct, frozen=True):
    """A unique column of whole numbers from a sequence, in its present state.

    `is_taken`: a row has the sequence's next number; `has_beyond`: a row has that or a further number. `rows` is
    counted to two if the sequence was never used, else not counted unless the number is taken.
    """

    table: str
    column: str
    is_taken: bool
    has_beyond: bool
    rows: int = 0


class SequenceState(msgspec.Struct, frozen=True):
    """A sequence as it is now; it was never used when it stands at its first number and was not called."""

    name: str
    last_value: int
    is_called: bool
    increment: int
    first: int
    columns: tuple[Numbered, ...] = ()

    @property
    def following(self) -> int:
        """The next number."""
        return self.last_value + (self.increment if self.is_called else 0)

    @property
    def is_unused(self) -> bool:
        """Whether no number was ever taken."""
        return not self.is_called and self.last_value == self.first

    def is_as(self, saved: SequenceProof) -> bool:
        """Return whether the sequence stands where it was saved."""
        return (self.last_value, self.is_called) == (saved.last_value, saved.is_called)

    def is_behind(self, saved: SequenceProof) -> bool:
        """Return whether the sequence would give a number that had been given, or passed over, when it was saved."""
        then = saved.last_value + (self.increment if saved.is_called else 0)
        return (self.following < then) if self.increment > 0 else (self.following > then)


class SavedSequences(msgspec.Struct, frozen=True):
    """The newest backup: its name, sequences by name or by `table.column`, rows by table."""

    source: str
    sequences: Mapping[str, SequenceProof]
    rows: Mapping[str, int]

    def of(self, one: SequenceState) -> SequenceProof | None:
        """Return where a sequence stood, None if it is not in the backup."""
        names = (one.name, *(f"{column.table}.{column.column}" for column in one.columns))
        return next((self.sequences[name] for name in names if name in self.sequences), None)


def judge_sequences(now: Iterable[SequenceState], saved: SavedSequences | None, *, strict: bool) -> list[Finding]:
    """Return the findings about sequences.

    A number that a row has already is an error, unless the sequence stands as it was saved, or was never used: then the
    site gives its rows their numbers itself (a settings table with a single row of number 1). A sequence that stands
    before its saved position is an error when rows have the numbers that are to come.
    """
    sorts: dict[str, list[str]] = {name: [] for name in ("behind", "taken", "before", "unused", "kept")}
    count = 0
    for one in now:
        count += 1
        sort = _sort(one, saved)
        if sort:
            column = next((c for c in one.columns if c.has_beyond), None)
            sorts[sort].append(f"{one.name} ({column.table}.{column.column})" if column else one.name)
    source = saved.source if saved else ""
    found = []
    if behind := sorts["behind"]:
        words = f"{len(behind)} sequences stand before where {source} has them, and rows have their next numbers"
        found.append(error("validate.sequences", f"{words}: {listed(behind)}", _RESET))
    if taken := sorts["taken"]:
        words = f"{len(taken)} sequences give a number that is taken: {listed(taken)}"
        found.append(error("validate.sequences", words, _RESET))
    if before := sorts["before"]:
        level = error if strict else warning
        words = f"{len(before)} sequences stand before where {source} has them: {listed(before)}"
        found.append(level("validate.sequences", words, "right if they were restarted on purpose since"))
    if unused := sorts["unused"]:
        words = f"{len(unused)} sequences were never used, and rows have their first numbers: {listed(unused)}"
        hint = f"right if the site numbers these rows itself; else {_RESET}"
        found.append(warning("validate.sequences", words, hint))
    if not found:
        kept = sorts["kept"]
        as_saved = f"; as saved, rows have the next number of: {listed(kept)}" if kept else "; the next of each is free"
        found.append(ok("validate.sequences", f"Sequences OK ({count} sequences{as_saved})"))
    return found


def _sort(one: SequenceState, saved: SavedSequences | None) -> str | None:
    then = saved.of(one) if saved else None
    if then and one.is_behind(then):
        if not one.columns:
            return "before"
        return "behind" if any(column.has_beyond for column in one.columns) else None
    taken = [column for column in one.columns if column.is_taken]
    if not taken:
        return None
    grown = saved is not None and any(column.rows > saved.rows.get(column.table, column.rows) for column in taken)
    if one.is_unused:
        return "kept" if then or all(column.rows <= 1 for column in taken) else "unused"
    return "kept" if then and one.is_as(then) and not grown else "taken"


_RESET = "python manage.py sqlsequencereset APP | psql"
