"""The conflicts between picked rows and the live database, found by a trial; rows that are left out, with their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.postgres.sql import literal
from korrigo_backup.rescue.closure import PICKED, RowMark, close_again, dangling, leave_out
from korrigo_backup.rescue.insertion import NOT_NULL, picked, try_insertion
from korrigo_backup.rescue.staged_rows import MARK, ROW
from korrigo_backup.rescue.steps.new_columns import without_value
from korrigo_backup.rescue.steps.new_values import NewValues, RefusedRow
from korrigo_backup.rescue.steps.taken_keys import taken_keys, taken_parts
from korrigo_backup.rescue.undelete_plan import Conflict, ConflictKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.rescue.insertion import TrialConflict, TriedInsertion
    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedRows
    from korrigo_backup.rescue.steps.roots import TypedValue
    from korrigo_backup.rescue.steps.taken_keys import TakenKey

_KINDS = {
    "23505": ConflictKind.UNIQUE,
    NOT_NULL: ConflictKind.NOT_NULL,
    "23514": ConflictKind.CHECK,
    "23P01": ConflictKind.EXCLUSION,
    "23503": ConflictKind.PARENT,
}
_HELPED = frozenset({ConflictKind.UNIQUE, ConflictKind.NOT_NULL, ConflictKind.CHECK})
"""Conflicts of a single row that another value could end; a missing parent is found before the trial."""

_LIMIT = 2000
"""Conflicts that are named; a plan with more is refused as a whole anyway."""


@dataclass
class Conflicts:
    """The conflicts so far; with `skip` their rows, and those that need them, are left out."""

    rows: StagedRows
    relations: Sequence[RowRelation]
    skip: bool
    erased: Sequence[tuple[str, int]]
    """Picked rows that were erased on request, by table and number."""
    named: bool
    """Whether the rows were asked for one by one: an erased row among them is a conflict."""
    typed: Sequence[TypedValue] = ()
    """New values for rows whose own value is refused, and for columns that the backup lacks."""
    found: list[Conflict] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    """Erased rows that nobody has named, by table: they are left out."""
    _barred: bool = False
    """Whether rows were left out since the closure."""
    _known: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.new = NewValues(self.rows, self.relations, self._key, list(self.typed))

    def settle(self) -> dict[str, int]:
        """Find all conflicts; return the number of rows of each table that are picked in the end."""
        self._erased()
        self.new.fill_columns()
        while True:
            if self.new.typed and self.new.give(self._without_parents()):
                continue
            left = self._parts() + self._parents()
            counts = self.counts()
            if left and self.skip:
                continue
            if self._barred:
                close_again(self.rows, self.relations)
                self._barred = False
                continue
            trial = try_insertion(self.rows, picked(self.rows, counts), self.relations)
            if self.new.typed and self.new.give(self._refused(trial)):
                continue
            left = self._tried(trial)
            if not left or not self.skip:
                self._keys()
                return self.counts()

    def _refused(self, trial: TriedInsertion) -> list[RefusedRow]:
        """Return the rows of a trial that another value could help."""
        kinds = [(_KINDS.get(one.code), one) for one in trial.conflicts if one.row]
        return [RefusedRow(kind, one.table, one.row, self._columns(one)) for kind, one in kinds if kind in _HELPED]

    def _without_parents(self) -> list[RefusedRow]:
        """Return the picked rows whose parent is nowhere."""
        return [
            RefusedRow(ConflictKind.PARENT, table, row, self.relations[number].columns)
            for number, table, row in dangling(self.rows, self.relations)
        ]

    def require_taken(self) -> None:
        """Raise UsageError for a new value that no row has needed."""
        self.new.require_used(self.counts())

    def counts(self) -> dict[str, int]:
        """Return the number of picked rows of each table."""
        return {name: self.rows.count(PICKED, table) for name, table in self.rows.tables.items()}

    def _erased(self) -> None:
        """Leave out the picked rows that were erased on request; one that was asked for by its name is a conflict."""
        for name, number in self.erased:
            if self.named and self._is_root(name, number):
                self._add(ConflictKind.ERASED, name, number, "", (), "erased on request (korrigo-backup forget --list)")
            else:
                self.left_out[name] = self.left_out.get(name, 0) + 1
        if self.erased:
            leave_out(self.rows, self.relations, self.erased)
            close_again(self.rows, self.relations)

    def _is_root(self, name: str, number: int) -> bool:
        query = f"SELECT to_json({MARK} = {RowMark.ROOT}) FROM {self.rows.tables[name].gone} WHERE {ROW} = {number}"
        return self.rows.session.ask(query, bool)

    def _parts(self) -> list[tuple[str, int]]:
        taken = taken_parts(self.rows, self.relations)
        self._taken(taken)
        left = [one.child for one in taken if one.child]
        self._leave(left)
        return left

    def _keys(self) -> None:
        self._taken(taken_keys(self.rows, self.relations, cascades=True))

    def _taken(self, taken: list[TakenKey]) -> None:
        room = _LIMIT - len(self.found)
        self.found += [
            Conflict(ConflictKind.KEY, one.table, one.key, "", (), one.words, left=self.skip) for one in taken[:room]
        ]

    def _parents(self) -> list[tuple[str, int]]:
        left = []
        for number, table, row in dangling(self.rows, self.relations):
            relation = self.relations[number]
            columns = ", ".join(relation.columns)
            words = f"{columns} refers to a row of {relation.to} that is neither live nor in the backup"
            left.append((table, row))
            self._add(ConflictKind.PARENT, table, row, relation.name, relation.columns, words)
        self._leave(left)
        return left

    def _tried(self, trial: TriedInsertion) -> list[tuple[str, int]]:
        left = [(one.table, one.row) for one in trial.conflicts if one.row]
        lacking, needing = dict[str, list[str]](), dict[str, None]()
        for one in trial.conflicts:
            kind = _KINDS.get(one.code, ConflictKind.OTHER)
            if one.row and kind is ConflictKind.NOT_NULL and one.table not in lacking:
                lacking[one.table] = without_value(self.rows.session, self.rows.tables[one.table])
            without = lacking.get(one.table, ())
            if one.column in without or (without and not one.column):  # a domain names no column
                needing[one.table] = None
                continue
            named = self._columns(one)
            self._add(kind, one.table, one.row, one.constraint, named, one.message, one.detail_without_row)
        for table in needing:
            left += self._lacking(table, lacking[table])
        for table, count in trial.changed.items():
            words = f"a trigger of the site changes {count} of the rows while they are inserted"
            live = self.rows.live.get(table)
            query = _TRIGGERS.format(table=literal(live.sql)) if live else ""
            if names := self.rows.session.ask(query, list[str]) if query else []:
                words = f"{words}: {', '.join(names)}"
            self._add(ConflictKind.TRIGGER, table, 0, "", (), words)
        self._leave(left)
        return left

    def _lacking(self, name: str, columns: Sequence[str]) -> list[tuple[str, int]]:
        """Add a conflict for each column that is new since the backup and needs a value; return the rows that lack it.

        These are all that come back: one conflict names them.
        """
        table = self.rows.tables[name]
        rows = [
            (name, int(row)) for row in self.rows.session.run(f"SELECT {ROW} FROM {table.gone} WHERE {PICKED}").split()
        ]
        for column in columns:
            words = f"the column {column} is new since the backup, takes no NULL and has no default"
            more = f"{counted(len(rows), 'row')} without a value"
            self.found.append(Conflict(ConflictKind.NOT_NULL, name, (), "", (column,), words, self.skip, more))
        return rows

    def _leave(self, left: list[tuple[str, int]]) -> None:
        if self.skip and left:
            leave_out(self.rows, self.relations, left)
            self._barred = True

    def _add(
        self, kind: ConflictKind, table: str, row: int, constraint: str, columns: tuple[str, ...], *words: str
    ) -> None:
        """Add a conflict; `words` are its message and, if there is one, its detail."""
        if len(self.found) < _LIMIT:
            key = self._key(table, row) if row else ()
            message, detail = (*words, "")[:2]
            left = self.skip and bool(row)
            self.found.append(Conflict(kind, table, key, constraint, columns, message, left, detail))

    def _key(self, table: str, row: int) -> tuple[str, ...]:
        staged = self.rows.tables[table]
        query = f"SELECT to_json({staged.key_text('g')}) FROM {staged.gone} g WHERE g.{ROW} = {row}"
        found = self.rows.session.ask(query, tuple[str | None, ...])  # without a key all columns, also NULL
        return tuple(one or "" for one in found)

    def _columns(self, conflict: TrialConflict) -> tuple[str, ...]:
        """Return the columns of the conflict: that of the error, or those of its unique index or constraint."""
        live = self.rows.live.get(conflict.table)
        if conflict.column or not conflict.constraint or live is None:
            return (conflict.column,) if conflict.column else ()
        place = (conflict.table, conflict.constraint)
        if place not in self._known:
            query = _COLUMNS.format(table=literal(live.sql), name=literal(conflict.constraint))
            self._known[place] = self.rows.session.ask(query, tuple[str, ...])
        return self._known[place]


# Those that are run for an inserted row.
_TRIGGERS = """
SELECT coalesce(json_agg(quote_ident(tgname) ORDER BY tgname COLLATE "C"), '[]') FROM pg_trigger
WHERE tgrelid = {table}::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgtype & 4 <> 0
"""

_COLUMNS = """
WITH found AS (
  SELECT i.indkey::int2[] AS numbers FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE i.indrelid = {table}::regclass AND c.relname = {name}
  UNION ALL SELECT conkey FROM pg_constraint WHERE conrelid = {table}::regclass AND conname = {name}
  AND contype IN ('f', 'c'))
SELECT coalesce(json_agg(a.attname ORDER BY k.place), '[]')
FROM (SELECT numbers FROM found LIMIT 1) f, unnest(f.numbers) WITH ORDINALITY k (number, place), pg_attribute a
WHERE a.attrelid = {table}::regclass AND a.attnum = k.number
"""
