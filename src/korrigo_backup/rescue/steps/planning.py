"""The parts of an undelete's plan, read from the staged rows."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.closure import PICKED, RowMark, links, refers_to
from korrigo_backup.rescue.objects import written_object
from korrigo_backup.rescue.staged_rows import MARK, OVER
from korrigo_backup.rescue.undelete_plan import SHOWN_ROWS, EmptiedLink, PlannedRow, PlannedTable, Why

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedRows, StagedTable
    from korrigo_backup.rescue.steps.roots import Roots

_WHY = {RowMark.ROOT: Why.ASKED, RowMark.WITH: Why.WITH, RowMark.NEEDS: Why.NEEDED}


def planned_table(rows: StagedRows, table: StagedTable) -> PlannedTable:
    """Return the picked rows of a table for the plan."""
    numbers = {mark: rows.count(f"g.{MARK} = {mark}", table) for mark in RowMark}
    cast = "" if table.has_key else "::text"  # the columns of a table without a key may have no order
    order = ", ".join(f"g.{identifier(one)}{cast}" for one in table.key)
    query = (
        "SELECT coalesce(json_agg(json_build_array(k, m, n)), '[]') FROM (SELECT"
        f" {table.key_text('g')} AS k, g.{MARK} AS m, {table.name_text('g')} AS n FROM {table.gone} g"
        f" WHERE g.{PICKED} ORDER BY g.{MARK} DESC, {order} LIMIT {SHOWN_ROWS}) x"
    )
    found = rows.session.ask(query, tuple[tuple[tuple[str | None, ...], int, str | None], ...])
    return PlannedTable(
        table.live.name,
        numbers[RowMark.ROOT],
        numbers[RowMark.WITH],
        numbers[RowMark.NEEDS],
        table.key if table.has_key else (),
        tuple(PlannedRow(tuple(k or "" for k in key), _WHY[RowMark(mark)], name) for key, mark, name in found),
    )


def emptied_links(rows: StagedRows, relations: Sequence[RowRelation]) -> list[EmptiedLink]:
    """Return the live rows whose references to picked rows the deletion has emptied."""
    by_relation: dict[int, list[tuple[str, ...]]] = {}
    for link in links(rows, relations):
        by_relation.setdefault(link.relation, []).append(link.key)
    return [
        EmptiedLink(relations[n].table, relations[n].columns, relations[n].to, tuple(keys))
        for n, keys in by_relation.items()
    ]


def changed_parents(rows: StagedRows, relations: Sequence[RowRelation]) -> list[Finding]:
    """Return a warning for each table with live rows that picked rows refer to and that have changed since."""
    found: dict[str, dict[str, set[str]]] = {}
    for relation in relations:
        both = None if relation.generic else rows.gone(relation)
        if both is None or not both[1].has_key:
            continue
        child, parent = both
        for key, column in rows.session.ask(
            _changed_columns(relation, child, parent), list[tuple[tuple[str, ...], str]]
        ):
            found.setdefault(parent.live.name, {}).setdefault(written_object(parent.live.name, key), set()).add(column)
    return [
        warning(
            "undelete.parent_changed",
            f"rows of {name} to which these rows refer have changed since:"
            f" {', '.join(sorted(set().union(*changed.values())))}",
            f"they stay as they are now; --overwrite {quote(min(changed))} makes a row that of the backup",
        )
        for name, changed in found.items()
    ]


def not_described(roots: Roots, live: Mapping[str, TableLayout]) -> list[Finding]:
    """Return a warning if only the database's own foreign keys are known, and the site runs on Django."""
    if not roots.not_asked or not any(one.table == "django_content_type" for one in live.values()):
        return []
    return [
        warning(
            "undelete.no_django",
            f"only foreign keys of the database are followed, the site's Django was not asked: {roots.not_asked}",
            "references without a constraint, inheritance and generic relations are not known: set [django] manage",
        )
    ]


def _changed_columns(relation: RowRelation, child: StagedTable, parent: StagedTable) -> str:
    columns = ", ".join(map(literal, parent.columns))
    return (
        f"SELECT coalesce(json_agg(DISTINCT jsonb_build_array({parent.key_text('l')}, e.key)), '[]') FROM"
        f" {child.gone} g JOIN {parent.then} t ON {refers_to(relation, 'g', 't')}"
        f" JOIN ONLY {parent.live.sql} l ON {parent.same('l', 't')}, jsonb_each(to_jsonb(t.*)) e"
        f" WHERE g.{PICKED} AND e.value IS DISTINCT FROM to_jsonb(l.*) -> e.key AND e.key IN ({columns})"
        f" AND NOT EXISTS (SELECT FROM {parent.gone} q WHERE q.{OVER} AND q.{PICKED} AND {parent.same('q', 'l')})"
    )
