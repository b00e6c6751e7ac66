"""Empty a database inside a transaction: everything that a dump would make again is dropped, the database stays.

Schema public is emptied object by object and set back to how a new database has it, because its owner may be a role
that only a superuser could give it to again. Extensions that belong to another role (made by an administrator) stay.
"""

from __future__ import annotations

EMPTY = """
DO $empty$
DECLARE
  one record;
  public_oid oid;
BEGIN
  IF EXISTS (SELECT FROM pg_subscription
             WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())) THEN
    RAISE EXCEPTION 'this database has subscriptions: they cannot be dropped inside a transaction';
  END IF;
  FOR one IN SELECT evtname AS name FROM pg_event_trigger t
             WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_event_trigger'::regclass
                               AND e.objid = t.oid AND e.deptype = 'e') LOOP
    EXECUTE format('DROP EVENT TRIGGER %I', one.name);
  END LOOP;
  FOR one IN SELECT pubname AS name FROM pg_publication LOOP
    EXECUTE format('DROP PUBLICATION %I', one.name);
  END LOOP;
  PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
  FOR one IN SELECT quote_ident(pg_get_userbyid(d.defaclrole)) AS role,
               coalesce(quote_ident(r.rolname), 'PUBLIC') AS other,
               CASE WHEN n.oid IS NOT NULL THEN 'IN SCHEMA ' || quote_ident(n.nspname) ELSE '' END AS place,
               CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                 WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END AS sort
             FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
             LEFT JOIN LATERAL (SELECT DISTINCT grantee FROM aclexplode(d.defaclacl)) g ON true
             LEFT JOIN pg_roles r ON r.oid = g.grantee WHERE pg_has_role(d.defaclrole, 'USAGE') LOOP
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %s %s REVOKE ALL ON %s FROM %s',
                   one.role, one.place, one.sort, one.other);
    IF one.place = '' THEN
      EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %s GRANT ALL ON %s TO %s', one.role, one.sort, one.role);
      IF one.sort IN ('FUNCTIONS', 'TYPES') THEN
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %s GRANT ALL ON %s TO PUBLIC', one.role, one.sort);
      END IF;
    END IF;
  END LOOP;
  FOR one IN SELECT extname AS name FROM pg_extension
             WHERE extname <> 'plpgsql' AND pg_has_role(extowner, 'USAGE') LOOP
    EXECUTE format('DROP EXTENSION IF EXISTS %I CASCADE', one.name);
  END LOOP;
  FOR one IN SELECT fdwname AS name FROM pg_foreign_data_wrapper w
             WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_foreign_data_wrapper'::regclass
                               AND e.objid = w.oid AND e.deptype = 'e') LOOP
    EXECUTE format('DROP FOREIGN DATA WRAPPER %I CASCADE', one.name);
  END LOOP;
  FOR one IN SELECT srvname AS name FROM pg_foreign_server LOOP
    EXECUTE format('DROP SERVER %I CASCADE', one.name);
  END LOOP;
  FOR one IN SELECT nspname AS name FROM pg_namespace
             WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') LOOP
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', one.name);
  END LOOP;
  SELECT oid INTO public_oid FROM pg_namespace WHERE nspname = 'public';
  LOOP
    SELECT i.type, i.identity INTO one
    FROM pg_depend d, LATERAL pg_identify_object(d.classid, d.objid, 0) i
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = public_oid AND d.deptype = 'n'
      AND d.classid NOT IN ('pg_default_acl'::regclass, 'pg_extension'::regclass)
      AND NOT EXISTS (SELECT FROM pg_depend e
                      WHERE e.classid = d.classid AND e.objid = d.objid AND e.objsubid = 0 AND e.deptype IN ('e', 'i'))
    LIMIT 1;
    EXIT WHEN NOT FOUND;
    EXECUTE format('DROP %s %s CASCADE', CASE WHEN one.type IN ('function', 'procedure', 'aggregate') THEN 'ROUTINE'
                   WHEN one.type = 'statistics object' THEN 'STATISTICS' ELSE one.type END, one.identity);
  END LOOP;
  FOR one IN SELECT castsource::regtype AS a, casttarget::regtype AS b FROM pg_cast c
             WHERE c.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_cast'::regclass
                                                  AND e.objid = c.oid AND e.deptype IN ('e', 'i')) LOOP
    EXECUTE format('DROP CAST (%s AS %s)', one.a, one.b);
  END LOOP;
  FOR one IN SELECT lanname AS name FROM pg_language l
             WHERE l.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_language'::regclass
                                                  AND e.objid = l.oid AND e.deptype = 'e') LOOP
    EXECUTE format('DROP LANGUAGE %I CASCADE', one.name);
  END LOOP;
  IF public_oid IS NULL THEN
    CREATE SCHEMA public;
  END IF;
  IF (SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'public') THEN
    FOR one IN SELECT DISTINCT quote_ident(r.rolname) AS name
               FROM pg_namespace n, aclexplode(n.nspacl) g JOIN pg_roles r ON r.oid = g.grantee
               WHERE n.nspname = 'public' AND g.grantee <> n.nspowner LOOP
      EXECUTE format('REVOKE ALL ON SCHEMA public FROM %s CASCADE', one.name);
    END LOOP;
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    IF current_setting('server_version_num')::int >= 150000 THEN
      GRANT USAGE ON SCHEMA public TO PUBLIC;
    ELSE
      GRANT ALL ON SCHEMA public TO PUBLIC;
    END IF;
    COMMENT ON SCHEMA public IS 'standard public schema';
  END IF;
END $empty$
"""

KEPT_EXTENSIONS = """
SELECT coalesce(json_agg(quote_ident(extname)), '[]') FROM pg_extension WHERE NOT pg_has_role(extowner, 'USAGE')
"""
