"""Constraints during a load: taken away where rows may break them, and made again at its end, the rows named."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, IntegrityError, OperationalError, connections, models, transaction

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.djangoapp.load.insert import first_line
from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.djangoapp.fixture.tables import ModelTable

NAMED = 20
"""Rows that an error names; the others are counted."""

_COUNTED = 10_000

_DEFINED = """
SELECT CASE WHEN contypid <> 0 THEN 'DOMAIN ' || contypid::regtype ELSE 'TABLE ' || conrelid::regclass END,
       quote_ident(conname), pg_get_constraintdef(oid), quote_literal(obj_description(oid, 'pg_constraint'))
FROM pg_constraint
"""

_WITHIN = f"""{_DEFINED}
WHERE contype = 'f' AND conparentid = 0 AND conrelid = ANY(%s::regclass[]) AND confrelid = ANY(%s::regclass[])
  AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid IN (conrelid, confrelid) AND (c.relkind = 'p' OR c.relispartition))
  AND pg_has_role((SELECT relowner FROM pg_class WHERE pg_class.oid = confrelid), 'USAGE')
"""

# A check that is NOT VALID holds for new rows alone: saved rows may break it.
_NOT_VALID = f"""{_DEFINED}
WHERE contype = 'c' AND NOT convalidated AND conislocal AND coninhcount = 0 AND conrelid = ANY(%s::regclass[])
"""

# The check of that name of a table or domain; of a partition or child, where it was inherited from.
_CHECK = f"""
WITH RECURSIVE found AS (
  SELECT oid, conrelid, coninhcount FROM pg_constraint
  WHERE contype = 'c' AND conname = %(name)s
    AND CASE WHEN contypid <> 0 THEN contypid = to_regtype(%(type)s) ELSE conrelid = to_regclass(%(table)s) END
  UNION
  SELECT c.oid, c.conrelid, c.coninhcount
  FROM found f JOIN pg_inherits i ON i.inhrelid = f.conrelid
  JOIN pg_constraint c ON c.conrelid = i.inhparent AND c.contype = 'c' AND c.conname = %(name)s
)
{_DEFINED} WHERE oid IN (SELECT oid FROM found WHERE coninhcount = 0)
"""


@dataclass(frozen=True)
class Constraint:
    """A constraint that was taken away, as SQL.

    `of` is `TABLE name` or `DOMAIN name`. `comment` is quoted, None without a comment.
    """

    of: str
    name: str
    definition: str
    comment: str | None

    @property
    def place(self) -> str:
        """The object of the constraint, as COMMENT ON CONSTRAINT names it."""
        return self.of.removeprefix("TABLE ")


@dataclass
class Checks:
    """The constraints of the tables of a load. The transaction of the load holds them alone.

    With `broken_when_saved` the rows are known to be those that the site had under the same migrations: a constraint
    that they break now, they broke then.
    """

    tables: Sequence[ModelTable]
    alias: str
    broken_when_saved: bool = False
    notes: list[str] = field(default_factory=list)
    """Findings about the constraints that were made again."""
    refusal: ProofFailed | None = None
    """The error about the broken constraints if the rows prove to differ from the saved rows."""
    _aside: list[Constraint] = field(default_factory=list)

    @contextmanager
    def deferred(self, outside: Sequence[Constraint] | None) -> Iterator[None]:
        """Check all foreign keys at the end of the block. Raises ProofFailed naming the rows whose target is missing.

        With `outside`, the foreign keys among the tables are dropped, and made again at the end with those of
        `outside`, as pg_dump's files do: PostgreSQL checks each with a join, where it would otherwise look every row
        up. None: no foreign key can be dropped.
        """
        if outside is None:
            yield
            check(self.tables, self.alias)
            self._make(())
            return
        connection = connections[self.alias]
        whole = [connection.ops.quote_name(table.name) for table in self.tables if not table.referred_by]
        targets = [connection.ops.quote_name(table.name) for table in self.tables]
        with connection.cursor() as cursor:
            for question, values in ((_WITHIN, [whole, targets]), (_NOT_VALID, [whole])):
                cursor.execute(question, values)
                self._aside += [Constraint(*row) for row in cursor.fetchall()]
            for one in self._aside:
                cursor.execute(_dropped(one))
        yield
        check(self.tables, self.alias)
        self._make(outside)

    def gave_way(self, problem: BaseException) -> bool:
        """Take away the CHECK that saved rows break, to be made again as NOT VALID; False where that is not the cause.

        A row that the backup holds and that the site's own database would not take today was saved so: the function
        that the check calls has changed, or the check was switched off for a while.
        """
        diag = getattr(problem.__cause__, "diag", None)
        if not self.broken_when_saved or diag is None or not (name := diag.constraint_name):
            return False
        connection = connections[self.alias]
        quote = connection.ops.quote_name
        table, type_ = (
            f"{quote(diag.schema_name)}.{quote(one)}" if one else "" for one in (diag.table_name, diag.datatype_name)
        )
        try:
            with transaction.atomic(using=self.alias), connection.cursor() as cursor:
                cursor.execute(_CHECK, {"name": name, "table": table, "type": type_})
                found = [Constraint(*row) for row in cursor.fetchall()]
                for one in found:
                    cursor.execute(_dropped(one))
        except DatabaseError:
            return False
        self._aside += found
        return bool(found)

    def _make(self, outside: Sequence[Constraint]) -> None:
        """Make the constraints again. Those of `outside` must hold: their rows are not the backup's."""
        for one in reversed(self._aside):
            if problem := self._cannot_hold(one):
                _add(one, self.alias, not_valid=True)
                self.notes.append(_note(one, problem))
        with _named(self.tables, self.alias):
            for one in outside:
                _add(one, self.alias)

    def _cannot_hold(self, one: Constraint) -> DatabaseError | None:
        """Make a constraint again; return why it cannot hold for rows that broke it when they were saved."""
        with _named(self.tables, self.alias):
            try:
                _add(one, self.alias)
            except OperationalError:  # a lock, a connection: no fault of the rows
                raise
            except DatabaseError as problem:
                if not self.broken_when_saved:
                    raise
                self.refusal = self.refusal or _refused(self.tables, self.alias, problem)
                return problem
        return None


