"""The rows that belong to deleted objects: those deleted with them, and those that they need.

All of it is decided by the server on the temporary tables of `staged_rows`. A row is picked once, by the strongest
reason: `ROOT` was asked for, `WITH` was deleted with a picked row to which it refers, `NEEDS` is referred to by a
picked row and is not live. Three kinds of deleted rows are not picked: those that refer to a row which is only needed;
those that refer by a relation that a deletion leaves alone; rows that do nothing but link (many-to-many) with a row
that stays away. `steps.staying_away` names them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from korrigo_backup.postgres.foreign_keys import equal
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.rescue.staged_rows import LEVEL, MARK, OVER, ROW, VIA
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedRows, StagedTable


class RowMark(IntEnum):
    """Why a row is picked; a greater number wins."""

    NEEDS = 1
    WITH = 2
    ROOT = 3


PICKED = f"{MARK} IS NOT NULL"
_BARRED = -1
"""The level of a row that stays away: no round picks it."""


@dataclass(frozen=True)
class LinkedRow:
    """A live row whose reference was emptied by the deletion: its key, and the relation."""

    relation: int
    key: tuple[str, ...]


@phase("closure")
def close(rows: StagedRows, relations: Sequence[RowRelation]) -> None:
    """Pick all rows that belong to the roots, which are marked with level 0."""
    level = 0
    linking = linking_tables(rows, relations)
    while True:
        level += 1
        steps = [step for number, one in enumerate(relations) for step in _steps(rows, one, number, level, linking)]
        if not steps or not sum(map(int, rows.session.run("; ".join(steps)).split())):
            break
    for one in relations:
        if one.table in linking and (both := rows.gone(one)):
            rows.session.run(
                f"UPDATE {both[0].gone} c SET {MARK} = NULL, {LEVEL} = NULL FROM {both[1].gone} p"
                f" WHERE c.{MARK} = {RowMark.WITH} AND p.{MARK} IS NULL AND NOT p.{OVER} AND {refers_to(one, 'c', 'p')}"
            )


def _steps(rows: StagedRows, relation: RowRelation, number: int, level: int, linking: Collection[str]) -> list[str]:
    """Return the statements that pick along a relation the rows next to those of the round before."""
    if (both := rows.gone(relation)) is None:
        return []
    child, parent = both
    refers, last = refers_to(relation, "c", "p"), level - 1
    set_ = f"{VIA} = {number}, {LEVEL} = {level}"
    down, up = f"{RowMark.WITH}", f"{RowMark.NEEDS}"
    least = RowMark.ROOT if relation.table in linking else RowMark.NEEDS
    from_parent, from_child = f"p.{MARK} >= {RowMark.WITH}", f"c.{MARK} >= {least}"
    if relation.parent_link:  # two rows, one object: both have the same mark, except that of a root
        down, up = (f"least({alias}.{MARK}, {RowMark.WITH})" for alias in "pc")
        from_parent = f"p.{MARK} >= {RowMark.NEEDS}"
    down_step = (
        f"UPDATE {child.gone} c SET {MARK} = {down}, {set_} FROM {parent.gone} p WHERE p.{LEVEL} = {last}"
        f" AND {from_parent} AND coalesce(c.{MARK}, 0) < {down} AND {_free('c')} AND {refers}"
    )
    up_step = (
        f"UPDATE {parent.gone} p SET {MARK} = {up}, {set_} FROM {child.gone} c WHERE c.{LEVEL} = {last}"
        f" AND {from_child} AND coalesce(p.{MARK}, 0) < {up} AND {_free('p')} AND {refers}"
    )
    if relation.apart and not relation.parent_link:  # only a live row that was named to be overwritten
        down_step += f" AND c.{OVER}"
    return [f"WITH u AS ({step} RETURNING 1) SELECT count(*) FROM u" for step in (down_step, up_step)]


def _free(alias: str) -> str:
    return f"{alias}.{LEVEL} IS DISTINCT FROM {_BARRED}"


def unpicked(alias: str) -> str:
    """Return the condition that a deleted row is not picked, and was not left out either."""
    return f"{alias}.{MARK} IS NULL AND NOT {alias}.{OVER} AND {_free(alias)}"


def linking_tables(rows: StagedRows, relations: Sequence[RowRelation]) -> frozenset[str]:
    """Return the tables whose rows only link rows of others: no column but the key and two references or more.

    Nothing refers to their rows, and the deletion of either end deletes them.
    """
    referred = {one.to for one in relations}
    found = set[str]()
    for name, table in rows.tables.items():
        mine = [one for one in relations if one.table == name]
        ends = {one.columns for one in mine}
        if name in referred or len(ends) < 2 or any(one.apart or one.generic or one.parent_link for one in mine):  # noqa: PLR2004 - both ends
            continue
        if set(table.live.columns) <= {*table.live.key, *chain.from_iterable(ends)}:
            found.add(name)
    return frozenset(found)


def refers_to(relation: RowRelation, child: str, parent: str) -> str:
    """Return the condition that a row `child` refers to a row `parent` by a relation."""
    pairs = [*zip(map(identifier, relation.columns), map(identifier, relation.to_columns), strict=True)]
    if relation.generic:
        texts = " AND ".join(f"{child}.{mine}::text = {parent}.{theirs}::text" for mine, theirs in pairs)
        return f"{child}.{identifier(relation.type_column)} = {relation.content_type} AND {texts}"
    return " AND ".join(
        equal(equality, f"{parent}.{theirs}", f"{child}.{mine}")
        for (mine, theirs), equality in zip_longest(pairs, relation.equalities)
    )


def dangling(rows: StagedRows, relations: Sequence[RowRelation]) -> list[tuple[int, str, int]]:
    """Return relation, table and number of each picked row that refers to a row which is neither live nor picked."""
    found = []
    looked = set[tuple[object, ...]]()
    for number, one in enumerate(relations):
        if one.parts and (one.table, one.columns, one.parts) in looked:
            continue
        looked.add((one.table, one.columns, one.parts))
        if not one.constrained or (condition := _dangles(rows, one)) is None:
            continue
        child = rows.tables[one.table]
        numbers = rows.session.run(f"SELECT g.{ROW} FROM {child.gone} g WHERE g.{PICKED} AND {condition}").split()
        found += [(number, one.table, int(row)) for row in numbers]
    return found


def _dangles(rows: StagedRows, relation: RowRelation) -> str | None:
    """Return the condition over alias `g` that the row referred to is nowhere, None if the relation is not staged."""
    child = rows.tables.get(relation.table)
    if child is None or not set(relation.columns) <= set(child.columns):
        return None
    if relation.to not in rows.live:
        return None
    filled = " AND ".join(f"g.{identifier(name)} IS NOT NULL" for name in relation.columns)
    if relation.generic:
        filled += f" AND g.{identifier(relation.type_column)} = {relation.content_type}"
    for name in relation.parts or (relation.to,):
        if live := rows.live.get(name):
            filled += f" AND NOT EXISTS (SELECT FROM ONLY {live.sql} l WHERE {refers_to(relation, 'g', 'l')})"
        parent = rows.tables.get(name)
        if parent and set(relation.to_columns) <= set(parent.columns):
            among = f"SELECT FROM {parent.gone} q WHERE q.{PICKED} AND {refers_to(relation, 'g', 'q')}"
            filled += f" AND NOT EXISTS ({among})"
    return filled


def leave_out(rows: StagedRows, relations: Sequence[RowRelation], left: Sequence[tuple[str, int]]) -> None:
    """Leave rows out, by table and number, with the other parts of their objects."""
    by_table: dict[str, list[str]] = {}
    for table, row in left:
        by_table.setdefault(table, []).append(str(row))
    barred = f"{MARK} = NULL, {LEVEL} = {_BARRED}"
    for table, numbers in by_table.items():
        rows.session.run(f"UPDATE {rows.tables[table].gone} SET {barred} WHERE {ROW} IN ({', '.join(numbers)})")
    steps = []
    for one in relations:
        if one.parent_link and (both := rows.gone(one)):
            for mine, other in (both, both[::-1]):
                refers = refers_to(one, "a", "b") if mine is both[0] else refers_to(one, "b", "a")
                steps.append(
                    f"WITH u AS (UPDATE {mine.gone} a SET {barred} FROM {other.gone} b WHERE b.{LEVEL} = {_BARRED}"
                    f" AND {_free('a')} AND {refers} RETURNING 1) SELECT count(*) FROM u"
                )
    while steps and sum(map(int, rows.session.run("; ".join(steps)).split())):
        pass


def close_again(rows: StagedRows, relations: Sequence[RowRelation]) -> None:
    """Pick from the roots again, without the rows that were left out, and those that came only for their sake."""
    for staged in rows.tables.values():
        rows.session.run(f"UPDATE {staged.gone} SET {MARK} = NULL, {VIA} = NULL, {LEVEL} = NULL WHERE {LEVEL} > 0")
    close(rows, relations)


@phase("links")
def links(rows: StagedRows, relations: Sequence[RowRelation]) -> list[LinkedRow]:
    """Return the live rows that referred to a picked row, and refer to none now."""
    found = []
    for number, one in enumerate(relations):
        both = None if one.generic else rows.gone(one)
        if both is None or set(one.columns) <= set(both[0].key) or not both[0].has_key:
            continue
        child, parent = both
        keys = f"SELECT {child.key_text('t')} AS k FROM {linked(one, child, parent)}"
        query = f"SELECT coalesce(json_agg(k), '[]') FROM ({keys}) x"
        found += [LinkedRow(number, key) for key in rows.session.ask(query, tuple[tuple[str, ...], ...])]
    return found


def linked(relation: RowRelation, child: StagedTable, parent: StagedTable) -> str:
    """Return the FROM of the live rows (alias `l`, then `t`) whose reference to a picked row (`p`) was emptied."""
    return (
        f"{parent.gone} p JOIN {child.then} t ON {refers_to(relation, 't', 'p')}"
        f" JOIN ONLY {child.live.sql} l ON {child.same('l', 't')} WHERE p.{PICKED} AND {emptied(relation, child)}"
        f" AND NOT EXISTS (SELECT FROM {child.gone} q WHERE q.{OVER} AND q.{PICKED} AND {child.same('q', 'l')})"
    )


def emptied(relation: RowRelation, child: StagedTable) -> str:
    """Return the condition that a live row `l` has the reference of the backup's row `t`, but for values that are NULL.

    A deletion may empty some columns of a reference alone: ON DELETE SET NULL (column).
    """
    pairs = [(name, f"l.{identifier(name)}", f"t.{identifier(name)}") for name in relation.columns]
    some = " OR ".join(f"{now} IS NULL" for _, now, _ in pairs)
    rest = " AND ".join(f"({now} IS NULL OR {child.live.equal(name, now, then)})" for name, now, then in pairs)
    return f"({some}) AND {rest}" if len(pairs) > 1 else some
