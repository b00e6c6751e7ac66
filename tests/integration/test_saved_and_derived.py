"""The proof refuses lost or changed saved facts and nothing else: what the server computes anew is a finding."""

import json

import psycopg
import pytest

from korrigo_backup.domain.finding import Level
from korrigo_backup.errors import ProofFailed

SEQUENCES = """
CREATE SEQUENCE restarted; SELECT nextval('restarted'); ALTER SEQUENCE restarted RESTART WITH 100;
CREATE SEQUENCE not_called; SELECT setval('not_called', 7, false);
CREATE SEQUENCE fresh START 5;
CREATE SEQUENCE used; SELECT nextval('used'), nextval('used');
CREATE SEQUENCE down INCREMENT -5 MINVALUE -1000 MAXVALUE 100 START 100; SELECT nextval('down'), setval('down', -20);
CREATE SEQUENCE down_again INCREMENT -1 MINVALUE -9 MAXVALUE -1; SELECT setval('down_again', -4, false);
CREATE SEQUENCE round MINVALUE -3 MAXVALUE 3 CYCLE; SELECT nextval('round') FROM generate_series(1, 12);
CREATE SEQUENCE small AS smallint; SELECT setval('small', 32767);
CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 3 CACHE 20), v text);
INSERT INTO numbered (v) VALUES ('a'); ALTER TABLE numbered ALTER id RESTART WITH 50;
CREATE SCHEMA "S 1"; CREATE SEQUENCE "S 1"."it's"; SELECT setval('"S 1"."it''s"', 9, false);
"""
NAMES = ["restarted", "not_called", "fresh", "used", "down", "down_again", "round", "small", "numbered_id_seq"]


def positions(site):
    names = [*NAMES, '"S 1"."it\'s"']
    return {name: site.sql(f"SELECT last_value, is_called FROM {name}") for name in names}


def test_sequences_stand_as_the_dump_sets_them(make_site):
    site = make_site(schema=SEQUENCES)
    before = positions(site)
    made = site.backup()
    recorded = {one["name"]: one for one in manifest(made)["sequences"]}
    assert (recorded["public.down"]["last_value"], recorded["public.down"]["is_called"]) == (-20, True)
    assert (recorded["public.restarted"]["last_value"], recorded["public.restarted"]["is_called"]) == (100, False)
    site.sql("SELECT nextval('restarted'), nextval('not_called'), setval('down', 5); ALTER SEQUENCE small RESTART")
    site.restore(made)
    assert positions(site) == before


def test_sequences_in_place(make_site):
    site = make_site(schema=SEQUENCES)
    before = positions(site)
    made = site.backup()
    site.sql("SELECT nextval('restarted'), setval('not_called', 3, false)")
    site.korrigo("restore", made, "--yes", "--in-place")
    assert positions(site) == before


VIEWS = """
CREATE TABLE mark (v int); INSERT INTO mark VALUES (1), (2);
CREATE MATERIALIZED VIEW stale AS SELECT count(*) n FROM mark;
CREATE MATERIALIZED VIEW empty_still AS SELECT v FROM mark WITH NO DATA;
CREATE MATERIALIZED VIEW volatile AS SELECT clock_timestamp() t, random() r;
CREATE MATERIALIZED VIEW over_it AS SELECT n + 1 AS n FROM stale;
INSERT INTO mark VALUES (3);
"""


def test_materialised_views_are_findings(make_site):
    site = make_site(schema=VIEWS)
    made = site.backup()
    site.sql("DELETE FROM mark")
    done = site.restore(made)
    assert site.sql("SELECT count(*) FROM mark") == [(3,)]
    named = [one.message for one in done.findings if one.id == "proof.derived"]
    assert {one.split()[3] for one in named} == {"public.stale", "public.volatile", "public.over_it"}
    assert not done.losses


def test_values_of_generated_columns_are_findings(make_site):
    site = make_site(
        schema="CREATE FUNCTION price(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';"
        " CREATE TABLE item (id int PRIMARY KEY, n int, p int GENERATED ALWAYS AS (price(n)) STORED);"
        " INSERT INTO item (id, n) VALUES (1, 10), (2, 20);"
        " CREATE OR REPLACE FUNCTION price(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 3'"
    )
    made = site.backup()
    site.sql("DELETE FROM item")
    done = site.restore(made)
    assert site.sql("SELECT n, p FROM item ORDER BY 1") == [(10, 30), (20, 60)]
    (found,) = [one for one in done.findings if one.id == "proof.derived"]
    assert found.level is Level.WARNING
    assert "public.item" in found.message


def test_an_invalid_index_is_named_and_refuses_nothing(make_site):
    site = make_site(
        schema="CREATE TABLE t (i int); INSERT INTO t VALUES (1), (1); CREATE TABLE part (i int) PARTITION BY RANGE (i);"
        " CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (9); CREATE INDEX ON ONLY part (i)"
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        site.sql("CREATE UNIQUE INDEX CONCURRENTLY t_i ON t (i)")
    site.sql("COMMENT ON INDEX t_i IS 'left behind'")
    said = site.korrigo("backup", "db").out
    assert "invalid index public.t_i" in said
    site.sql("DELETE FROM t")
    done = site.restore(site.one("db_backup_2*.gz"))
    assert site.sql("SELECT count(*) FROM t") == [(2,)]
    assert "database.left_out" in {one.id for one in done.plan.findings}


def test_a_changed_row_and_a_moved_sequence_are_refused_by_name_and_accepted_by_name(make_site):
    site = make_site(
        schema="CREATE TABLE mark (v int); INSERT INTO mark VALUES (1); CREATE SEQUENCE s; SELECT nextval('s')"
    )
    made = site.backup()
    altered = made.with_name(made.name + ".manifest.json")
    raw = json.loads(altered.read_text())
    raw["database"]["tables"][0]["digest"] = "0" * 32
    raw["database"]["sequences"][0]["last_value"] = 2
    altered.write_text(json.dumps(raw))
    site.seal(altered)
    with pytest.raises(ProofFailed) as refused:
        site.restore(made)
    assert "--accept table:public.mark" in refused.value.hint
    assert "--accept sequence:public.s" in refused.value.hint
    only_one = site.korrigo("restore", made, "--yes", "--accept", "table:public.mark", code=9)
    assert "public.s does not stand at 2" in only_one.err
    both = ("--accept", "table:public.mark", "--accept", "sequence:public.s")
    done = site.korrigo("restore", made, "--yes", *both, "--accept", "table:public.other", code=3)
    assert "accepted (table:public.mark)" in done.out
    assert "--accept table:public.other was not needed" in done.out
    assert "SELECT setval('public.s', 2, true)" in done.out
    assert "sequence:public.s table:public.mark" in (site.backups / ".journal.jsonl").read_text()
    site.korrigo("restore", made, "--yes", "--in-place", *both, code=3)


def manifest(made):
    return json.loads(made.with_name(made.name + ".manifest.json").read_text())["database"]
