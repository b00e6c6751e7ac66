"""What a database can hold beyond tables, as SQL that makes it, and statements that lose it."""

import re

from sandbox import USER, connect

OWNERS = {  # what the owner of the site's database may make
    "partitions within partitions, a default one, and foreign keys between them": """
        CREATE TABLE exam_day (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE exam_day_2025 PARTITION OF exam_day FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
          PARTITION BY LIST (id);
        CREATE TABLE exam_day_2025_a PARTITION OF exam_day_2025 FOR VALUES IN (1, 2, 3);
        CREATE TABLE exam_day_2025_rest PARTITION OF exam_day_2025 DEFAULT;
        CREATE TABLE exam_day_rest PARTITION OF exam_day DEFAULT;
        CREATE TABLE sitting (exam int, at date, FOREIGN KEY (exam, at) REFERENCES exam_day) PARTITION BY HASH (exam);
        CREATE TABLE sitting_0 PARTITION OF sitting FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE sitting_1 PARTITION OF sitting FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE INDEX ON exam_day (at);
        INSERT INTO exam_day SELECT n, date '2025-06-01' + n * 60 FROM generate_series(1, 9) n;
        INSERT INTO sitting SELECT id, at FROM exam_day""",
    "inheritance from two parents": """
        CREATE TABLE p1 (id int CHECK (id > 0), a text DEFAULT 'a'); CREATE TABLE p2 (id int, b text);
        CREATE TABLE both_of (c int) INHERITS (p1, p2); INSERT INTO both_of VALUES (1, 'x', 'y', 2)""",
    "materialised views upon each other, one never filled": """
        CREATE TABLE mark (v int); INSERT INTO mark SELECT generate_series(1, 50);
        CREATE MATERIALIZED VIEW z_first AS SELECT v * 2 AS v FROM mark;
        CREATE MATERIALIZED VIEW a_second AS SELECT sum(v) AS total FROM z_first;
        CREATE UNIQUE INDEX ON z_first (v);
        CREATE MATERIALIZED VIEW never AS SELECT v FROM a_second, mark WITH NO DATA""",
    "functions, procedures, aggregates, operators, casts": """
        CREATE FUNCTION add_up(numeric, numeric) RETURNS numeric IMMUTABLE LANGUAGE sql AS 'SELECT $1 + coalesce($2, 0)';
        CREATE AGGREGATE total_of(numeric) (SFUNC = add_up, STYPE = numeric, INITCOND = '0');
        CREATE FUNCTION many(a int, OUT b int, VARIADIC c text[] DEFAULT '{}') LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION rows_of() RETURNS TABLE (x int) LANGUAGE sql AS 'SELECT 1';
        CREATE PROCEDURE tidy(INOUT n int) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; END $$;
        CREATE OPERATOR === (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = add_up);
        COMMENT ON AGGREGATE total_of(numeric) IS 'of all marks'""",
    "triggers in every state": """
        CREATE TABLE watched (id int, note text);
        CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'seen'; RETURN NEW; END $$;
        CREATE TRIGGER t_on BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION watch();
        CREATE TRIGGER t_off BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION watch();
        CREATE TRIGGER t_always BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION watch();
        CREATE TRIGGER t_replica BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION watch();
        INSERT INTO watched VALUES (1, 'x');
        UPDATE watched SET note = 'as it was saved';
        ALTER TABLE watched DISABLE TRIGGER t_off; ALTER TABLE watched ENABLE ALWAYS TRIGGER t_always;
        ALTER TABLE watched ENABLE REPLICA TRIGGER t_replica""",
    "rules and views that can be written": """
        CREATE TABLE target (id int, v text); CREATE VIEW over AS SELECT * FROM target WITH CHECK OPTION;
        CREATE RULE instead AS ON DELETE TO over DO INSTEAD UPDATE target SET v = 'gone' WHERE id = OLD.id;
        CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM target; INSERT INTO over VALUES (1, 'a')""",
    "types": """
        CREATE DOMAIN mark_20 AS numeric(4, 2) DEFAULT 10 CONSTRAINT within CHECK (VALUE BETWEEN 0 AND 20);
        CREATE TYPE span AS RANGE (SUBTYPE = double precision);
        CREATE TYPE place AS (room text, seat int); CREATE TYPE step AS ENUM ('b', 'a', 'c');
        CREATE TABLE typed (m mark_20, s span, p place[], e step); INSERT INTO typed VALUES (12.5, '[1,2)', '{"(A1,7)"}', 'c')""",
    "row security": """
        CREATE TABLE secret_mark (id int, who text); INSERT INTO secret_mark VALUES (1, 'me');
        ALTER TABLE secret_mark ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own_rows ON secret_mark AS RESTRICTIVE FOR SELECT TO PUBLIC USING (who = current_user)""",
    "statistics, text search, collations": """
        CREATE TABLE words (a int, b int, t text); INSERT INTO words VALUES (1, 1, 'mots');
        CREATE STATISTICS together (dependencies) ON a, b FROM words;
        CREATE TEXT SEARCH DICTIONARY plain_words (TEMPLATE = simple, STOPWORDS = english);
        CREATE TEXT SEARCH CONFIGURATION marking (COPY = simple);
        ALTER TEXT SEARCH CONFIGURATION marking ALTER MAPPING FOR word WITH plain_words;
        CREATE COLLATION by_bytes FROM "C"; CREATE INDEX ON words (t COLLATE by_bytes);
        CREATE INDEX ON words USING gin (to_tsvector('marking', t)) WITH (fastupdate = off)""",
    "comments and grants": """
        CREATE SCHEMA "Dép. 1"; CREATE TABLE "Dép. 1".noted (id int, body text); COMMENT ON SCHEMA "Dép. 1" IS 'it''s';
        COMMENT ON COLUMN "Dép. 1".noted.body IS E'line 1\\nline \\\\ 2'; COMMENT ON TABLE "Dép. 1".noted IS 'noted';
        GRANT USAGE ON SCHEMA "Dép. 1" TO shape_reader; GRANT SELECT (id), UPDATE (body) ON "Dép. 1".noted TO shape_reader;
        CREATE FUNCTION hidden() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION hidden() FROM PUBLIC;
        CREATE TABLE shared (id serial); GRANT ALL ON shared TO shape_reader WITH GRANT OPTION;
        GRANT USAGE ON SEQUENCE shared_id_seq TO shape_reader; CREATE TABLE closed (id int); REVOKE ALL ON closed FROM %s;
        GRANT SELECT ON closed TO %s;
        ALTER DEFAULT PRIVILEGES IN SCHEMA "Dép. 1" GRANT SELECT ON TABLES TO shape_reader;
        ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC""".replace("%s", USER),
    "large objects": """
        DO $$ BEGIN
          PERFORM lo_from_bytea(4711, decode(repeat('c0ffee00', 800000), 'hex')), lo_create(4712);
          PERFORM lo_from_bytea(4713, '\\x01') ; GRANT SELECT ON LARGE OBJECT 4713 TO shape_reader;
          COMMENT ON LARGE OBJECT 4713 IS 'a scan'; END $$""",
    "an extension that its owner may make": """
        CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm SCHEMA public; CREATE TABLE bag (h hstore);
        INSERT INTO bag VALUES ('a=>1'); CREATE INDEX ON bag USING gist (h); COMMENT ON EXTENSION hstore IS 'ours'""",
    "storage and options": """
        CREATE UNLOGGED TABLE quick (id int PRIMARY KEY) WITH (fillfactor = 70); INSERT INTO quick VALUES (1);
        CREATE TABLE wide (a text, b bytea); ALTER TABLE wide ALTER a SET STORAGE EXTERNAL, ALTER b SET STATISTICS 7;
        ALTER TABLE wide REPLICA IDENTITY FULL; INSERT INTO wide VALUES (repeat('w', 100000), '\\x00ff');
        CREATE TABLE placed (id int PRIMARY KEY, x int UNIQUE DEFERRABLE INITIALLY DEFERRED, EXCLUDE USING btree (id WITH =));
        ALTER TABLE placed CLUSTER ON placed_pkey;
        CREATE TABLE unvalidated (id int); INSERT INTO unvalidated VALUES (-1);
        ALTER TABLE unvalidated ADD CONSTRAINT later CHECK (id > 0) NOT VALID""",
    "a publication of some tables": """
        CREATE TABLE published (id int PRIMARY KEY); CREATE PUBLICATION some_tables FOR TABLE published
          WITH (publish = 'insert')""",
}

