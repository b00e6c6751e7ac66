"""Content types that were numbered anew since the backup: a generic relation would join rows of different objects."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.errors import Refused
from korrigo_backup.postgres.foreign_keys import CONTENT_TYPES, content_types
from korrigo_backup.postgres.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedRows


def require_same_numbers(rows: StagedRows, relations: Sequence[RowRelation], artifact: str) -> None:
    """Raise Refused if deleted rows name a model by a number that is not its live number."""
    table = next((one for one in rows.tables.values() if one.live.table == CONTENT_TYPES), None)
    if table is None:
        return
    then = content_types(rows.session, table.then)
    models = {number: model for model, number in content_types(rows.session, table.live.sql).items()}
    for one in relations:
        child = rows.tables.get(one.table)
        model = models.get(one.content_type)
        if not one.generic or child is None or model is None or one.type_column not in child.columns:
            continue
        before = then.get(model)
        if before == one.content_type:
            continue
        numbers = ", ".join(str(number) for number in (one.content_type, before) if number is not None)
        query = f"SELECT FROM {child.gone} g WHERE g.{identifier(one.type_column)} IN ({numbers})"
        if rows.session.ask(f"SELECT to_json(EXISTS ({query}))", bool):
            label = ".".join(model)
            raise Refused(
                f"{label} has another number in {CONTENT_TYPES} than in {artifact}: the rows of {one.table} in the"
                " backup would be joined to other objects",
                hint=f"look at the rows of then beside the site: korrigo-backup drill {quote(artifact)} --keep",
                id_="undelete.content_types",
            )
