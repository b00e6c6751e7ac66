"""References of live rows that a deletion has emptied are set again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.postgres.site_path import lines_with_site_path
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.closure import linked
from korrigo_backup.rescue.steps.transaction import content_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedRows
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
        child, parent = rows.tables[relation.table], rows.tables[relation.to]
        values = ", ".join(f"{identifier(name)} = t.{identifier(name)}" for name in relation.columns)
        content = f"ROW({', '.join(f'u.{identifier(name)}' for name in relation.columns)})::text"
        names = ", ".join(map(literal, relation.columns))
        empty = " AND ".join(f"u.{identifier(name)} IS NULL" for name in relation.columns)
        yield lines_with_site_path(
            f"UPDATE ONLY {child.live.sql} u SET {values} FROM {child.then} t WHERE {child.same('u', 't')} AND {empty}"
            f" AND {child.key_text('u')} IN (SELECT {child.key_text('l')} FROM {linked(relation, child, parent)})",
            f"json_build_object('table', {number}, 'key', {child.key_text('u')},"
            f" 'hash', {content_hash(content)}::text, 'link', json_build_array({names}))",
        )
