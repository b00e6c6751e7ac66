"""Foreign keys checked at the end of a load, the rows that break them named."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, connections, models, transaction

from korrigo_backup.djangoapp.insert import first_line
from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.djangoapp.tables import Table

NAMED = 20
"""Rows that an error names; the others are counted."""

_COUNTED = 10_000


_WITHIN = """
SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid),
       quote_literal(obj_description(oid, 'pg_constraint'))
FROM pg_constraint
WHERE contype = 'f' AND conparentid = 0 AND conrelid = ANY(%s::regclass[]) AND confrelid = ANY(%s::regclass[])
  AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid IN (conrelid, confrelid) AND (c.relkind = 'p' OR c.relispartition))
  AND pg_has_role((SELECT relowner FROM pg_class WHERE pg_class.oid = confrelid), 'USAGE')
"""

# A check that is NOT VALID holds for new rows alone: saved rows may break it.
_NOT_VALID = """
SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid),
       quote_literal(obj_description(oid, 'pg_constraint'))
FROM pg_constraint
WHERE contype = 'c' AND NOT convalidated AND conislocal AND coninhcount = 0 AND conrelid = ANY(%s::regclass[])
"""


@dataclass(frozen=True)
class Constraint:
    """A constraint that was taken away: table, name, definition and quoted comment (None: no comment), as SQL."""

    table: str
    name: str
    definition: str
    comment: str | None


@contextmanager
def checked(tables: Sequence[Table], alias: str, *, aside: Sequence[Constraint] | None) -> Iterator[None]:
    """Check all foreign keys at the end of the block. Raises ProofFailed naming the rows whose target is not there.

    With `aside`, those among `tables` are taken away, and made again at the end with those of `aside`, as pg_dump's
    files do: PostgreSQL checks each with one join, where it would otherwise look every row up. The caller's
    transaction holds them alone.
    """
    connection = connections[alias]
    if aside is None:
        yield
        check(tables, alias)
        return
    names = [connection.ops.quote_name(table.name) for table in tables]
    with connection.cursor() as cursor:
        cursor.execute(_WITHIN, [names, names])
        within = [Constraint(*row) for row in cursor.fetchall()]
        cursor.execute(_NOT_VALID, [names])
        within += [Constraint(*row) for row in cursor.fetchall()]
        for one in within:
            cursor.execute(f"ALTER TABLE {one.table} DROP CONSTRAINT {one.name}")
        yield
        check(tables, alias)
        with _named(tables, alias), transaction.atomic(using=alias):
            for one in (*within, *aside):
                cursor.execute(f"ALTER TABLE {one.table} ADD CONSTRAINT {one.name} {one.definition}")
                if one.comment:
                    cursor.execute(f"COMMENT ON CONSTRAINT {one.name} ON {one.table} IS {one.comment}")


def check(tables: Sequence[Table], alias: str) -> None:
    """Check every foreign key of the database now. Raises ProofFailed naming the rows whose target is not there."""
    connection = connections[alias]
    with _named(tables, alias), transaction.atomic(using=alias):
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        else:
            connection.check_constraints()


@contextmanager
def _named(tables: Sequence[Table], alias: str) -> Iterator[None]:
    """Turn a constraint that is broken in the block into an error that names the rows, up to a limit."""
    try:
        yield
    except IntegrityError as problem:
        found = list(islice((text for table in tables for text in _offenders(table, alias)), _COUNTED + 1))
        more = f" and {'more than ' * (len(found) > _COUNTED)}{min(len(found), _COUNTED) - NAMED} more"
        named = "; ".join(found[:NAMED]) + (more if len(found) > NAMED else "")
        raise ProofFailed(
            f"rows refer to rows that are not in the backup: {named or first_line(problem)}",
            hint="give the rows of the site their targets, or remove them, and make the backup again without --exclude;"
            " or use another (korrigo-backup list)",
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
        for pk, value in broken[: _COUNTED + 1]:
            yield f"{table.label} pk={pk} {column.name}={value}"
