"""Rows that depend on an erased row do not come back by the smaller ways: undelete, tables, and their rollback."""

from datetime import UTC, datetime

import pytest

from korrigo_backup.erasure.entry import Entry, Link, Subject
from korrigo_backup.site.erasures import scope_of

SCHEMA = """
CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE copy (id serial PRIMARY KEY, person_id int NOT NULL REFERENCES person);
CREATE TABLE page (id serial PRIMARY KEY, copy_id int NOT NULL REFERENCES copy);
CREATE TABLE note (id serial PRIMARY KEY, person_id int, words text);
INSERT INTO person (name) SELECT 'p' || n FROM generate_series(1, 9) n;
INSERT INTO copy (person_id) SELECT n FROM generate_series(1, 9) n;
INSERT INTO page (copy_id) SELECT 1 + n % 9 FROM generate_series(1, 36) n;
INSERT INTO note (person_id, words) SELECT n, 'about ' || n FROM generate_series(1, 9) n;
"""


@pytest.fixture
def school(make_site):
    """A site of which one person was erased with all that depends on it, after its backup."""
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    made.sql("DELETE FROM note; DELETE FROM page; DELETE FROM copy WHERE id > 7; DELETE FROM person WHERE id > 7")
    made.korrigo("forget", "person:9")
    return made


def rule(school, name):
    """Record the rule of the site's code for notes, whose reference no constraint holds."""
    ledger = school.wired().ledger()
    link = Link("public.note", ("person_id",), "public.person", ("id",), name)
    ledger.append([
        Entry(time=datetime.now(UTC), scope=scope_of(school.wired().site()), subject=Subject.RULES, hash=name,
              key=ledger.keyring.signing().id, links=(link,))
    ])  # fmt: skip


def test_a_child_table_comes_back_without_the_rows_of_an_erased_parent(school):
    school.korrigo("restore", "--table", "person", str(school.made), "--yes")
    done = school.korrigo("restore", "--table", "copy", str(school.made), "--yes")
    assert "erased on request and taken out again: 1 row (public.copy 1)" in done.out
    assert school.sql("SELECT max(person_id), count(*) FROM copy") == [(8, 8)]


def test_rows_below_a_child_that_is_not_restored_are_left_out_too(school):
    school.korrigo("restore", "--table", "person", "--table", "copy", str(school.made), "--yes")
    done = school.korrigo("restore", "--table", "page", str(school.made), "--yes")
    assert "(public.page 4)" in done.out
    assert school.sql("SELECT max(copy_id), count(*) FROM page") == [(8, 32)]


@pytest.mark.parametrize(("name", "notes"), [("CASCADE", [(8, 8)]), ("SET_NULL", [(8, 9)])])
@pytest.mark.parametrize("verb", ["restore", "undelete"])
def test_a_reference_without_a_constraint_follows_the_recorded_rule(school, name, notes, verb):
    rule(school, name)
    school.korrigo("undelete", "person:8", "--yes")
    if verb == "restore":
        school.korrigo("restore", "--table", "note", str(school.made), "--yes")
    else:
        school.korrigo("undelete", "--table", "note", "--yes")
    assert school.sql("SELECT max(person_id), count(*) FROM note") == notes


def test_an_erased_row_does_not_stop_the_undelete_of_its_table(school):
    done = school.korrigo("undelete", "--table", "person", "--yes")
    assert "erased on request, and so left out: 6 rows" in done.out
    assert school.sql("SELECT max(id), count(*) FROM person") == [(8, 8)]
    assert school.sql("SELECT max(person_id), count(*) FROM copy") == [(8, 8)]


@pytest.mark.parametrize("name", ["person:9", "copy:9"])
def test_a_row_that_is_asked_for_by_name_gets_a_clear_no(school, name):
    failed = school.json("undelete", name, "--yes", code=4)
    assert failed["error"]["id"] == "erasure.row"
    assert "was erased on request" in failed["error"]["message"]
    assert school.sql("SELECT count(*) FROM person") == [(7,)]


def test_a_rollback_does_not_bring_back_a_removed_row_that_was_erased_meanwhile(school):
    school.sql("INSERT INTO note (id, words) VALUES (77, 'a'), (78, 'b')")
    school.korrigo("restore", "--table", "note", "--exact", str(school.made), "--yes")
    assert school.sql("SELECT count(*) FROM note WHERE id > 70") == [(0,)]
    school.korrigo("forget", "note:77", "--yes")
    done = school.korrigo("rollback", "--yes")
    assert "erased on request, and so left out: 1 row (public.note 1)" in done.out
    assert school.sql("SELECT id FROM note") == [(78,)]