SUPERUSERS = {  # what takes a superuser
    "objects of several owners": """
        CREATE SCHEMA theirs AUTHORIZATION shape_other; CREATE TABLE theirs.t (id serial); INSERT INTO theirs.t DEFAULT VALUES;
        ALTER TABLE theirs.t OWNER TO shape_other; CREATE FUNCTION theirs.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        ALTER FUNCTION theirs.f() OWNER TO shape_reader; ALTER DEFAULT PRIVILEGES FOR ROLE shape_other GRANT ALL ON TABLES TO shape_reader""",
    "row security that binds its owner": """
        CREATE TABLE bound (id int); INSERT INTO bound VALUES (1), (2); ALTER TABLE bound OWNER TO shape_other;
        ALTER TABLE bound ENABLE ROW LEVEL SECURITY; ALTER TABLE bound FORCE ROW LEVEL SECURITY;
        CREATE POLICY few ON bound USING (id = 1)""",
    "event triggers": """
        CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$;
        CREATE EVENT TRIGGER ddl_log ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION on_ddl();
        CREATE EVENT TRIGGER ddl_off ON sql_drop EXECUTE FUNCTION on_ddl(); ALTER EVENT TRIGGER ddl_off DISABLE""",
    "foreign data": """
        CREATE EXTENSION postgres_fdw; CREATE FOREIGN DATA WRAPPER own_wrapper;
        CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '192.0.2.1', dbname 'x');
        CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (user 'u', password 'far-away-pa55');
        CREATE FOREIGN TABLE far (id int OPTIONS (column_name 'ID')) SERVER elsewhere OPTIONS (table_name 'T');
        GRANT USAGE ON FOREIGN SERVER elsewhere TO shape_reader""",
    "publications of all, subscriptions": """
        CREATE PUBLICATION everything FOR ALL TABLES;
        CREATE SUBSCRIPTION taker CONNECTION 'host=192.0.2.1 dbname=x' PUBLICATION p
          WITH (connect = false, slot_name = NONE, enabled = false, create_slot = false)""",
    "untrusted extensions": "CREATE EXTENSION file_fdw; CREATE EXTENSION pageinspect; CREATE EXTENSION dblink",
}

