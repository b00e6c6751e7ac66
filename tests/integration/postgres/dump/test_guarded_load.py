"""A load goes on where the rows are whole: constraints that rows break, functions without a schema, checks that read others."""

import gzip
import json

import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.dump.guard import Failure, StatementOutcome, without_proof
from sandbox import nothing_changes


def broken(make_site, schema, damage):
    """A site whose rows break a constraint that its catalogue calls valid."""
    site = make_site(schema=schema)
    site.sql(f"SET session_replication_role = replica; {damage}", superuser=True)
    return site


def ids(done):
    return [one.id for one in done.findings]


def test_a_foreign_key_that_rows_break_is_not_valid_and_binds_new_rows(make_site):
    site = broken(
        make_site,
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int, a int REFERENCES a ON DELETE CASCADE);"
        ' CREATE TABLE "B c" (a int, CONSTRAINT "to a" FOREIGN KEY (a) REFERENCES a NOT VALID)',
        "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1), (2, 99)",
    )
    made = site.backup()
    site.sql("DELETE FROM b")
    done = site.restore(made)
    (found,) = [one for one in done.findings if one.id == "load.not_valid"]
    assert "public.b.b_a_fkey is NOT VALID" in found.message
    assert "99" not in found.message
    assert "Key (a)=(99) is not present" in found.detail
    assert found.hint.endswith("ALTER TABLE public.b VALIDATE CONSTRAINT b_a_fkey")
    assert site.sql("SELECT count(*) FROM b") == [(2,)]
    with pytest.raises(Exception, match="b_a_fkey"):
        site.sql("INSERT INTO b VALUES (3, 77)")
    assert not done.losses


def test_a_foreign_key_in_place(make_site):
    site = broken(
        make_site,
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int, a int REFERENCES a)",
        "INSERT INTO b VALUES (2, 99)",
    )
    made = site.backup()
    site.sql("DELETE FROM b")
    output = site.korrigo("restore", made, "--yes", "--in-place").out
    assert "is NOT VALID" in output
    assert site.sql("SELECT count(*) FROM b") == [(1,)]


def test_a_unique_index_that_rows_break_must_be_accepted(make_site):
    site = make_site(
        schema="CREATE TABLE t (i int, j int PRIMARY KEY); INSERT INTO t VALUES (1, 1), (2, 2);"
        " CREATE UNIQUE INDEX t_i ON t (i); COMMENT ON INDEX t_i IS 'each once'"
    )
    with site.connect(superuser=True) as connection:  # as a change of collation does
        connection.execute("UPDATE pg_index SET indisready = false WHERE indexrelid = 't_i'::regclass")
    site.sql("INSERT INTO t VALUES (1, 3)")
    with site.connect(superuser=True) as connection:
        connection.execute("UPDATE pg_index SET indisready = true WHERE indexrelid = 't_i'::regclass")
    made = site.backup()
    site.sql("DELETE FROM t")
    with pytest.raises(ProofFailed) as refused:
        site.restore(made)
    assert "(1)" not in refused.value.message
    assert "Key (i)=(1) is duplicated" in refused.value.detail
    assert "detail: Key (i)=(1) is duplicated" in site.korrigo("restore", made, "--yes", code=9).err
    assert "is duplicated" not in (site.backups / ".journal.jsonl").read_text()
    assert "--accept index:public.t_i" in refused.value.hint
    done = site.korrigo("restore", made, "--yes", "--accept", "index:public.t_i", code=3)
    assert "CREATE UNIQUE INDEX t_i" in done.out
    assert site.sql("SELECT count(*) FROM t") == [(3,)]
    assert "index:public.t_i" in (site.backups / ".journal.jsonl").read_text()


CHECKS = r"""
CREATE TABLE z_levels (code text); INSERT INTO z_levels VALUES ('a'), ('b');
CREATE FUNCTION known(text) RETURNS boolean STABLE LANGUAGE sql AS $$ SELECT EXISTS (SELECT FROM z_levels WHERE code = $1) $$;
CREATE FUNCTION known_pl(text) RETURNS boolean STABLE LANGUAGE plpgsql AS
  $$ BEGIN RETURN EXISTS (SELECT FROM public.z_levels WHERE code = $1); END $$;
CREATE DOMAIN level AS text CONSTRAINT one_of CHECK (known_pl(VALUE));
COMMENT ON CONSTRAINT one_of ON DOMAIN level IS 'of the domain';
CREATE TABLE a_pupil (id int, level text CONSTRAINT "is known" CHECK (known(level)), other level);
COMMENT ON CONSTRAINT "is known" ON a_pupil IS 'it''s one of them';
INSERT INTO a_pupil VALUES (1, 'a', 'b');
CREATE TABLE a_child (CHECK (known_pl(level))) INHERITS (a_pupil); INSERT INTO a_child VALUES (2, 'b', 'a');
CREATE TABLE parts (id int, level text, CONSTRAINT p CHECK (known_pl(level))) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10); INSERT INTO parts VALUES (1, 'a');
"""
CONSTRAINTS = """
SELECT coalesce(conrelid::regclass::text, '') || contypid, conname, pg_get_constraintdef(oid), coninhcount, conislocal,
       convalidated, obj_description(oid, 'pg_constraint')
FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND contypid = 0 ORDER BY 1, 2
"""


def test_checks_that_read_other_tables_are_added_after_the_rows(make_site):
    site = make_site(schema=CHECKS)
    before = site.sql(CONSTRAINTS)
    made = site.backup()
    site.sql("DELETE FROM a_pupil")
    site.restore(made)
    assert site.sql(CONSTRAINTS) == before
    assert site.sql("SELECT count(*) FROM a_pupil") == [(2,)]
    with pytest.raises(Exception, match="one_of"):
        site.sql("SELECT 'c'::level")


