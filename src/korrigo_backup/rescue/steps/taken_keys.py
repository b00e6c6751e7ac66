"""Live rows with the key of a row of the backup that belongs to the rows that come back, and with other values.

Nobody can tell by the data whether such a row is another one, made with the same key, or the same one, changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.rescue.closure import PICKED, RowMark, emptied, refers_to
from korrigo_backup.rescue.objects import written_object
from korrigo_backup.rescue.staged_rows import MARK, OVER, ROW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedRows, StagedTable


@dataclass(frozen=True)
class TakenKey:
    """A live row of `table` in the way; `child` is the row (table and number) that is one object with it, if any."""

    table: str
    key: tuple[str, ...]
    words: str
    child: tuple[str, int] | None = None


def taken_parts(rows: StagedRows, relations: Sequence[RowRelation]) -> list[TakenKey]:
    """Return the live rows with other values that are one object with a picked row (multi-table inheritance)."""
    found = []
    for relation in relations:
        both = rows.gone(relation) if relation.parent_link else None
        if both is None or not both[1].has_key:
            continue
        child, parent = both
        query = (
            f"SELECT coalesce(json_agg(json_build_array({parent.key_text('l')}, g.{ROW})), '[]') FROM {child.gone} g"
            f" JOIN {parent.then} t ON {refers_to(relation, 'g', 't')}"
            f" JOIN ONLY {parent.live.sql} l ON {parent.same('l', 't')} WHERE g.{PICKED} AND NOT g.{OVER}"
            f" AND {parent.content('l')} <> {parent.content('t')} AND {_stays(parent)}"
        )
        words = f"the key is taken by a live row with other values; a row of {child.live.name} is one object with it"
        found += [
            TakenKey(parent.live.name, key, words, (child.live.name, row))
            for key, row in rows.session.ask(query, list[tuple[tuple[str, ...], int]])
        ]
    return found


def taken_keys(rows: StagedRows, relations: Sequence[RowRelation], *, cascades: bool) -> list[TakenKey]:
    """Return the live rows whose saved namesakes refer to picked rows, and that refer to others.

    `cascades`: those that a deletion deletes, else those whose references it empties.
    """
    found = list[TakenKey]()
    for relation in relations:
        both = rows.gone(relation) if relation.cascades is cascades and not relation.parent_link else None
        if both is None or not both[0].has_key or set(relation.columns) <= set(both[0].key):
            continue
        child, parent = both
        columns = ", ".join(relation.columns)
        query = (
            f"SELECT coalesce(json_agg(DISTINCT {child.key_text('l')}), '[]') FROM {parent.gone} g"
            f" JOIN {child.then} t ON {refers_to(relation, 't', 'g')}"
            f" JOIN ONLY {child.live.sql} l ON {child.same('l', 't')} WHERE g.{PICKED} AND g.{MARK} >= {RowMark.WITH}"
            f" AND NOT coalesce({refers_to(relation, 'l', 'g')}, false) AND NOT ({emptied(relation, child)})"
            f" AND {_stays(child)}"
        )
        words = f"the key is taken by a live row, which refers to another row of {parent.live.name} ({columns})"
        found += [TakenKey(child.live.name, key, words) for key in rows.session.ask(query, list[tuple[str, ...]])]
    return list({(one.table, one.key): one for one in found}.values())


def rows_elsewhere(rows: StagedRows, relations: Sequence[RowRelation]) -> list[Finding]:
    """Return a warning for live rows that referred to picked rows, and whose references have other values now."""
    by_table = dict[str, list[str]]()
    for one in taken_keys(rows, relations, cascades=False):
        by_table.setdefault(one.table, []).append(written_object(one.table, one.key))
    return [
        warning(
            "undelete.elsewhere",
            f"live rows referred to these rows, and their references have other values now: {first_of(objects)}",
            f"they stay as they are now; --overwrite {quote(objects[0])} makes a row that of the backup",
        )
        for objects in by_table.values()
    ]


def _stays(table: StagedTable) -> str:
    """Return the condition that a live row `l` is not overwritten by a picked row."""
    return f"NOT EXISTS (SELECT FROM {table.gone} q WHERE q.{OVER} AND q.{PICKED} AND {table.same('q', 'l')})"
