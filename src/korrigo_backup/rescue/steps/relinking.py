"""References of live rows that a deletion has emptied are set again: the columns that are NULL, and no other."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from korrigo_backup.postgres.site_path import lines_with_site_path
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.closure import linked
from korrigo_backup.rescue.steps.transaction import content_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedRows, StagedTable
    from korrigo_backup.rescue.undelete_plan import EmptiedLink


def relinking(
    rows: StagedRows, relations: Sequence[RowRelation], links: Sequence[EmptiedLink], first: int
) -> Iterator[str]:
    """Yield the statements that set emptied references; their tables in the record begin at `first`."""
    for number, link in enumerate(links, first):
        relation = next(
            one
            for one in relations
            if (one.table, one.columns, one.to) == (link.table, link.columns, link.to) and not one.generic
        )
        child = rows.tables[relation.table]
        nullable = [name for name in relation.columns if name in child.live.nullable]
        for size in range(1, len(nullable) + 1):
            for empty in combinations(nullable, size):
                filled = [name for name in nullable if name not in empty]
                yield _setting(relation, child, rows.tables[relation.to], number, empty, filled)


def _setting(
    relation: RowRelation,
    child: StagedTable,
    parent: StagedTable,
    number: int,
    empty: Sequence[str],
    filled: Sequence[str],
) -> str:
    """Return the statement for the rows in which some columns of the reference are NULL, and these others are not."""
    values = ", ".join(f"{identifier(name)} = c.{identifier(name)}" for name in empty)
    content = f"ROW({', '.join(f'u.{identifier(name)}' for name in empty)})::text"
    saved = ", ".join(f"t.{identifier(name)}" for name in empty)
    now = [f"u.{identifier(name)} IS NULL" for name in empty] + [f"u.{identifier(name)} IS NOT NULL" for name in filled]
    return lines_with_site_path(
        f"UPDATE ONLY {child.live.sql} u SET {values} FROM (SELECT l.ctid AS place, {saved} FROM"
        f" {linked(relation, child, parent)}) c WHERE u.ctid = c.place AND {' AND '.join(now)}",
        f"json_build_object('table', {number}, 'key', {child.key_text('u')}, 'hash', {content_hash(content)}::text,"
        f" 'link', json_build_array({', '.join(map(literal, empty))}))",
    )
