"""Deleted rows next to the rows that come back, which stay away, and the command that brings them back, too."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.rescue.closure import RowMark, linking_tables, refers_to, unpicked
from korrigo_backup.rescue.objects import written_object
from korrigo_backup.rescue.staged_rows import MARK, ROW

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedRows

Place = tuple[str, int]
"""A row of the backup: its table and number."""
_TYPED = 20
"""Rows that a command names; for more of them it names the table."""


@dataclass(frozen=True)
class TypedUndelete:
    """The command that was typed, for a hint: its objects, () for a table or a time; the dump of the plan."""

    objects: tuple[str, ...]
    source: str

    def of(self, objects: Collection[str]) -> str:
        """Return an undelete of some objects from the same dump."""
        return f"korrigo-backup undelete {' '.join(map(quote, objects))} --from {quote(self.source)}"

    def of_table(self, table: str) -> str:
        """Return an undelete of all deleted rows of a table."""
        return f"korrigo-backup undelete --table {quote(table)} --from {quote(self.source)}"


def rows_staying_away(rows: StagedRows, relations: Sequence[RowRelation], command: TypedUndelete) -> list[Finding]:
    """Return a warning for the deleted rows that refer to picked rows, or are linked with them, and stay away."""
    linking = linking_tables(rows, relations)
    found = []
    for table, objects in _apart(rows, relations).items():
        found.append(
            warning(
                "undelete.apart",
                f"deleted rows of {table} refer to these rows, and were not deleted with them: {first_of(objects)}",
                f"they stay away; to bring them back afterwards: {_bringing(command, table, objects)}",
            )
        )
    for table, objects in _linked(rows, relations, linking).items():
        found.append(
            warning(
                "undelete.apart",
                f"these rows were linked with deleted rows of {table}, which were not deleted with them:"
                f" {first_of(objects)}",
                f"these and the links stay away; to bring them back afterwards: {_bringing(command, table, objects)}",
            )
        )
    return found + _below_needed(rows, relations, command)


def tables_below_needed(rows: StagedRows, relations: Sequence[RowRelation]) -> set[str]:
    """Return the live tables, not staged, whose rows may refer to rows that come back only because others need them."""
    needed = {name for name, table in rows.tables.items() if rows.count(f"g.{MARK} = {RowMark.NEEDS}", table)}
    below = {one.table for one in relations if one.to in needed}
    return {name for name in below if name in rows.live and name not in rows.tables}


def _bringing(command: TypedUndelete, table: str, objects: Sequence[str]) -> str:
    return command.of(objects) if len(objects) <= _TYPED else command.of_table(table)


def _apart(rows: StagedRows, relations: Sequence[RowRelation]) -> dict[str, list[str]]:
    """Return by table the deleted rows that refer to a picked row, by a relation that a deletion leaves alone."""
    found: dict[str, set[str]] = {}
    for one in relations:
        both = rows.gone(one) if one.apart and not one.parent_link else None
        if both is None or not both[0].has_key:
            continue
        child, parent = both
        query = (
            f"SELECT coalesce(json_agg(DISTINCT {child.key_text('c')}), '[]') FROM {child.gone} c JOIN {parent.gone} p"
            f" ON {refers_to(one, 'c', 'p')} WHERE {unpicked('c')} AND p.{MARK} >= {RowMark.WITH}"
        )
        _add(found, one.table, rows.session.ask(query, list[tuple[str, ...]]))
    return _sorted(found)


def _linked(rows: StagedRows, relations: Sequence[RowRelation], linking: Collection[str]) -> dict[str, list[str]]:
    """Return by table the deleted rows that stay away, and that a row of many-to-many linked with a picked row."""
    found: dict[str, set[str]] = {}
    for one in relations:
        for other in relations:
            if one.table not in linking or other.table != one.table or other.columns == one.columns:
                continue
            near, far = rows.gone(one), rows.gone(other)
            if near is None or far is None or not far[1].has_key:
                continue
            query = (
                f"SELECT coalesce(json_agg(DISTINCT {far[1].key_text('q')}), '[]') FROM {near[0].gone} c"
                f" JOIN {near[1].gone} p ON {refers_to(one, 'c', 'p')}"
                f" JOIN {far[1].gone} q ON {refers_to(other, 'c', 'q')}"
                f" WHERE {unpicked('c')} AND {unpicked('q')} AND p.{MARK} >= {RowMark.WITH}"
            )
            _add(found, other.to, rows.session.ask(query, list[tuple[str, ...]]))
    return _sorted(found)


def _below_needed(rows: StagedRows, relations: Sequence[RowRelation], command: TypedUndelete) -> list[Finding]:
    """Return a warning for the deleted rows that refer to rows which come back only because others need them."""
    conditions: dict[str, list[str]] = {}
    starts = set[Place]()
    above: dict[Place, set[Place]] = {}
    for one in relations:
        both = rows.gone(one) if not one.apart and not one.parent_link else None
        if both is None or not both[0].has_key or not both[1].has_key:
            continue
        child, parent = both
        refers = refers_to(one, "c", "p")
        needed = f"p.{MARK} = {RowMark.NEEDS}"
        below = f"EXISTS (SELECT FROM {child.gone} c WHERE {unpicked('c')} AND {refers})"
        query = f"SELECT p.{ROW} FROM {parent.gone} p WHERE {needed} AND {below}"
        if numbers := rows.session.run(query).split():
            conditions.setdefault(one.table, []).append(
                f"EXISTS (SELECT FROM {parent.gone} p WHERE {needed} AND {refers_to(one, 'g', 'p')})"
            )
            starts |= {(one.to, int(row)) for row in numbers}
        pairs = (
            f"SELECT coalesce(json_agg(json_build_array(c.{ROW}, p.{ROW})), '[]') FROM {child.gone} c"
            f" JOIN {parent.gone} p ON {refers} WHERE c.{MARK} = {RowMark.NEEDS} AND {needed}"
        )
        for low, high in rows.session.ask(pairs, list[tuple[int, int]]):
            above.setdefault((one.table, low), set()).add((one.to, high))
    if not starts:
        return []
    counts = {
        table: rows.count(f"{unpicked('g')} AND ({' OR '.join(those)})", rows.tables[table])
        for table, those in conditions.items()
    }
    tops = _tops(starts, above)
    tables = sorted({table for table, _ in tops})
    named = [
        written_object(table, key)
        for table in tables
        for key in _keys(rows, table, [row for name, row in tops if name == table])
    ]
    bringing = command.of_table(tables[0]) if len(named) > _TYPED else command.of([*command.objects, *named])
    listed = ", ".join(f"{count} of {table}" for table, count in sorted(counts.items()))
    return [
        warning(
            "undelete.below",
            f"deleted rows refer to rows that come back only because others need them, and stay away: {listed}",
            f"in place of this command: {bringing}; if it is carried out already: korrigo-backup rollback first",
        )
    ]


def _tops(starts: set[Place], above: Mapping[Place, set[Place]]) -> set[Place]:
    """Return the rows above which no other needed row is; for a circle its rows among `starts`."""
    found, seen, waiting = set[Place](), set(starts), list(starts)
    while waiting:
        place = waiting.pop()
        higher = above.get(place, set())
        if not higher:
            found.add(place)
        waiting += higher - seen
        seen |= higher
    return found or starts


def _keys(rows: StagedRows, table: str, numbers: Sequence[int]) -> list[tuple[str, ...]]:
    staged = rows.tables[table]
    wanted = ", ".join(map(str, numbers))
    keys = f"SELECT {staged.key_text('g')} AS k FROM {staged.gone} g WHERE g.{ROW} IN ({wanted}) ORDER BY g.{ROW}"
    found = rows.session.ask(f"SELECT coalesce(json_agg(k), '[]') FROM ({keys}) x", list[tuple[str | None, ...]])
    return [tuple(one or "" for one in key) for key in found]


def _add(found: dict[str, set[str]], table: str, keys: Sequence[tuple[str, ...]]) -> None:
    if keys:
        found.setdefault(table, set()).update(written_object(table, key) for key in keys)


def _sorted(found: Mapping[str, set[str]]) -> dict[str, list[str]]:
    return {table: sorted(objects) for table, objects in sorted(found.items())}