LOSSES = {  # statement: what the proof then says
    "DROP TABLE sitting_1": "table public.sitting_1 is missing",
    "ALTER TABLE exam_day DETACH PARTITION exam_day_rest": "parent public.exam_day_rest of public.exam_day is missing",
    "ALTER TABLE both_of NO INHERIT p2": "parent public.both_of of public.p2 is missing",
    "DROP MATERIALIZED VIEW never": "view public.never is missing",
    "DROP AGGREGATE total_of(numeric)": "aggregate public.total_of(numeric) is missing",
    "DROP OPERATOR === (numeric, numeric)": "operator public.===(numeric,numeric) is missing",
    "DROP PROCEDURE tidy": "function public.tidy(integer) is missing",
    "ALTER TABLE watched ENABLE TRIGGER t_off": "trigger state public.watched.t_off has another definition",
    "DROP RULE instead ON over": "rule public.over.instead is missing",
    "ALTER DOMAIN mark_20 DROP CONSTRAINT within": "domain constraint public.mark_20.within is missing",
    "ALTER TYPE place ADD ATTRIBUTE desk int": "composite type public.place has another definition",
    "ALTER TYPE step ADD VALUE 'd'": "enum public.step has another definition",
    "DROP TYPE span CASCADE": "range public.span is missing",
    "DROP POLICY own_rows ON secret_mark": "policy public.secret_mark.own_rows is missing",
    "ALTER TABLE secret_mark DISABLE ROW LEVEL SECURITY": "table public.secret_mark has another definition",
    "ALTER TABLE secret_mark FORCE ROW LEVEL SECURITY": "table settings public.secret_mark has another definition",
    "DROP STATISTICS together": "statistics public.together is missing",
    "ALTER TEXT SEARCH CONFIGURATION marking DROP MAPPING FOR word":
        "text search configuration public.marking has another definition",
    "DROP COLLATION by_bytes CASCADE": "collation public.by_bytes is missing",
    """COMMENT ON SCHEMA "Dép. 1" IS NULL""": """comment schema "Dép. 1" is missing""",
    """COMMENT ON COLUMN "Dép. 1".noted.body IS 'x'""": """comment table column "Dép. 1".noted.body has another definition""",
    """REVOKE SELECT (id) ON "Dép. 1".noted FROM shape_reader""":
        """grant column "Dép. 1".noted.id to shape_reader: SELECT granted is missing""",
    "GRANT EXECUTE ON FUNCTION hidden() TO PUBLIC": "grant function public.hidden() to PUBLIC: EXECUTE revoked is missing",
    "REVOKE GRANT OPTION FOR SELECT ON shared FROM shape_reader CASCADE":
        "grant table public.shared to shape_reader: SELECT with grant option granted is missing",
    """ALTER DEFAULT PRIVILEGES IN SCHEMA "Dép. 1" REVOKE SELECT ON TABLES FROM shape_reader""":
        f"""default privilege {USER} Dép. 1 r to shape_reader: SELECT granted is missing""",
    "SELECT lo_put(4711, 3100000, '\\x00')": "the large objects have other content",
    "REVOKE SELECT ON LARGE OBJECT 4713 FROM shape_reader": "grant large object 4713 to shape_reader: SELECT granted is missing",
    "SELECT lo_unlink(4712)": "there are 2 large objects, not 3",
    "DROP EXTENSION pg_trgm": "extension pg_trgm is missing",
    "ALTER TABLE quick SET LOGGED": "table public.quick has another definition",
    "ALTER TABLE wide REPLICA IDENTITY NOTHING": "table settings public.wide has another definition",
    "ALTER PUBLICATION some_tables SET (publish = 'delete')": "publication some_tables has another definition",
    "ALTER PUBLICATION some_tables DROP TABLE published": "publication table some_tables: public.published is missing",
    "REVOKE ALL ON SCHEMA public FROM PUBLIC": None,  # whatever the server's version says of PUBLIC
}  # fmt: skip


def known(server, statements):
    """Return those statements whose extensions this server has: the embedded one comes with few."""
    with connect(server) as admin:
        there = {name for (name,) in admin.execute("SELECT name FROM pg_available_extensions")}
    named = re.compile(r"(?:CREATE|DROP) EXTENSION (\w+)")
    return [sql for sql in statements if set(named.findall(sql)) <= there]


def make_roles(server):
    """Make the roles that own things and may see things in these shapes."""
    with connect(server) as admin:
        for name in ("shape_reader", "shape_other"):
            admin.execute(f"DO $$ BEGIN CREATE ROLE {name}; EXCEPTION WHEN duplicate_object THEN END $$")


def large_objects(site):
    return site.sql(
        "SELECT loid, count(*), md5(string_agg(data, '' ORDER BY pageno)) FROM pg_largeobject GROUP BY 1"
        " UNION ALL SELECT oid, NULL, pg_get_userbyid(lomowner) || lomacl::text FROM pg_largeobject_metadata ORDER BY 1, 2",
        superuser=True,
    )
