"""The schema fingerprint: every object of a database by kind, name and a digest of its definition.

Names must be equal after a restore. Definitions are PostgreSQL's own rendering, which may change its form once
when it is parsed again (`IN ('a', 'b')` over varchar is the known case): another digest is worth a look, no proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.domain.manifest import SchemaObject

if TYPE_CHECKING:
    from korrigo_backup.site.digests import Snapshot

# One row an object. What belongs to an extension is the extension's; `pg_get_…def` renders with the empty search
# path of a snapshot session, so that every name is qualified.
_OBJECTS = """
WITH spaces AS (
  SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), relations AS (
  SELECT c.*, quote_ident(s.nspname) || '.' || quote_ident(c.relname) AS name
  FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
  WHERE NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
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
      concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)
    FROM relations r JOIN pg_sequence s ON s.seqrelid = r.oid
  UNION ALL SELECT 'constraint', r.name || '.' || quote_ident(c.conname), pg_get_constraintdef(c.oid)
    FROM relations r JOIN pg_constraint c ON c.conrelid = r.oid WHERE c.contype <> 'n'
  UNION ALL SELECT 'trigger', r.name || '.' || quote_ident(t.tgname),
      concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
    FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
  UNION ALL SELECT 'policy', r.name || '.' || quote_ident(p.polname),
      concat_ws(' ', p.polcmd, pg_get_expr(p.polqual, r.oid), pg_get_expr(p.polwithcheck, r.oid))
    FROM relations r JOIN pg_policy p ON p.polrelid = r.oid
  UNION ALL SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
    FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
    WHERE p.prokind <> 'a' AND NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  UNION ALL SELECT 'enum', t.oid::regtype::text,
      (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder)
       FROM pg_enum e WHERE e.enumtypid = t.oid)
    FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
    WHERE t.typtype = 'e' AND NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
)
SELECT coalesce(json_agg(json_build_object('kind', kind, 'name', name, 'digest', md5(definition))
                         ORDER BY kind, name COLLATE "C"), '[]')
FROM objects
"""


def fingerprint(taken: Snapshot) -> tuple[SchemaObject, ...]:
    """Return every object of the snapshot, ordered by kind and name."""
    return taken.ask(_OBJECTS, tuple[SchemaObject, ...])