def check(tables: Sequence[ModelTable], alias: str) -> None:
    """Check every foreign key of the database now. Raises ProofFailed naming the rows whose target is not there."""
    connection = connections[alias]
    with _named(tables, alias), transaction.atomic(using=alias):
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        else:
            connection.check_constraints()


def _dropped(one: Constraint) -> str:
    return f"ALTER {one.of} DROP CONSTRAINT {one.name}"


def _add(one: Constraint, alias: str, *, not_valid: bool = False) -> None:
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute(f"ALTER {one.of} ADD CONSTRAINT {one.name} {one.definition}{' NOT VALID' * not_valid}")
        if one.comment:
            cursor.execute(f"COMMENT ON CONSTRAINT {one.name} ON {one.place} IS {one.comment}")


def _note(one: Constraint, problem: BaseException) -> str:
    return (
        f"{one.name} of {one.place} is NOT VALID: saved rows break it: {first_line(problem)}; new rows are checked as"
        f" before: mend the rows that break it, then: ALTER {one.of} VALIDATE CONSTRAINT {one.name}"
    )


@contextmanager
def _named(tables: Sequence[ModelTable], alias: str) -> Iterator[None]:
    """Turn a constraint that is broken in the block into an error that names the rows, up to a limit."""
    try:
        yield
    except IntegrityError as problem:
        raise _refused(tables, alias, problem) from None


def _refused(tables: Sequence[ModelTable], alias: str, problem: BaseException) -> ProofFailed:
    """Return the error for rows that break a constraint. A foreign key's are looked for and named."""
    found = list(islice((text for table in tables for text in _offenders(table, alias)), _COUNTED + 1))
    named = first_of(found, NAMED, "; ", least=len(found) > _COUNTED)
    return ProofFailed(
        f"rows refer to rows that are not in the backup: {named or first_line(problem)}",
        hint="give the rows of the site their targets, or remove them, and make the backup again without --exclude;"
        " or use another (korrigo-backup list)",
        state="the restore was rolled back: the site is as before",
        id_="rows.foreign_key",
    )


def _offenders(table: ModelTable, alias: str) -> Iterator[str]:
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
