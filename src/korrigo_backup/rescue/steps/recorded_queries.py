"""Parts of questions about the inserted rows of a record: their number, their keys and their content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.postgres.sql import identifier
from korrigo_backup.rescue.steps.transaction import content_hash

if TYPE_CHECKING:
    from korrigo_backup.recovery.undelete import RecordedTable

COUNTS = (
    "SELECT coalesce(json_agg(json_build_array(number, count) ORDER BY number), '[]') FROM"
    " (SELECT number, count(*) FROM pg_temp.korrigo_backup_undo_rows WHERE link = '{}' AND hash IS"
    " NOT NULL GROUP BY number) c"
)
"""The numbers of the tables with recorded rows that were inserted, each with their count."""


NTH = (
    "SELECT r.number, r.key, r.hash, row_number() OVER (PARTITION BY r.number, r.key, r.hash) AS nth"
    " FROM pg_temp.korrigo_backup_undo_rows r WHERE r.link = '{}' AND r.hash IS NOT NULL"
)
"""The recorded rows; equal rows are numbered."""


def keyless(table: RecordedTable) -> bool:
    """Return whether all columns are the key, so that rows may be equal."""
    return set(table.columns) <= set(table.key)


def nth(table: RecordedTable) -> str:
    """Return the number of a live row `l` among those with its key."""
    return f"row_number() OVER (PARTITION BY {texts(table.key, 'l')})" if keyless(table) else "1"


def texts(names: tuple[str, ...], alias: str) -> str:
    """Return the array of the texts of columns."""
    return f"ARRAY[{', '.join(f'{alias}.{identifier(name)}::text' for name in names)}]::text[]"


def row_hash(names: tuple[str, ...], alias: str) -> str:
    """Return the hash of columns of a row, as the record has it."""
    return content_hash(f"ROW({', '.join(f'{alias}.{identifier(name)}' for name in names)})::text")
