"""The live rows of a table that differ from those of the backup, each value with its verdict, in a temporary table.

`judged_N` has the key of each such row (`k1` …), its verdicts as one text (`v`, a letter for each column), the values
of now (`w1` …) and of then (`t1` …). `removed_N` has the live rows that the backup does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.postgres.sql import identifier, json_numbers, literal
from korrigo_backup.rescue.closure import PICKED
from korrigo_backup.rescue.staged_rows import MARK, ROW
from korrigo_backup.rescue.steps.exchanging import Changing, or_freed
from korrigo_backup.rescue.values.plan import (
    SHOWN_ROWS,
    PutRow,
    PutValue,
    ValueConflict,
    ValueConflictKind,
)
from korrigo_backup.rescue.values.three_way import HERE, ValueVerdict, verdict
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.staged_rows import StagedTable

CHOSEN = identifier("korrigo_backup_chosen")
"""The column of the rows of the backup that says whether the operator's condition holds."""


@dataclass(frozen=True)
class JudgedTable:
    """A table with judged rows: its rows of the backup, and the columns that were compared."""

    staged: StagedTable
    columns: tuple[str, ...]

    @property
    def number(self) -> int:
        """The number of its temporary tables."""
        return self.staged.number

    @property
    def judged(self) -> str:
        """The temporary table of the rows that differ."""
        return f"pg_temp.korrigo_backup_judged_{self.number}"

    @property
    def removed(self) -> str:
        """The temporary table of the newer rows."""
        return f"pg_temp.korrigo_backup_removed_{self.number}"

    @property
    def key_text(self) -> str:
        """The expression of the key of a judged row `j`, as an array of text."""
        return f"ARRAY[{', '.join(f'j.k{n}::text' for n, _ in enumerate(self.staged.key, 1))}]::text[]"

    def put_values(self, column: str) -> list[str]:
        """Return the conditions on rows `t` of the backup whose value in a column is put back: none if it stays."""
        if column not in self.columns:
            return []
        put = _is_put(self.columns.index(column) + 1)
        return [f"EXISTS (SELECT FROM {self.judged} j WHERE j.{PICKED} AND {put} AND {self.is_row('t')})"]

    @property
    def _same(self) -> str:
        return self.is_row("l")

    def is_row(self, alias: str) -> str:
        """Return the condition that a row of the table, by its alias, is the judged row `j`."""
        live = self.staged.live
        names = enumerate(self.staged.key, 1)
        return " AND ".join(live.equal(name, f"{alias}.{identifier(name)}", f"j.k{n}") for n, name in names)

    def update(self, columns: Sequence[str], condition: str = "true") -> str:
        """Return the statement that puts the values of `columns` back in the rows that are picked.

        A row is left whose values are not those of the plan any more.
        """
        numbers = {name: self.columns.index(name) + 1 for name in columns}
        sets = (
            f"{identifier(name)} = CASE WHEN {_is_put(n)} THEN j.t{n} ELSE l.{identifier(name)} END"
            for name, n in numbers.items()
        )
        return (
            f"UPDATE ONLY {self.staged.live.sql} l SET {', '.join(sets)} FROM {self.judged} j"
            f" WHERE j.{PICKED} AND {condition} AND {self._same} AND {self._as_planned(numbers)}"
        )

    def _as_planned(self, numbers: Mapping[str, int]) -> str:
        unchanged = (f"({_is_kept(n)} OR {_is(name, f'j.w{n}')})" for name, n in numbers.items())
        return or_freed(self.number, " AND ".join(unchanged))

    def changing(self, columns: Sequence[str]) -> Changing:
        """Return the rows that are picked, as those of which `columns` change."""
        numbers = {name: self.columns.index(name) + 1 for name in columns}

        def new(name: str) -> str:
            live = f"CAST(l.{identifier(name)} AS text)"
            if name not in numbers:
                return live
            return f"CASE WHEN {_is_put(numbers[name])} THEN CAST(j.t{numbers[name]} AS text) ELSE {live} END"

        rows = (
            f"FROM ONLY {self.staged.live.sql} l JOIN {self.judged} j ON {self._same}"
            f" WHERE j.{PICKED} AND {self._as_planned(numbers)}"
        )
        return Changing(self.number, self.staged.live, tuple(columns), rows, new)

    def delete(self) -> str:
        """Return the statement that deletes the newer rows, if they are as they were when the plan was made."""
        live = self.staged.live
        content = ", ".join(f"{{0}}.{identifier(name)}" for name in live.columns)
        return (
            f"DELETE FROM ONLY {live.sql} l USING {self.removed} r WHERE {self.staged.same('l', 'r')}"
            f" AND ROW({content.format('l')})::text = ROW({content.format('r')})::text"
        )

    def unproven(self, columns: Sequence[str]) -> list[str]:
        """Return a query for each column: the number of picked rows in which it has not the value of the backup."""
        live = self.staged.live
        return [
            f"SELECT {literal(f'{live.name}.{name}')} AS name, count(*) AS rows FROM {self.judged} j WHERE j.{PICKED}"
            f" AND {_is_put(n)} AND NOT EXISTS (SELECT FROM ONLY {live.sql} l WHERE {self._same}"
            f" AND {_is(name, f'j.t{n}')})"
            for name in columns
            for n in (self.columns.index(name) + 1,)
        ]

    def lines(self, number: int) -> str:
        """Return the query for the lines of the record: the values of before and after of each picked row."""
        former = self._values("w", "s = '" + ValueVerdict.PUT_BACK + "'")
        put = self._values("t", "s = '" + ValueVerdict.PUT_BACK + "'")
        return (
            f"SELECT json_build_object('table', {number}, 'key', {self.key_text}, 'former', {former}, 'put', {put})"
            f" FROM {self.judged} j WHERE j.{PICKED}"
        )

    def removed_lines(self, number: int) -> str:
        """Return the query for the lines of the record: the whole content of each newer row."""
        values = ", ".join(f"({literal(name)}, r.{identifier(name)}::text)" for name in self.staged.live.columns)
        return (
            f"SELECT json_build_object('table', {number}, 'key', {self.staged.key_text('r')}, 'removed',"
            f" (SELECT json_object_agg(c, x) FROM (VALUES {values}) y(c, x))) FROM {self.removed} r"
        )

    def _values(self, letter: str, condition: str) -> str:
        if not self.columns:  # a table of its key alone
            return "NULL::json"
        rows = ", ".join(
            f"({literal(name)}, CAST(j.{letter}{n} AS text), substr(j.v, {n}, 1))"
            for n, name in enumerate(self.columns, 1)
        )
        return f"(SELECT json_object_agg(c, x) FROM (VALUES {rows}) y(c, x, s) WHERE {condition})"


