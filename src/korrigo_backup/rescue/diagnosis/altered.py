"""Columns that are defined otherwise than in a backup: the live column may not take the values of the backup."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from korrigo_backup.core.sqlname import bare_name, normal_name
from korrigo_backup.postgres.schema import fingerprint, major
from korrigo_backup.rescue.points import database_proof

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.digest import Snapshot

# The columns of an enum, of an array of it, and of a domain over it.
_OF_ENUMS = """
SELECT coalesce(json_agg(json_build_array(quote_ident(n.nspname) || '.' || quote_ident(c.relname),
                                          quote_ident(a.attname), e.oid::regtype::text)), '[]')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type e ON e.oid IN (t.oid, t.typelem, t.typbasetype) AND e.typtype = 'e'
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r'
"""


def altered_columns(dumps: Iterable[Artifact], taken: Snapshot, tables: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of live tables that a dump defines otherwise, or that are gone, by table.

    An enum with other values alters its columns. The form of a definition may differ between servers of two versions,
    so such a dump says nothing.
    """
    proofs = [proof for dump in dumps if (proof := database_proof(dump)) is not None] if tables else []
    version = major(taken.facts().server_version) if proofs else ""
    saved = {one for proof in proofs if major(proof.server_version) == version for one in proof.schema}
    if not saved:
        return {}
    live = {(one.kind, bare_name(one.name)): one.digest for one in fingerprint(taken)}
    other = [one for one in saved if live.get((one.kind, bare_name(one.name))) != one.digest]
    found = defaultdict[str, set[str]](set)
    names = [bare_name(one.name) for one in other if one.kind == "column"]
    for table in tables:
        begin = f"{bare_name(table)}."
        found[table] |= {name.removeprefix(begin) for name in names if name.startswith(begin)}
    enums = {bare_name(one.name) for one in other if one.kind == "enum"}
    for table, column, kind in taken.ask(_OF_ENUMS, list[tuple[str, str, str]]) if enums else ():
        if bare_name(kind) in enums and normal_name(table) in found:
            found[normal_name(table)].add(column)
    return {table: tuple(sorted(columns)) for table, columns in found.items() if columns}
