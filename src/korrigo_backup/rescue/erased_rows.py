"""Rows of a backup, staged in temporary tables, that were erased on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.erasure.erased import ErasedKeys
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.staged_rows import StagedTable


def erased_among(
    session: Session, erased: ErasedKeys, table: StagedTable, source: str, *, named: str = "ctid"
) -> Iterator[str]:
    """Yield column `named` of each erased row of a temporary table of `table`; `source` is it, with a condition."""
    for columns in erased.tables.get(table.live.name, {}):
        if not set(columns) <= set(table.columns):
            continue
        cells = ", ".join(map(identifier, columns))
        copied = f"COPY (SELECT {named}, {cells} FROM {source}) TO STDOUT (ENCODING 'UTF8')"
        lines = session.run(f"BEGIN; SET LOCAL timezone = 'UTC'; {copied}; COMMIT").splitlines()
        for found, *key in (line.split(b"\t") for line in lines):
            if erased.holds(table.live.name, dict(zip(columns, key, strict=True))):
                yield found.decode()


def take_out(session: Session, erased: ErasedKeys, table: StagedTable) -> int:
    """Remove the erased rows from the temporary tables of `table`; return their number."""
    places = sorted(set(erased_among(session, erased, table, table.then)))
    if places:
        listed = ", ".join(map(literal, places))
        session.run(
            f"DELETE FROM {table.then} WHERE ctid = ANY (ARRAY[{listed}]::tid[]); DELETE FROM {table.gone} g"
            f" WHERE NOT EXISTS (SELECT FROM {table.then} t WHERE {table.same('g', 't')})"
        )
    return len(places)
