"""The kinds of the schema fingerprint beyond tables, views and functions: SQL that continues `schema.py`'s list.

Then SQL about tables `c` (pg_class) that need care when their rows are read. An extension marks tables whose rows its
users write, and pg_dump saves those rows: cron jobs, partition sets (`pg_extension_config_dump` in its script). And the
planner evaluates the expressions of indexes and statistics in any query of a table, so their functions must find the
names that they use.

Written for PostgreSQL 13 to 18: a catalogue whose columns differ between them is taken as JSON.
"""

from __future__ import annotations

FIRST_NORMAL_OID = 16384
"""Objects below are PostgreSQL's own (FirstNormalObjectId)."""

UNFINISHED_INDEXES = """
SELECT i.indexrelid AS oid FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
WHERE NOT ((i.indisvalid OR t.relkind = 'p') AND i.indisready)
"""
"""Indexes that pg_dump leaves out, by its own rule."""

_TYPES = """
  UNION ALL SELECT 'domain', t.name,
      concat_ws(' ', format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault)
    FROM types t WHERE t.typtype = 'd'
  UNION ALL SELECT 'domain constraint', t.name || '.' || quote_ident(c.conname), pg_get_constraintdef(c.oid)
    FROM types t JOIN pg_constraint c ON c.contypid = t.oid WHERE c.contype <> 'n'
  UNION ALL SELECT 'composite type', t.name,
      (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ',' ORDER BY attnum)
       FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
    FROM types t JOIN relations r ON r.oid = t.typrelid WHERE r.relkind = 'c'
  UNION ALL SELECT 'range', t.name, concat_ws(' ', r.rngsubtype::regtype, r.rngsubdiff, r.rngcanonical)
    FROM types t JOIN pg_range r ON r.rngtypid = t.oid
  UNION ALL SELECT 'type', t.name, ''
    FROM types t WHERE t.typtype IN ('b', 'p') AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
"""

_FUNCTIONS = """
  UNION ALL SELECT 'aggregate', p.name, concat_ws(' ', a.aggkind, a.aggtransfn, a.aggfinalfn, a.aggcombinefn,
                                                  a.aggtranstype::regtype, a.agginitval)
    FROM functions p JOIN pg_aggregate a ON a.aggfnoid = p.oid
  UNION ALL SELECT 'operator', o.oid::regoperator::text, o.oprcode::text
    FROM pg_operator o JOIN spaces s ON s.oid = o.oprnamespace
    WHERE (('pg_operator'::regclass)::oid, o.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 'operator class', quote_ident(s.nspname) || '.' || quote_ident(o.opcname) || ' ' || m.amname,
      o.opcintype::regtype::text
    FROM pg_opclass o JOIN spaces s ON s.oid = o.opcnamespace JOIN pg_am m ON m.oid = o.opcmethod
    WHERE (('pg_opclass'::regclass)::oid, o.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 'cast', format('%s as %s', c.castsource::regtype, c.casttarget::regtype), c.castcontext::text
    FROM pg_cast c
    WHERE c.oid >= {first} AND (('pg_cast'::regclass)::oid, c.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 'language', quote_ident(l.lanname), l.lanpltrusted::text
    FROM pg_language l
    WHERE l.oid >= {first} AND (('pg_language'::regclass)::oid, l.oid) NOT IN (SELECT classid, objid FROM members)
"""

