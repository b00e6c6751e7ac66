"""Foreign keys checked at the end of a load, the rows that break them named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, connections, models, transaction

from korrigo_backup.djangoapp.insert import first_line
from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.djangoapp.tables import Table

NAMED = 20
"""Rows that an error names; the first few show what is wrong."""


def check(tables: Sequence[Table], alias: str) -> None:
    """Check every foreign key of the database now. Raises ProofFailed naming the rows whose target is not there."""
    connection = connections[alias]
    try:
        with transaction.atomic(using=alias):
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            else:
                connection.check_constraints()
    except IntegrityError as problem:
        named = [text for table in tables for text in _offenders(table, alias)][:NAMED]
        raise ProofFailed(
            f"rows refer to rows that are not in the backup: {'; '.join(named) or first_line(problem)}",
            hint="make the backup again without --exclude, or use another (korrigo-backup list)",
            state="the restore was rolled back: the site is as before",
        ) from None


def _offenders(table: Table, alias: str) -> Iterator[str]:
    for column in table.columns:
        field = column.field
        if not field.is_relation or not field.db_constraint:
            continue
        target = models.QuerySet(field.remote_field.model, using=alias)
        values = target.filter(**{field.target_field.attname: models.OuterRef(column.attname)})
        rows: Any = models.QuerySet(table.model, using=alias).order_by().exclude(**{column.attname: None})
        broken = rows.filter(~models.Exists(values)).values_list("pk", column.attname)
        for pk, value in broken[:NAMED]:
            yield f"{table.label} pk={pk} {column.name}={value}"
