"""The schema fingerprint: every object of a database by kind and name, with a digest of its definition.

Names must be equal after a restore. So must the definitions of `EXACT` kinds, on a server of the same major version.
The others are PostgreSQL's own rendering of expressions, which may change its form once when it is parsed again
(`IN ('a', 'b')` over varchar is the known case): another digest is worth a look, no proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact.manifest import SchemaObject
from korrigo_backup.core.sqlname import bare_name
from korrigo_backup.postgres.difference import Difference, name
from korrigo_backup.postgres.schema_details import DETAILS, UNFINISHED_INDEXES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from korrigo_backup.artifact.manifest import DatabaseProof
    from korrigo_backup.postgres.digest import Snapshot

EXACT = frozenset({
    "comment", "composite type", "enum", "event trigger", "publication", "publication table", "range", "sequence",
    "table", "table settings", "text search configuration", "text search dictionary", "trigger state",
})  # fmt: skip
"""Kinds whose definition holds no expression: it comes back as it was."""

_STRUCTURE = frozenset({
    "column", "constraint", "enum", "extension", "function", "index", "policy", "schema", "sequence", "table",
    "trigger", "view",
})  # fmt: skip
"""Kinds of which a surplus object is an error. The manifests of former versions do not know the other kinds."""

ROLES = frozenset({"default privilege", "grant", "owner"})
"""Kinds that name roles: not to be expected where the statements that give objects to roles are left out."""

# A row for each object. Objects of an extension are left out, an index that pg_dump leaves out, objects that come with
# a range (its constructors, a cast), and a foreign key that another foreign key makes on partitions (its name differs
# between versions). `pg_get_…def` renders with the search path of a snapshot session, so that every name is qualified.
# A dump gives the sequence of an identity column the column's type; it may have another type (LIKE, ALTER SEQUENCE).
_OBJECTS = """
WITH spaces AS (
  SELECT * FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), members AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend
  WHERE deptype = 'e' OR deptype = 'i' AND classid IN ('pg_proc'::regclass, 'pg_cast'::regclass)
  UNION ALL SELECT 'pg_class'::regclass, oid FROM ({unfinished}) u
), relations AS (
  SELECT c.*, quote_ident(s.nspname) || '.' || quote_ident(c.relname) AS name
  FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
  WHERE (('pg_class'::regclass)::oid, c.oid) NOT IN (SELECT classid, objid FROM members)
), identities AS (
  SELECT d.objid, a.atttypid AS type, CASE format_type(a.atttypid, NULL)
      WHEN 'smallint' THEN 32767 WHEN 'integer' THEN 2147483647 ELSE 9223372036854775807 END AS largest
  FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'
    AND a.attidentity <> ''
), functions AS (
  SELECT p.*, p.oid::regprocedure::text AS name FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
  WHERE (('pg_proc'::regclass)::oid, p.oid) NOT IN (SELECT classid, objid FROM members)
), types AS (
  SELECT t.*, t.oid::regtype::text AS name FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
  WHERE (('pg_type'::regclass)::oid, t.oid) NOT IN (SELECT classid, objid FROM members)
), objects(kind, name, definition) AS (
  SELECT 'schema', quote_ident(nspname), '' FROM spaces
  UNION ALL SELECT 'extension', quote_ident(extname), extversion FROM pg_extension
  UNION ALL SELECT 'table', name, concat_ws(' ', relkind, relpersistence, relrowsecurity, reloptions)
    FROM relations WHERE relkind IN ('r', 'p', 'f')
  UNION ALL SELECT 'column', r.name || '.' || quote_ident(a.attname),
      concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
                pg_get_expr(d.adbin, d.adrelid))
    FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.relkind IN ('r', 'p', 'f')
  UNION ALL SELECT 'index', r.name, pg_get_indexdef(r.oid) FROM relations r WHERE r.relkind IN ('i', 'I')
  UNION ALL SELECT 'view', r.name, pg_get_viewdef(r.oid) FROM relations r WHERE r.relkind IN ('v', 'm')
  UNION ALL SELECT 'sequence', r.name,
      concat_ws(' ', coalesce(i.type, s.seqtypid)::regtype, s.seqstart, s.seqincrement, least(s.seqmax, i.largest),
                greatest(s.seqmin, -i.largest - 1), s.seqcache, s.seqcycle)
    FROM relations r JOIN pg_sequence s ON s.seqrelid = r.oid LEFT JOIN identities i ON i.objid = r.oid
  UNION ALL SELECT 'constraint', r.name || '.' || quote_ident(c.conname), pg_get_constraintdef(c.oid)
    FROM relations r JOIN pg_constraint c ON c.conrelid = r.oid
    WHERE c.contype <> 'n' AND (c.contype <> 'f' OR c.conparentid = 0)
  UNION ALL SELECT 'trigger', r.name || '.' || quote_ident(t.tgname),
      concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
    FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
  UNION ALL SELECT 'policy', r.name || '.' || quote_ident(p.polname),
      concat_ws(' ', p.polcmd, pg_get_expr(p.polqual, r.oid), pg_get_expr(p.polwithcheck, r.oid))
    FROM relations r JOIN pg_policy p ON p.polrelid = r.oid
  UNION ALL SELECT 'function', p.name, pg_get_functiondef(p.oid) FROM functions p WHERE p.prokind <> 'a'
  UNION ALL SELECT 'enum', t.name,
      (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder)
       FROM pg_enum e WHERE e.enumtypid = t.oid)
    FROM types t WHERE t.typtype = 'e'
  {details}
)
SELECT coalesce(json_agg(json_build_object('kind', kind, 'name', name, 'digest', md5(coalesce(definition, '')))
                         ORDER BY kind, name COLLATE "C"), '[]')