_RELATIONS = """
  UNION ALL SELECT 'table settings', r.name, concat_ws(' ', r.relforcerowsecurity, r.relreplident, r.relispartition,
                                                       f.ftoptions)
    FROM relations r LEFT JOIN pg_foreign_table f ON f.ftrelid = r.oid WHERE r.relkind IN ('r', 'p', 'f')
  UNION ALL SELECT 'parent', r.name || ' of ' || i.inhparent::regclass, pg_get_expr(r.relpartbound, r.oid)
    FROM relations r JOIN pg_inherits i ON i.inhrelid = r.oid
  UNION ALL SELECT 'trigger state', r.name || '.' || quote_ident(t.tgname), t.tgenabled::text
    FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
  UNION ALL SELECT 'rule', r.name || '.' || quote_ident(w.rulename), concat_ws(' ', pg_get_ruledef(w.oid), w.ev_enabled)
    FROM relations r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'
  UNION ALL SELECT 'statistics', quote_ident(s.nspname) || '.' || quote_ident(x.stxname), pg_get_statisticsobjdef(x.oid)
    FROM pg_statistic_ext x JOIN spaces s ON s.oid = x.stxnamespace
  UNION ALL SELECT 'event trigger', quote_ident(e.evtname),
      concat_ws(' ', e.evtevent, e.evtfoid::regprocedure, e.evtenabled, e.evttags)
    FROM pg_event_trigger e
    WHERE (('pg_event_trigger'::regclass)::oid, e.oid) NOT IN (SELECT classid, objid FROM members)
"""

_TEXT = """
  UNION ALL SELECT 'collation', quote_ident(s.nspname) || '.' || quote_ident(c.collname),
      (to_jsonb(c) - '{{oid,collname,collnamespace,collowner,collversion}}'::text[])::text
    FROM pg_collation c JOIN spaces s ON s.oid = c.collnamespace
    WHERE (('pg_collation'::regclass)::oid, c.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 'text search configuration', quote_ident(s.nspname) || '.' || quote_ident(c.cfgname),
      (SELECT string_agg(concat_ws(' ', m.maptokentype, m.mapseqno, m.mapdict::regdictionary), ','
                         ORDER BY m.maptokentype, m.mapseqno)
       FROM pg_ts_config_map m WHERE m.mapcfg = c.oid)
    FROM pg_ts_config c JOIN spaces s ON s.oid = c.cfgnamespace
    WHERE (('pg_ts_config'::regclass)::oid, c.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 'text search dictionary', quote_ident(s.nspname) || '.' || quote_ident(d.dictname), d.dictinitoption
    FROM pg_ts_dict d JOIN spaces s ON s.oid = d.dictnamespace
    WHERE (('pg_ts_dict'::regclass)::oid, d.oid) NOT IN (SELECT classid, objid FROM members)
"""

# The options of a user mapping are a password: not even its digest goes into a manifest.
_ELSEWHERE = """
  UNION ALL SELECT 'foreign data wrapper', quote_ident(w.fdwname), w.fdwoptions::text FROM pg_foreign_data_wrapper w
    WHERE (('pg_foreign_data_wrapper'::regclass)::oid, w.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 'server', quote_ident(s.srvname), concat_ws(' ', s.srvtype, s.srvversion, s.srvoptions)
    FROM pg_foreign_server s
    WHERE (('pg_foreign_server'::regclass)::oid, s.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 'user mapping', quote_ident(m.srvname) || ' for ' || m.usename, '' FROM pg_user_mappings m
  UNION ALL SELECT 'publication', quote_ident(pubname),
      concat_ws(' ', puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot)
    FROM pg_publication
  UNION ALL SELECT 'publication table', format('%I: %I.%I', pubname, schemaname, tablename), ''
    FROM pg_publication_tables
  UNION ALL SELECT 'subscription', quote_ident(subname), '' FROM pg_subscription
    WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

# Without PostgreSQL's own comments. An extension brings its comments, but its own may have been changed.
_COMMENTS = """
  UNION ALL SELECT 'comment', i.type || ' ' || i.identity, d.description
    FROM pg_description d, LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
    WHERE d.objoid >= {first} AND (d.classoid, d.objoid) NOT IN (SELECT classid, objid FROM members)