def _is_put(number: int) -> str:
    return f"substr(j.v, {number}, 1) = '{ValueVerdict.PUT_BACK}'"


def _is_kept(number: int) -> str:
    return f"substr(j.v, {number}, 1) <> '{ValueVerdict.PUT_BACK}'"


def _is(name: str, value: str) -> str:
    return f"CAST(l.{identifier(name)} AS text) IS NOT DISTINCT FROM CAST({value} AS text)"


@phase("judge rows")
def judge(session: Session, table: JudgedTable, after: StagedTable | None) -> None:
    """Judge the rows of the backup against the live rows, and those of `after` where it is known.

    The rows of the backup have the column `CHOSEN`.
    """
    staged = table.staged
    numbered = list(enumerate(table.columns, 1))
    keys = ", ".join(f"l.{identifier(name)} AS k{n}" for n, name in enumerate(staged.key, 1))
    verdicts = " || ".join(
        ["''", *(f"({verdict(name, then='t', now='l', after='a' if after else None)})" for name in table.columns)]
    )
    values = "".join(f", l.{identifier(name)} AS w{n}, t.{identifier(name)} AS t{n}" for n, name in numbered)
    join = ""
    if after:
        session.run(f"ALTER TABLE {after.then} ADD {HERE} bool DEFAULT true")
        join = f" LEFT JOIN {after.then} a ON {staged.same('a', 't')}"
    session.run(
        f"CREATE TEMP TABLE korrigo_backup_judged_{table.number} AS SELECT *, CASE WHEN v LIKE"
        f" '%{ValueVerdict.PUT_BACK}%' THEN 1 END"
        f" AS {MARK} FROM (SELECT row_number() OVER () AS {ROW}, {keys}, {verdicts} AS v{values}"
        f" FROM {staged.then} t JOIN ONLY {staged.live.sql} l ON {staged.same('l', 't')}{join} WHERE t.{CHOSEN}) x"
        f" WHERE v ~ '[^{ValueVerdict.SAME}]'; ANALYZE {table.judged}"
    )


