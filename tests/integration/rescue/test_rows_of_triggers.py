"""Rows that the site's triggers insert while rows come back: the rollback removes them, and nothing that was there."""

import pytest

SCHEMA = """
CREATE TABLE exam (id int PRIMARY KEY, name text, news int);
CREATE TABLE copy (id int PRIMARY KEY, exam_id int NOT NULL REFERENCES exam);
CREATE TABLE audit (id serial PRIMARY KEY, exam_id int REFERENCES exam, words text);
CREATE TABLE note (audit_id int REFERENCES audit, words text);
CREATE TABLE latest (id int PRIMARY KEY, exam_id int REFERENCES exam);
CREATE FUNCTION written() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN
  INSERT INTO audit (exam_id, words) VALUES (NEW.id, 'made') RETURNING id INTO n;
  INSERT INTO note VALUES (n, 'made'), (n, 'made'); RETURN NULL; END $$;
CREATE TRIGGER written AFTER INSERT ON exam FOR EACH ROW EXECUTE FUNCTION written();
INSERT INTO exam SELECT n, 'exam ' || n FROM generate_series(1, 4) n;
INSERT INTO copy SELECT n, 1 + n % 4 FROM generate_series(1, 8) n;
INSERT INTO latest VALUES (1, 1);
"""

DELETE = """
DELETE FROM note WHERE audit_id IN (SELECT id FROM audit WHERE exam_id = 3); DELETE FROM audit WHERE exam_id = 3;
DELETE FROM copy WHERE exam_id = 3; DELETE FROM exam WHERE id = 3;
"""


@pytest.fixture
def school(make_site):
    """A site whose trigger writes into two tables for each exam, and its backup."""
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    return made


def without_sequences(site):
    return {name: rows for name, rows in site.rows().items() if not name.endswith("_seq")}


def test_the_rows_of_a_trigger_are_removed_with_the_rows_that_came_back(school):
    school.sql(DELETE)
    before = without_sequences(school)
    school.korrigo("undelete", "exam:3", "--yes")
    assert school.sql("SELECT count(*), count(words) FILTER (WHERE id > 4) FROM audit") == [(5, 1)]
    plan = school.json("rollback", "--yes")["plan"]
    assert plan["tables"] == {"public.exam": 1, "public.copy": 2, "public.audit": 2, "public.note": 2}
    assert without_sequences(school) == before


def test_the_rows_of_a_trigger_that_the_site_has_removed_since_are_no_obstacle(school):
    school.sql(DELETE)
    before = without_sequences(school)
    school.korrigo("undelete", "exam:3", "--yes")
    school.sql("DELETE FROM note WHERE audit_id > 4; DELETE FROM audit WHERE id > 4")
    school.korrigo("rollback", "--yes")
    assert without_sequences(school) == before


def test_a_changed_row_of_a_trigger_and_the_row_of_a_person_stop_the_rollback(school):
    school.sql(DELETE)
    school.korrigo("undelete", "exam:3", "--yes")
    school.sql("UPDATE audit SET words = 'read' WHERE id > 4")
    assert "were changed" in school.korrigo("rollback", "--yes", code=4).err
    school.sql("UPDATE audit SET words = 'made' WHERE id > 4; INSERT INTO audit (exam_id) VALUES (3)")
    after = school.rows()
    assert "refer to rows of the undelete now: 1" in school.korrigo("rollback", "--yes", code=4).err
    assert school.rows() == after


def test_a_row_that_a_trigger_has_only_changed_is_never_removed(school):
    school.sql(DELETE)
    school.sql(
        "CREATE FUNCTION last() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE latest SET exam_id = NEW.id;"
        " INSERT INTO latest VALUES (100 + NEW.id, NEW.id); RETURN NULL; END $$;"
        "CREATE TRIGGER last AFTER INSERT ON exam FOR EACH ROW EXECUTE FUNCTION last()"
    )
    school.korrigo("undelete", "exam:3", "--yes")
    after = school.rows()
    assert (
        "rows of public.latest refer to rows of the undelete now: 2" in school.korrigo("rollback", "--yes", code=4).err
    )
    assert school.rows() == after


MOVES = {
    "deleted and inserted": "DELETE FROM latest; INSERT INTO latest VALUES (1, NEW.id)",
    "moved to another table": "WITH d AS (DELETE FROM latest RETURNING id) INSERT INTO kept SELECT id, NEW.id FROM d",
    "moved to another partition": "UPDATE task SET state = 'done', exam_id = NEW.id WHERE id = 7",
    "emptied and filled": "TRUNCATE latest; INSERT INTO latest VALUES (1, NEW.id)",
}


@pytest.mark.parametrize("body", MOVES.values(), ids=MOVES.keys())
def test_a_row_that_a_trigger_has_put_elsewhere_is_never_removed(school, body):
    school.sql(DELETE)
    school.sql(
        "CREATE TABLE kept (id int PRIMARY KEY, exam_id int REFERENCES exam);"
        "CREATE TABLE task (id int, state text, exam_id int REFERENCES exam) PARTITION BY LIST (state);"
        "CREATE TABLE task_open PARTITION OF task FOR VALUES IN ('open');"
        "CREATE TABLE task_done PARTITION OF task FOR VALUES IN ('done'); INSERT INTO task VALUES (7, 'open', NULL);"
        f"CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$;"
        "CREATE TRIGGER move AFTER INSERT ON exam FOR EACH ROW EXECUTE FUNCTION move()"
    )
    school.korrigo("undelete", "exam:3", "--yes")
    after = school.rows()
    assert "refer to rows of the undelete now" in school.korrigo("rollback", "--yes", code=4).err
    assert school.rows() == after


def test_the_restore_of_a_table_is_undone_with_the_rows_of_its_trigger(school):
    school.sql(DELETE)
    before = without_sequences(school)
    school.korrigo("restore", school.made, "--table", "exam", "--yes")
    assert school.sql("SELECT count(*) FROM note") == [(8,)]
    school.korrigo("rollback", "--yes")
    assert without_sequences(school) == before
