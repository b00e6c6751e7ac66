"""Equal rows of a table without a key are counted: as many come back as were deleted."""

import time
from datetime import datetime

import pytest

SCHEMA = """
CREATE TABLE hit (word text, n int);
INSERT INTO hit VALUES ('x', 1), ('x', 1), ('x', 1), ('y', NULL), ('y', NULL), ('z', 3);
"""
ONE = "DELETE FROM hit WHERE ctid IN (SELECT ctid FROM hit WHERE word = '{}' LIMIT {})"


@pytest.fixture
def school(make_site):
    """A site with equal rows, and its backup."""
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    return made


def test_as_many_equal_rows_come_back_as_were_deleted(school):
    before = school.rows()
    school.sql(ONE.format("x", 2) + ";" + ONE.format("y", 1))
    live = school.rows()
    plan = school.json("undelete", "--table", "hit", "--yes")["plan"]
    assert [one["asked"] for one in plan["tables"]] == [3]
    assert school.rows() == before
    school.korrigo("rollback", "--yes")
    assert school.rows() == live


def test_a_table_with_all_its_equal_rows_has_no_deleted_row(school):
    assert "not found" in school.korrigo("undelete", "--table", "hit", "--yes", code=6).err


def test_only_the_equal_rows_that_were_deleted_before_a_time_come_back(school):
    time.sleep(1.1)
    since = datetime.now().isoformat(timespec="seconds")
    school.sql(ONE.format("x", 1))
    time.sleep(1.1)
    until = datetime.now().isoformat(timespec="seconds")
    school.backup()
    school.sql(ONE.format("x", 1))
    school.korrigo("undelete", "--table", "hit", "--since", since, "--until", until, "--yes")
    assert school.sql("SELECT count(*) FROM hit WHERE word = 'x'") == [(2,)]


def test_a_trigger_that_changes_a_row_is_found_although_an_equal_row_is_live(school):
    school.sql(ONE.format("x", 1))
    school.sql(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := 9; RETURN NEW; END';"
        "CREATE TRIGGER no BEFORE INSERT ON hit FOR EACH ROW EXECUTE FUNCTION no()"
    )
    plan = school.json("undelete", "--table", "hit", "--yes", code=4)["plan"]
    assert [one["kind"] for one in plan["conflicts"]] == ["trigger"]


def test_a_refused_row_without_a_key_is_named_although_a_value_is_null(make_site):
    site = make_site(schema="CREATE TABLE mark (exam int, note text); INSERT INTO mark VALUES (1, NULL), (2, 'x')")
    site.backup()
    site.sql("DELETE FROM mark; ALTER TABLE mark ADD CHECK (note IS NOT NULL)")
    (conflict,) = site.json("undelete", "--table", "mark", "--yes", code=4)["plan"]["conflicts"]
    assert (conflict["kind"], conflict["key"]) == ("check", ["1", ""])
    site.korrigo("undelete", "--table", "mark", "--on-conflict", "skip", "--yes")
    assert site.sql("SELECT exam FROM mark") == [(2,)]
