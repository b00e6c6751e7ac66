"""The models' tables in PostgreSQL's own catalog: kind, true name, and the type of each column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from korrigo_backup.domain.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable

_RELATIONS = """
SELECT w.name, c.relkind, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relispartition,
       EXISTS (SELECT FROM pg_depend d
               WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
FROM unnest(%s::text[]) AS w (name) JOIN pg_class c ON c.oid = to_regclass(w.name)
JOIN pg_namespace n ON n.oid = c.relnamespace
"""

# The name of a type of the system as `format_type` writes it; any other type is qualified and only shown.
_COLUMNS = """
SELECT w.name, a.attname, CASE WHEN a.atttypid < 16384 THEN format_type(a.atttypid, NULL) ELSE '' END,
       format_type(a.atttypid, a.atttypmod), a.attnotnull OR t.typnotnull, a.attgenerated <> '',
       NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL
FROM unnest(%s::text[]) AS w (name) JOIN pg_attribute a ON a.attrelid = to_regclass(w.name)
JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped
"""


# The extensions that types of columns belong to, also through an array or a domain.
_EXTENSIONS = """
WITH RECURSIVE used (declared, type) AS (
    SELECT DISTINCT format_type(a.atttypid, a.atttypmod), a.atttypid
    FROM unnest(%s::text[]) AS w (name) JOIN pg_attribute a ON a.attrelid = w.name::regclass
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
    UNION
    SELECT u.declared, part FROM used u JOIN pg_type t ON t.oid = u.type,
         unnest(ARRAY[t.typelem, t.typbasetype]) AS part WHERE part <> 0
)
SELECT DISTINCT u.declared, e.extname FROM used u
JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = u.type AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid ORDER BY 1, 2
"""


_MAY_READ_SYSTEM = "SELECT current_database(), has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
_SYSTEM = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"


def place(connection: Any) -> Identity | None:
    """Return the database and its cluster; the identity has no UUID, since the name of the site is not known here.

    None for every engine but PostgreSQL.
    """
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute(_MAY_READ_SYSTEM)
        database, may_read = cursor.fetchone()
        if not may_read:
            return Identity("", database)
        cursor.execute(_SYSTEM)
        return Identity("", database, cursor.fetchone()[0])


@dataclass(frozen=True)
class DatabaseColumn:
    """A column as the database has it.

    `type` is the name of a type of PostgreSQL itself without its modifier, "" for any other type; `declared` is the
    type as CREATE TABLE has it (`numeric(14,4)`). `bare` means without a default.
    """

    type: str
    declared: str
    not_null: bool
    generated: bool
    bare: bool = False


@dataclass(frozen=True)
class Relation:
    """A table as the database has it; `name` is qualified and quoted as SQL needs it, `kind` is `relkind`."""

    name: str
    kind: str
    is_partition: bool
    of_extension: bool
    columns: dict[str, DatabaseColumn] = field(default_factory=dict)

    @property
    def is_table(self) -> bool:
        """Whether rows are kept in it: an ordinary or a partitioned table."""
        return self.kind in {"r", "p"}


def relations(names: Iterable[str], connection: Any, *, columns: bool = True) -> dict[str, Relation]:
    """Return the relations of the given names (`db_table` of models) by these names; without those that are not there.

    Every engine but PostgreSQL has no such catalog: the answer is empty.
    """
    if connection.vendor != "postgresql":
        return {}
    plain = {connection.ops.quote_name(name): name for name in names}
    with connection.cursor() as cursor:
        cursor.execute(_RELATIONS, [list(plain)])
        found = {plain[row[0]]: Relation(row[2], row[1], row[3], row[4]) for row in cursor.fetchall()}
        if columns and found:
            cursor.execute(_COLUMNS, [list(plain)])
            for name, column, type_, *facts in cursor.fetchall():
                if relation := found.get(plain[name]):  # quote_all_identifiers may be on
                    relation.columns[column] = DatabaseColumn(type_.replace('"', ""), *facts)
    return found


def extensions_of_types(found: Iterable[Relation], connection: Any) -> dict[str, str]:
    """Return the types of columns, as they are declared, that extensions brought, each with its extension."""
    names = [one.name for one in found if any(not column.type for column in one.columns.values())]
    if not names:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_EXTENSIONS, [names])
        return dict(cursor.fetchall())
