"""A live row with the key of a saved row is named, and overwritten only where the operator has typed it."""

import pytest

SCHEMA = """
CREATE TABLE author (id int PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE exam (id int PRIMARY KEY, name text NOT NULL UNIQUE, author int NOT NULL REFERENCES author);
CREATE TABLE copy (id int PRIMARY KEY, exam int NOT NULL REFERENCES exam, note text);
CREATE TABLE page (id int PRIMARY KEY, copy int NOT NULL REFERENCES copy);
CREATE TABLE room (id int PRIMARY KEY, exam int REFERENCES exam);
CREATE TABLE event (id int, year int, PRIMARY KEY (id, year)) PARTITION BY RANGE (year);
CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (2000) TO (2020);
CREATE TABLE event_new PARTITION OF event FOR VALUES FROM (2020) TO (2040);
CREATE TABLE guest (id int PRIMARY KEY, event int, year int, FOREIGN KEY (event, year) REFERENCES event);
INSERT INTO author VALUES (1, 'ann'), (2, 'bob');
INSERT INTO exam VALUES (1, 'one', 1), (2, 'two', 2);
INSERT INTO copy VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 2, 'c');
INSERT INTO page VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO room VALUES (1, 1), (2, 2);
INSERT INTO event VALUES (1, 2010), (2, 2030);
INSERT INTO guest VALUES (1, 1, 2010), (2, 2, 2030);
"""
DELETE = """
DELETE FROM page WHERE copy IN (2, 3); DELETE FROM copy WHERE exam = 2; UPDATE room SET exam = NULL WHERE exam = 2;
DELETE FROM exam WHERE id = 2;
"""


@pytest.fixture
def school(make_site):
    made = make_site(schema=SCHEMA)
    made.backup()
    made.sql(DELETE)
    return made


def test_a_live_row_is_overwritten_only_if_it_is_named(school):
    school.sql("INSERT INTO exam VALUES (2, 'another', 1)")
    before = school.rows()
    refused = school.json("undelete", "exam:2", "--yes", code=2)["error"]
    assert (refused["id"], "--overwrite public.exam:2" in refused["hint"]) == ("undelete.live", True)
    assert school.rows() == before
    plan = school.json("undelete", "exam:2", "--overwrite", "exam:2", "--yes")["plan"]
    assert [(one["table"], one["key"], [tuple(v.values()) for v in one["values"]]) for one in plan["overwritten"]] == [
        ("public.exam", ["2"], [("name", "another", "two"), ("author", "1", "2")])
    ]
    assert school.sql("SELECT name, author FROM exam WHERE id = 2") == [("two", 2)]
    assert school.sql("SELECT count(*) FROM page") == [(3,)]
    school.korrigo("rollback", "--yes")
    assert school.rows() == before


def test_a_taken_key_of_a_child_stops_and_has_its_choices(school):
    school.sql("INSERT INTO copy VALUES (3, 1, 'other')")
    before = school.rows()
    found = school.json("undelete", "exam:2", "--yes", code=4)
    assert [(one["kind"], one["table"], one["key"]) for one in found["plan"]["conflicts"]] == [
        ("key", "public.copy", ["3"])
    ]
    assert "--overwrite public.copy:3" in found["error"]["hint"]
    assert school.rows() == before
    school.korrigo("undelete", "exam:2", "--on-conflict", "skip", "--yes")
    assert school.sql("SELECT exam, note FROM copy ORDER BY id") == [(1, "a"), (2, "b"), (1, "other")]
    school.korrigo("rollback", "--yes")
    assert school.rows() == before
    school.korrigo("undelete", "exam:2", "--overwrite", "copy:3", "--yes")
    assert school.sql("SELECT exam, note FROM copy ORDER BY id") == [(1, "a"), (2, "b"), (2, "c")]
    assert school.sql("SELECT count(*) FROM page") == [(3,)]
    school.sql("UPDATE copy SET note = 'again' WHERE id = 3")
    assert "changed again" in school.korrigo("rollback", "--yes", code=4).err
    school.sql("UPDATE copy SET note = 'c' WHERE id = 3")
    school.korrigo("rollback", "--yes")
    assert school.rows() == before


def test_a_changed_parent_stays_unless_it_is_named(school):
    school.sql("UPDATE author SET name = 'rob' WHERE id = 2; UPDATE room SET exam = 1 WHERE id = 2")
    before = school.rows()
    plan = school.json("undelete", "exam:2", "--dry-run")["plan"]
    hints = {one["id"]: one["hint"] for one in plan["findings"]}
    assert "--overwrite public.author:2" in hints["undelete.parent_changed"]
    assert "--overwrite public.room:2" in hints["undelete.elsewhere"]
    school.korrigo("undelete", "exam:2", "--overwrite", "author:2", "--overwrite", "room:2", "--yes")
    assert school.sql("SELECT name FROM author WHERE id = 2") == [("bob",)]
    assert school.sql("SELECT exam FROM room WHERE id = 2") == [(2,)]
    school.korrigo("rollback", "--yes")
    assert school.rows() == before


@pytest.mark.parametrize("named", ["author:1", "copy:1", "exam:1"])
def test_a_name_that_no_row_needs_is_refused(school, named):
    before = school.rows()
    arguments = ("undelete", "exam:2", "--overwrite", named, "--yes")
    assert school.json(*arguments, code=2)["error"]["id"] == "undelete.unused"
    assert school.rows() == before


def test_a_conflict_names_a_new_value_and_what_is_left_out(school):
    school.sql("INSERT INTO exam VALUES (7, 'two', 1)")
    hint = school.json("undelete", "exam:2", "--yes", code=4)["error"]["hint"]
    assert "--new-value public.exam.name=VALUE" in hint
    left = school.json("undelete", "exam:2", "--on-conflict", "skip", "--yes", code=4)
    assert left["error"]["id"] == "undelete.nothing_left"
    assert "public.exam:2" in left["error"]["message"]
    assert left["plan"]["conflicts"]
    twice = ("--new-value", "exam.name=x", "--new-value", "exam.name=y")
    assert "no other row" in school.json("undelete", "exam:2", *twice, "--yes", code=2)["error"]["message"]


def test_a_reference_to_a_partitioned_table_is_found_in_each_partition(school):
    before = school.rows()
    school.sql("DELETE FROM guest; DELETE FROM event WHERE id = 2")
    school.korrigo("undelete", "guest:1", "guest:2", "--yes")
    assert school.rows() == before
