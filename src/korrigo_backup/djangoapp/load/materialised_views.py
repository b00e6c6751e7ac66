"""Materialised views over restored tables, filled anew inside the transaction of a load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import DatabaseError, connections, transaction

from korrigo_backup.djangoapp.load.insert import first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.djangoapp.fixture.tables import ModelTable

# Views and materialised views that read the tables, through any number of other views; the longest way counts, so that
# a view comes after those it reads. A view cannot read itself: the way ends.
_OVER = """
WITH RECURSIVE over (oid, depth) AS (
    SELECT unnest(%s::regclass[])::oid, 0
    UNION
    SELECT r.ev_class, o.depth + 1
    FROM over o JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = o.oid
                                AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> o.oid
)
SELECT c.oid::regclass::text FROM over o JOIN pg_class c ON c.oid = o.oid
WHERE c.relkind = 'm' AND c.relispopulated GROUP BY c.oid ORDER BY max(o.depth), 1
"""


def refresh(tables: Sequence[ModelTable], alias: str) -> list[str]:
    """Fill the materialised views over `tables`; return a sentence for each that could not be and stays as it was."""
    said: list[str] = []
    connection = connections[alias]
    if connection.vendor != "postgresql" or not tables:
        return said
    with connection.cursor() as cursor:
        cursor.execute(_OVER, [[connection.ops.quote_name(table.name) for table in tables]])
        for (name,) in cursor.fetchall():
            try:
                with transaction.atomic(using=alias):
                    cursor.execute(f"REFRESH MATERIALIZED VIEW {name}")
            except DatabaseError as problem:
                said.append(
                    f"the materialised view {name} was not refreshed: {first_line(problem)}:"
                    f" REFRESH MATERIALIZED VIEW {name}"
                )
    return said