def put_columns(session: Session, table: JudgedTable) -> dict[str, int]:
    """Return the columns with values that are put back, each with their number."""
    if not table.columns:
        return {}
    numbers = json_numbers(f"count(*) FILTER (WHERE {_is_put(n)})" for n, _ in enumerate(table.columns, 1))
    query = f"SELECT {numbers} FROM {table.judged} j WHERE j.{PICKED}"
    return {name: count for name, count in zip(table.columns, session.ask(query, list[int]), strict=True) if count}


def put_rows(session: Session, table: JudgedTable) -> tuple[PutRow, ...]:
    """Return the first of the rows with values that are put back."""
    if not table.columns:
        return ()
    values = ", ".join(
        f"({n}, {literal(name)}, CAST(j.w{n} AS text), CAST(j.t{n} AS text), substr(j.v, {n}, 1))"
        for n, name in enumerate(table.columns, 1)
    )
    query = (
        f"SELECT coalesce(json_agg(json_build_array(k, x)), '[]') FROM (SELECT {table.key_text} AS k,"
        " (SELECT json_agg(json_build_object('column', c, 'now', w, 'then', t) ORDER BY n)"
        f" FROM (VALUES {values}) y(n, c, w, t, s) WHERE s = '{ValueVerdict.PUT_BACK}') AS x"
        f" FROM {table.judged} j WHERE j.{PICKED} ORDER BY {_by_key(table)} LIMIT {SHOWN_ROWS}) z"
    )
    found = session.ask(query, tuple[tuple[tuple[str, ...], tuple[PutValue, ...]], ...])
    return tuple(PutRow(key, values) for key, values in found)


def count_newer(session: Session, table: JudgedTable) -> int:
    """Return the number of live rows that the backup does not have."""
    return session.ask(f"SELECT to_json(count(*)) FROM {table.removed}", int)


def first_keys(session: Session, table: JudgedTable, source: str) -> tuple[tuple[str, ...], ...]:
    """Return the first keys, in their order, of the rows of a temporary table that has the alias `g`."""
    order = ", ".join(f"g.{identifier(name)}" for name in table.staged.key)
    keys = f"SELECT {table.staged.key_text('g')} AS k FROM {source} ORDER BY {order} LIMIT {SHOWN_ROWS}"
    return session.ask(f"SELECT coalesce(json_agg(k), '[]') FROM ({keys}) x", tuple[tuple[str, ...], ...])


def changed_again(
    session: Session, table: JudgedTable, after: StagedTable, *, left: bool
) -> tuple[int, tuple[ValueConflict, ...]]:
    """Return the number of values that were changed again since, and the first of them."""
    values = ", ".join(
        f"({n}, {literal(name)}, CAST(j.w{n} AS text), CAST(j.t{n} AS text), CAST(a.{identifier(name)} AS text),"
        f" substr(j.v, {n}, 1))"
        for n, name in enumerate(table.columns, 1)
    )
    query = (
        "SELECT coalesce(json_agg(json_build_object('kind', 'changed_again', 'table', "
        f"{literal(table.staged.live.name)}, 'key', k, 'column', c, 'then', t, 'after', a, 'now', w, 'left',"
        f" {str(left).lower()})), '[]') FROM (SELECT {table.key_text} AS k, y.* FROM {table.judged} j"
        f" LEFT JOIN {after.then} a ON {table.is_row('a')}, LATERAL (VALUES {values}) y(n, c, w, t, a, s)"
        f" WHERE s = '{ValueVerdict.AGAIN}' ORDER BY {_by_key(table)}, n LIMIT {SHOWN_ROWS}) z"
    )
    return count_verdicts(session, table, ValueVerdict.AGAIN), session.ask(query, tuple[ValueConflict, ...])


def count_verdicts(session: Session, table: JudgedTable, wanted: ValueVerdict) -> int:
    """Return the number of values with a verdict."""
    query = f"SELECT to_json(coalesce(sum(length(v) - length(replace(v, '{wanted}', ''))), 0)) FROM {table.judged} j"
    return session.ask(query, int)


def refused_row(session: Session, table: JudgedTable, row: int, words: tuple[str, str], *, left: bool) -> ValueConflict:
    """Return the conflict of a row that the live database does not take; `words` are its message and detail."""
    query = f"SELECT to_json({table.key_text}) FROM {table.judged} j WHERE {ROW} = {row}"
    key = session.ask(query, tuple[str, ...])
    message, detail = words
    return ValueConflict(
        kind=ValueConflictKind.REFUSED,
        table=table.staged.live.name,
        key=key,
        message=message,
        left=left,
        detail=detail,
    )


def _by_key(table: JudgedTable) -> str:
    return ", ".join(f"j.k{n}" for n, _ in enumerate(table.staged.key, 1))
