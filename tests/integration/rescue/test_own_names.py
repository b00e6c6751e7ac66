"""The sessions of the row verbs: no operator or function of the site's schemas is taken for one of PostgreSQL's.

The site's own code (triggers, functions of indexes, checks of domains) finds its names as it does in the site.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sandbox import Sandbox

TRAP = """
CREATE SEQUENCE calls;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE FUNCTION seen(varchar, varchar) RETURNS bool LANGUAGE plpgsql AS
  $$ BEGIN PERFORM nextval('public.calls'); RETURN $1::text = $2::text; END $$;
CREATE FUNCTION seen(mood, mood) RETURNS bool LANGUAGE plpgsql AS
  $$ BEGIN PERFORM nextval('public.calls'); RETURN $1::text = $2::text; END $$;
CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = seen);
CREATE OPERATOR = (LEFTARG = mood, RIGHTARG = mood, FUNCTION = seen);
CREATE FUNCTION to_json(bigint) RETURNS json LANGUAGE plpgsql AS
  $$ BEGIN PERFORM nextval('public.calls'); RETURN pg_catalog.to_json($1); END $$;
CREATE FUNCTION to_json(bool) RETURNS json LANGUAGE plpgsql AS
  $$ BEGIN PERFORM nextval('public.calls'); RETURN pg_catalog.to_json($1); END $$;