FROM objects
"""


# CREATE INDEX CONCURRENTLY leaves an invalid index behind when it fails.
_NOT_DUMPED = f"""
SELECT coalesce(json_agg(format('invalid index %I.%I', n.nspname, c.relname) ORDER BY n.nspname, c.relname), '[]')
FROM ({UNFINISHED_INDEXES}) u JOIN pg_class c ON c.oid = u.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
"""


_BROUGHT = """
SELECT coalesce(json_agg(quote_ident(n.nspname)), '[]') FROM pg_namespace n JOIN pg_depend d
  ON d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e'
"""


def fingerprint(taken: Snapshot) -> tuple[SchemaObject, ...]:
    """Return every object of the snapshot, ordered by kind and name."""
    asked = _OBJECTS.replace("{details}", DETAILS).replace("{unfinished}", UNFINISHED_INDEXES)
    return taken.ask(asked, tuple[SchemaObject, ...])


def brought_schemas(taken: Snapshot) -> frozenset[str]:
    """Return the schemas that extensions have brought: the maker of the extension owns them."""
    return taken.ask(_BROUGHT, frozenset[str])


def not_dumped(taken: Snapshot) -> tuple[str, ...]:
    """Return the objects that pg_dump leaves out of a dump, in words: invalid indexes."""
    return taken.ask(_NOT_DUMPED, tuple[str, ...])


def schema_differences(
    expected: DatabaseProof,
    found: Iterable[SchemaObject],
    version: str,
    *,
    roles: bool,
    brought: Collection[str] = (),
) -> list[Difference]:
    """Return the objects that a load has lost, changed or added; `version` is that of the server it was loaded into.

    Without `roles`, owners and rights are not compared. Between major versions nothing is compared that the versions
    themselves decide: the rights on schema public, MAINTAIN (new in 17), the form of a definition. Former manifests
    name the owners of schemas that extensions have `brought`; those are not compared.
    """
    theirs = tuple(f"schema {schema} is " for schema in brought)
    same = major(version) == major(expected.server_version)
    want = {
        (o.kind, bare_name(o.name)): o
        for o in expected.schema
        if _comparable(o, roles=roles, same=same) and not (o.kind == "owner" and o.name.startswith(theirs))
    }
    have = {(o.kind, bare_name(o.name)): o for o in found}
    lines = [(want[key], "is missing") for key in sorted(want.keys() - have.keys())]
    lines += [(have[key], "is unexpected") for key in sorted(have.keys() - want.keys()) if key[0] in _STRUCTURE]
    changed = (key for key in want.keys() & have.keys() if key[0] in EXACT and want[key].digest != have[key].digest)
    lines += [(want[key], "has another definition") for key in sorted(changed) if same]
    return [Difference(name(one.kind, one.name), f"{one.kind} {one.name} {words}") for one, words in lines]


def major(version: str) -> str:
    """Return the major version in a version as PostgreSQL writes it: `15.18 (Debian …)` is of 15."""
    return version.partition(" ")[0].partition(".")[0]


def _comparable(one: SchemaObject, *, roles: bool, same: bool) -> bool:
    if one.kind in ROLES and not roles:
        return False
    by_version = " MAINTAIN " in one.name or one.name.startswith("schema public ")
    return same or not (one.kind in ROLES and by_version)