FUNCTIONS = r"""
CREATE FUNCTION inner_f(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT upper($1) $$;
CREATE FUNCTION outer_f(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT inner_f($1) $$;
CREATE TABLE pupil (id int, name text, big text GENERATED ALWAYS AS ({generated}) STORED);
INSERT INTO pupil (id, name) VALUES (1, 'Zoé'), (2, 'Éric');
CREATE INDEX pupil_f ON pupil (outer_f(name)); CREATE INDEX pupil_part ON pupil (id) WHERE outer_f(name) <> 'X';
CREATE MATERIALIZED VIEW big AS SELECT outer_f(name) AS n FROM pupil;
CREATE STATISTICS s ON (outer_f(name)), id FROM pupil;
"""


@pytest.mark.parametrize("generated", ["name", "outer_f(name)"])
@pytest.mark.parametrize("in_place", [False, True])
def test_functions_that_name_others_without_schema(make_site, generated, in_place):
    site = make_site(schema=None)
    site.sql(
        f"CREATE SCHEMA own; ALTER DATABASE {json.dumps(site.database)} SET search_path = own, public", superuser=True
    )
    site.sql("ALTER SCHEMA own OWNER TO viatique_user", superuser=True)
    site.sql(FUNCTIONS.format(generated=generated))
    before = site.sql("SELECT * FROM pupil ORDER BY 1")
    made = site.backup()
    site.sql("DELETE FROM pupil WHERE id = 1")
    output = site.korrigo("restore", made, "--yes", *(["--in-place"] if in_place else [])).out
    assert site.sql("SELECT * FROM pupil ORDER BY 1") == before
    assert site.sql("SELECT n FROM big ORDER BY 1") == [("ZOÉ",), ("ÉRIC",)]
    assert "load.search_path" in output or "search path" in output
    site.korrigo("plan", made)


def test_event_triggers_do_not_fire_during_the_load(make_site):
    site = make_site(
        schema="CREATE TABLE t (i int); INSERT INTO t VALUES (1); CREATE MATERIALIZED VIEW v AS SELECT i FROM t"
    )
    site.sql(
        "CREATE TABLE ddl (tag text); GRANT ALL ON ddl TO viatique_user; ALTER TABLE ddl OWNER TO viatique_user;"
        " CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO public.ddl VALUES (tg_tag); END $$;"
        " CREATE EVENT TRIGGER a_note ON ddl_command_end EXECUTE FUNCTION note()",
        superuser=True,
    )
    site.superuser = True
    made = site.backup()
    before = site.sql("SELECT count(*) FROM ddl", superuser=True)
    site.restore(made)
    assert site.sql("SELECT count(*) FROM ddl", superuser=True) == before


def test_a_view_over_a_server_that_is_away_stays_unfilled(make_site):
    site = make_site(
        schema="CREATE TABLE t (i int); INSERT INTO t VALUES (1), (0);"
        " CREATE MATERIALIZED VIEW v AS SELECT 1 / i AS n FROM t WHERE i > 0; CREATE UNIQUE INDEX v_n ON v (n);"
        " CREATE FUNCTION boom() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;"
        " CREATE MATERIALIZED VIEW w AS SELECT boom() AS n; CREATE MATERIALIZED VIEW x AS SELECT n FROM w;"
        " CREATE OR REPLACE FUNCTION boom() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'the server is away'; END $$"
    )
    made = site.backup()
    done = site.restore(made)
    found = [one for one in done.findings if one.id == "load.not_filled"]
    assert [one.hint for one in found] == ["REFRESH MATERIALIZED VIEW public.w", "REFRESH MATERIALIZED VIEW public.x"]
    assert "the server is away" in found[0].detail
    assert site.sql("SELECT n FROM v") == [(1,)]
    assert ids(done).count("proof.derived") == 0


@pytest.mark.promise("P7")
def test_a_value_in_the_message_of_an_index_reaches_no_journal(make_site):
    site = make_site()
    site.sql(
        "CREATE FUNCTION public.canon(t text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN t; END';"
        " INSERT INTO exam (name) VALUES ('Ada Lovelace'); CREATE INDEX canon_name ON exam (public.canon(name));"
        " CREATE OR REPLACE FUNCTION public.canon(t text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'not a name: %', t; END $$"
    )
    refused = site.korrigo("restore", site.backup(), "--yes", code=9)
    assert "index public.canon_name cannot be made: SQLSTATE P0001" in refused.err
    assert "Lovelace" not in (site.backups / ".journal.jsonl").read_text()


@pytest.mark.promise("P5")
def test_a_dump_that_writes_into_the_note_of_its_own_load_is_refused(site):
    text = gzip.decompress(site.backup().read_bytes())
    end = b"--\n-- PostgreSQL database dump complete"
    forged = b"SELECT pg_catalog.set_config('korrigo_backup.failed', 'nonsense', false);\n"
    foreign = site.home / "mine.sql.gz"
    foreign.write_bytes(gzip.compress(text.replace(end, forged + end)))
    with nothing_changes(site):
        refused = site.korrigo("restore", foreign, "--allow-unsigned", "--yes", code=9)
    assert "korrigo_backup.failed" in refused.err


def test_no_failed_statement_explains_other_rows():
    made = [
        Failure(f"{kind}:public.exam", StatementOutcome.LEFT_OUT, "42P01", "", "", "", "")
        for kind in ("table", "index")
    ]
    assert without_proof(made) == {"index:public.exam"}