"""

# Only rights that differ from those of a new object of its kind: pg_dump writes no more, either.
_RIGHTS = """
  UNION ALL SELECT 'grant', concat_ws(' ', o.kind, o.name, 'to', coalesce(quote_ident(r.rolname), 'PUBLIC') || ':',
                                      g.privilege_type, CASE WHEN g.is_grantable THEN 'with grant option' END, g.sign),
      ''
    FROM (
      SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, name, relowner, relacl,
             CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char"
        FROM relations WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
      UNION ALL SELECT 'column', r.name || '.' || quote_ident(a.attname), r.relowner, a.attacl, 'c'
        FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
      UNION ALL SELECT 'function', name, proowner, proacl, 'f' FROM functions
      UNION ALL SELECT 'type', name, typowner, typacl, 'T' FROM types WHERE typacl IS NOT NULL
      UNION ALL SELECT 'schema', quote_ident(nspname), nspowner, nspacl, 'n' FROM spaces
      UNION ALL SELECT 'server', quote_ident(srvname), srvowner, srvacl, 'S' FROM pg_foreign_server
      UNION ALL SELECT 'foreign data wrapper', quote_ident(fdwname), fdwowner, fdwacl, 'F' FROM pg_foreign_data_wrapper
      UNION ALL SELECT 'language', quote_ident(lanname), lanowner, lanacl, 'l' FROM pg_language
      UNION ALL SELECT 'large object', oid::text, lomowner, lomacl, 'L' FROM pg_largeobject_metadata
    ) o(kind, name, owner, acl, born),
    LATERAL (
      (SELECT grantee, privilege_type, is_grantable, 'granted' FROM aclexplode(o.acl)
       EXCEPT SELECT grantee, privilege_type, is_grantable, 'granted' FROM aclexplode(acldefault(o.born, o.owner)))
      UNION ALL
      (SELECT grantee, privilege_type, is_grantable, 'revoked' FROM aclexplode(acldefault(o.born, o.owner))
       EXCEPT SELECT grantee, privilege_type, is_grantable, 'revoked' FROM aclexplode(o.acl))
    ) g(grantee, privilege_type, is_grantable, sign) LEFT JOIN pg_roles r ON r.oid = g.grantee
    WHERE o.acl IS NOT NULL
  UNION ALL SELECT 'default privilege',
      concat_ws(' ', pg_get_userbyid(d.defaclrole), n.nspname, d.defaclobjtype, 'to',
                coalesce(quote_ident(r.rolname), 'PUBLIC') || ':', g.privilege_type, 'granted'), ''
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) g
    LEFT JOIN pg_roles r ON r.oid = g.grantee
  UNION ALL SELECT 'owner', concat_ws(' ', o.kind, o.name, 'is', quote_ident(r.rolname) || '''s'), ''
    FROM (
      SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, name, relowner
        FROM relations WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
      UNION ALL SELECT 'function', name, proowner FROM functions
      UNION ALL SELECT 'type', name, typowner FROM types WHERE typtype IN ('d', 'e', 'r')
      UNION ALL SELECT 'schema', quote_ident(nspname), nspowner FROM spaces
        WHERE (('pg_namespace'::regclass)::oid, oid) NOT IN (SELECT classid, objid FROM members)
    ) o(kind, name, owner) JOIN pg_roles r ON r.oid = o.owner
    WHERE r.rolname <> 'pg_database_owner'
      AND r.oid <> (SELECT datdba FROM pg_database WHERE datname = current_database())
"""

_ALL = _TYPES + _FUNCTIONS + _RELATIONS + _TEXT + _ELSEWHERE + _COMMENTS + _RIGHTS
DETAILS = _ALL.format(first=FIRST_NORMAL_OID)

CONFIG_TABLES = f"""
SELECT x.oid, x.condition, e.extname AS extension
FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS x(oid, condition)
WHERE e.oid >= {FIRST_NORMAL_OID}
"""
"""Each such table or sequence with SQL that follows its name (`WHERE …`, perhaps empty); PostgreSQL's own have none."""

COMPUTES = """
EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL))
OR EXISTS (SELECT FROM pg_statistic_ext x WHERE x.stxrelid = c.oid AND to_jsonb(x) ->> 'stxexprs' IS NOT NULL)
"""
"""Whether an index or a statistic of the table has an expression."""
