"""Rows that come back into tables with columns and rules that are newer than the backup: each wall has a choice."""

import pytest

SCHEMA = """
CREATE TABLE course (id int PRIMARY KEY, name text);
CREATE TABLE lesson (id int PRIMARY KEY, course_id int NOT NULL REFERENCES course, room text, place int, size int);
INSERT INTO course SELECT n, 'c' || n FROM generate_series(1, 4) n;
INSERT INTO lesson SELECT n, 1 + n % 4, CASE WHEN n % 2 = 0 THEN 'r' || n END, n, n FROM generate_series(1, 12) n;
"""

MIGRATION = """
CREATE TABLE site (id int PRIMARY KEY);
INSERT INTO site VALUES (7);
ALTER TABLE course ADD "Odd Name" text NOT NULL DEFAULT 'x', ADD site_id int NOT NULL DEFAULT 7 REFERENCES site;
ALTER TABLE course ALTER "Odd Name" DROP DEFAULT, ALTER site_id DROP DEFAULT;
ALTER TABLE lesson ADD hours int NOT NULL DEFAULT 1 CHECK (hours > 0);
ALTER TABLE lesson ALTER hours DROP DEFAULT;
"""

DELETE = "DELETE FROM lesson WHERE course_id = 2; DELETE FROM course WHERE id = 2;"

VALUES = (
    "--new-value", "public.course.Odd Name=it's", "--new-value", "public.course.site_id=7",
    "--new-value", "public.lesson.hours=3",
)  # fmt: skip


@pytest.fixture
def school(make_site):
    """A site with lessons, and its backup."""
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    return made


def test_each_new_column_is_named_with_its_choice_and_its_value_is_in_all_rows(school):
    school.sql(MIGRATION + DELETE)
    before = school.rows()
    error = school.json("undelete", "course:2", "--yes", code=4)["error"]
    assert "the column Odd Name is new since the backup" in error["message"]
    for option in ("'public.course.Odd Name=VALUE'", "public.course.site_id=VALUE", "public.lesson.hours=VALUE"):
        assert f"--new-value {option}" in error["hint"]
    done = school.korrigo("undelete", "course:2", *VALUES, "--yes")
    assert "public.lesson: hours is new since the backup, '3' in 3 rows" in done.out
    assert "4 rows brought back, each as in the backup, but for 5 new values" in done.out
    assert school.sql('SELECT name, "Odd Name", site_id FROM course WHERE id = 2') == [("c2", "it's", 7)]
    assert school.sql("SELECT id, hours FROM lesson WHERE course_id = 2 ORDER BY 1") == [(1, 3), (5, 3), (9, 3)]
    school.korrigo("rollback", "--yes")
    assert school.rows() == before


def test_a_domain_that_takes_no_null_is_named_too(school):
    school.sql("CREATE DOMAIN base AS int NOT NULL; CREATE DOMAIN hours AS base; CREATE DOMAIN given AS int NOT NULL"
               " DEFAULT 3; ALTER TABLE lesson ADD spare given")  # fmt: skip
    school.sql("ALTER TABLE lesson ADD hours hours DEFAULT 1; ALTER TABLE lesson ALTER hours DROP DEFAULT")
    school.sql(DELETE)
    error = school.json("undelete", "course:2", "--yes", code=4)["error"]
    assert "--new-value public.lesson.hours=VALUE" in error["hint"]
    school.korrigo("undelete", "course:2", "--new-value", "lesson.hours=6", "--yes")
    assert school.sql("SELECT hours, spare FROM lesson WHERE course_id = 2") == [(6, 3)] * 3


def test_rows_without_a_value_are_left_out_together(school):
    school.sql(MIGRATION + DELETE)
    refused = school.json("undelete", "course:2", "--on-conflict", "skip", "--yes", code=4)
    assert {(one["table"], *one["columns"]) for one in refused["plan"]["conflicts"]} == {
        ("public.course", "Odd Name"), ("public.course", "site_id"), ("public.lesson", "hours"),
    }  # fmt: skip


@pytest.mark.parametrize(("value", "kind"), [("public.lesson.hours=0", "check"), ("public.course.site_id=8", "parent")])
def test_a_value_that_a_rule_refuses_is_a_conflict_of_its_column(school, value, kind):
    school.sql(MIGRATION + DELETE)
    column = value.partition("=")[0]
    kept = [one for one in VALUES[1::2] if not one.startswith(column)]
    new = [part for one in (*kept, value) for part in ("--new-value", one)]
    found = school.json("undelete", "course:2", *new, "--yes", code=4)
    assert {one["kind"] for one in found["plan"]["conflicts"]} == {kind}
    assert f"--new-value {column}=VALUE" in found["error"]["hint"]


def test_a_column_of_the_backup_that_takes_less_now_gets_the_value_where_it_is_refused(school):
    school.sql(DELETE)
    school.sql(
        "UPDATE lesson SET room = 'x', size = 1, place = 1; ALTER TABLE lesson ALTER room SET NOT NULL,"
        " ADD CHECK (size < 9); CREATE TABLE place (id int PRIMARY KEY); INSERT INTO place VALUES (1), (5);"
        " ALTER TABLE lesson ADD FOREIGN KEY (place) REFERENCES place"
    )
    new = ("--new-value", "lesson.room=none", "--new-value", "lesson.size=8", "--new-value", "lesson.place=5")
    plan = school.json("undelete", "course:2", *new, "--yes")["plan"]
    assert plan["conflicts"] == []
    assert school.sql("SELECT id, room, size, place FROM lesson WHERE course_id = 2 ORDER BY 1") == [
        (1, "none", 1, 1), (5, "none", 5, 5), (9, "none", 8, 5),
    ]  # fmt: skip


def test_a_value_for_a_new_column_that_it_does_not_take_is_a_usage_error(school):
    school.sql(MIGRATION + DELETE)
    assert (
        "does not take the new value"
        in school.korrigo("undelete", "course:2", "--new-value", "course.site_id=x", "--yes", code=2).err
    )


def test_a_restored_table_takes_the_values_for_its_missing_rows(school):
    school.sql("DELETE FROM lesson WHERE id IN (4, 8); UPDATE lesson SET room = 'oops' WHERE id = 1")
    school.sql("ALTER TABLE lesson ADD hours int NOT NULL DEFAULT 1; ALTER TABLE lesson ALTER hours DROP DEFAULT")
    before = school.rows()
    restore = ("restore", school.made, "--table", "lesson")
    error = school.json(*restore, "--yes", code=4)["error"]
    assert "--new-value public.lesson.hours=VALUE" in error["hint"]
    done = school.korrigo(*restore, "--new-value", "lesson.hours=6", "--yes")
    assert "'6' in the missing rows" in done.out
    assert school.sql("SELECT id, room, hours FROM lesson WHERE id IN (1, 4, 8) ORDER BY 1") == [
        (1, None, 1), (4, "r4", 6), (8, "r8", 6),
    ]  # fmt: skip
    school.korrigo("rollback", "--yes")
    assert school.rows() == before
    assert "its values come back" in school.korrigo(*restore, "--new-value", "lesson.room=x", "--yes", code=2).err