"""

PEOPLE = """
CREATE TABLE person (code varchar PRIMARY KEY, name varchar, boss varchar REFERENCES person ON DELETE SET NULL);
CREATE TABLE day (person varchar REFERENCES person ON DELETE CASCADE, mood mood, PRIMARY KEY (person, mood));
INSERT INTO person VALUES ('a', 'Anna', NULL), ('b', 'Bob', 'a'), ('c', 'Cleo', 'a');
INSERT INTO day VALUES ('a', 'good'), ('a', 'bad'), ('b', 'good');
"""


def carry_all_out(site: Sandbox, damage: str, change: str) -> str:
    """Undelete, revert and restore the table `person`, each taken back again; return the backup."""
    made = site.backup().name
    before = site.rows()
    for damaging, *command in (
        (damage, "undelete", "person:a", "--relink"),
        (change, "revert", "--table", "person", "--from", made),
        (change, "restore", made, "--table", "person"),
    ):
        site.sql(damaging)
        damaged = site.rows()
        site.korrigo(*command, "--yes")
        assert site.rows() == before
        site.korrigo("rollback", "--yes")
        assert site.rows() == damaged
        site.korrigo(*command, "--yes")
        assert site.rows() == before
    return made


@pytest.mark.promise("P5")
def test_no_operator_or_function_of_the_sites_schemas_is_called(make_site):
    site = make_site(schema=TRAP + PEOPLE)
    made = carry_all_out(site, "DELETE FROM person WHERE code::text = 'a'", "UPDATE person SET name = 'oops'")
    assert site.sql("SELECT is_called FROM calls") == [(False,)]
    assert "Anna" in site.korrigo("history", "person:a").out
    site.korrigo("forget", "person:c", "--yes")
    site.korrigo("restore", made, "--yes")
    assert site.sql("SELECT code FROM person ORDER BY code") == [("a",), ("b",)]
    assert site.sql("SELECT is_called FROM calls") == [(False,)]


def test_the_typed_condition_is_read_as_in_a_session_of_the_operator(make_site):
    site = make_site(schema=TRAP + PEOPLE)
    site.backup()
    site.sql("DELETE FROM day; DELETE FROM person WHERE code <> 'a'")
    trap = "CREATE FUNCTION is_bob(varchar) RETURNS bool LANGUAGE sql AS $$ SELECT $1::text IN ('b', 'bob') $$"
    site.sql(trap)
    site.korrigo("undelete", "--table", "person", "--where", "is_bob(code)", "--yes")
    assert site.sql("SELECT code FROM person ORDER BY code") == [("a",), ("b",)]
    assert site.sql("SELECT is_called FROM calls") == [(False,)]


def test_keys_of_types_with_an_equality_of_their_own_are_compared_by_it(make_site):
    site = make_site(
        schema="""
        CREATE SCHEMA ext; CREATE EXTENSION citext; CREATE EXTENSION isn SCHEMA ext;
        CREATE DOMAIN code AS citext;
        CREATE FUNCTION wrong(code, code) RETURNS bool LANGUAGE sql AS 'SELECT false';
        CREATE OPERATOR = (LEFTARG = code, RIGHTARG = code, FUNCTION = wrong);
        CREATE TABLE person (code citext PRIMARY KEY, name text, boss citext REFERENCES person ON DELETE SET NULL);
        CREATE TABLE book (number ext.isbn13 PRIMARY KEY, person code REFERENCES person ON DELETE CASCADE);
        INSERT INTO person VALUES ('a', 'Anna', NULL), ('b', 'Bob', 'A'), ('c', 'Cleo', 'A');
        INSERT INTO book VALUES ('978-0-393-04002-9', 'A'), ('978-0-11-000222-4', 'b');"""
    )
    made = carry_all_out(site, "DELETE FROM person WHERE code::text = 'a'", "UPDATE person SET name = 'oops'")
    site.sql("UPDATE person SET code = 'B' WHERE code = 'b'; DELETE FROM book")
    plan = site.json("undelete", "--table", "person", "--table", "book", "--from", made, "--dry-run", code=(0, 2, 6))
    assert plan
    site.korrigo("undelete", "--table", "book", "--yes")
    assert site.sql("SELECT count(*) FROM book") == [(2,)]


SITES_CODE = """
CREATE TABLE log (word text);
CREATE FUNCTION plain(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN lower(x); END $$;
CREATE FUNCTION folded(x text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT plain(x) $$;
CREATE FUNCTION is_code(x text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN plain(x) <> ''; END $$;
CREATE DOMAIN code AS text CHECK (is_code(VALUE));
CREATE TABLE person (code text PRIMARY KEY, name code CHECK (folded(name) <> ''), boss text REFERENCES person
  ON DELETE SET NULL);
CREATE INDEX ON person (folded(name));
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO log VALUES (plain(TG_NAME)); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER first BEFORE INSERT OR UPDATE OR DELETE ON person FOR EACH STATEMENT EXECUTE FUNCTION audit();
CREATE TRIGGER each BEFORE INSERT OR UPDATE OR DELETE ON person FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TRIGGER last AFTER INSERT OR UPDATE OR DELETE ON person FOR EACH STATEMENT EXECUTE FUNCTION audit();
CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE OR DELETE ON person DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION audit();
INSERT INTO person VALUES ('a', 'Anna', NULL), ('b', 'Bob', 'a'), ('c', 'Cleo', 'a');
"""


def test_the_code_of_the_site_finds_its_names(make_site):
    site = make_site(schema=SITES_CODE)
    made = site.backup().name
    change = "UPDATE person SET name = 'oops' WHERE code <> 'c'"
    for damaging, *command in (
        ("DELETE FROM person WHERE code = 'a'", "undelete", "person:a", "--relink"),
        (change, "revert", "--table", "person", "--from", made),
        (change + "; INSERT INTO person VALUES ('d', 'Dora')", "restore", made, "--table", "person", "--exact"),
    ):
        for verb in (command, ["rollback"], command):
            if verb is command:
                site.sql(f"{damaging}; TRUNCATE log")
            site.korrigo(*verb, "--yes")
            words = {word for (word,) in site.sql("DELETE FROM log RETURNING word")}
            assert words == {"first", "each", "last", "late"}
            if verb is not command:
                site.sql("DELETE FROM person WHERE code = 'd'")
    assert site.sql("SELECT code, name, boss FROM person ORDER BY 1") == [
        ("a", "Anna", None),
        ("b", "Bob", "a"),
        ("c", "Cleo", "a"),
    ]
    assert "Anna" in site.korrigo("history", "person:a").out
    site.korrigo("forget", "person:c", "--yes")
    site.korrigo("restore", made, "--yes")
    assert site.sql("SELECT code FROM person ORDER BY code") == [("a",), ("b",)]


def test_a_locked_table_that_the_rows_do_not_need_is_left_alone(make_site):
    site = make_site(
        schema=f"{SITES_CODE}; CREATE TABLE other (id int PRIMARY KEY, word text); CREATE INDEX ON other (folded(word))"
    )
    made = site.backup().name
    site.sql("DELETE FROM person WHERE code = 'c'")
    with site.connect() as locking, locking.transaction():
        locking.execute("LOCK TABLE other IN ACCESS EXCLUSIVE MODE")
        site.korrigo("undelete", "person:c", "--from", made, "--yes")
        site.korrigo("rollback", "--yes")
        site.korrigo("restore", made, "--table", "person", "--yes")
    assert site.sql("SELECT count(*) FROM person") == [(3,)]


def test_a_restore_erases_in_its_copy_with_the_path_of_the_live_database(make_site):
    site = make_site(
        schema="""CREATE SCHEMA app; SET search_path = app, public;
        CREATE FUNCTION helper(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(t) $$;
        CREATE FUNCTION norm(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT helper(t) || 'x' $$;
        CREATE TABLE app.person (id int PRIMARY KEY, name text); CREATE INDEX ON app.person (norm(name));
        INSERT INTO app.person VALUES (1, 'Anna'), (2, 'Bob');
        DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = app, public', current_database()); END $$"""
    )
    made = site.backup()
    site.sql("DELETE FROM person WHERE id = 1")
    site.korrigo("forget", "app.person:1", "--yes")
    site.korrigo("restore", made, "--yes")
    assert site.sql("SELECT id FROM person") == [(2,)]
