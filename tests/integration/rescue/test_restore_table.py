"""`restore --table`: a table becomes that of a backup again, and no other table is touched."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.errors import Refused
from korrigo_backup.rescue.values.table import TableOptions, restore_tables
from rescue_days import EXAMS
from sandbox import PROJECT

if TYPE_CHECKING:
    from korrigo_backup.rescue.values.plan import ValuePlan
    from sandbox import Sandbox

DAMAGE = "UPDATE exam SET name = 'oops ' || id WHERE id > 8; DELETE FROM exam WHERE id IN (2, 3)"


@pytest.fixture
def school(make_site):
    """A site with exams, and its backup."""
    made = make_site(schema=EXAMS)
    made.made = made.backup()
    return made


def guide(heading: str) -> list[str]:
    """The commands of a section of the guide."""
    text = (PROJECT / "docs/how-to/rescue.md").read_text(encoding="utf-8")
    return text.split(f"## {heading}\n", 1)[1].split("```\n", 2)[1].splitlines()


def libpq(site: Sandbox) -> dict[str, str]:
    """How the clients of PostgreSQL reach the site's database."""
    names = ("HOST", "PORT", "USER", "PASSWORD")
    return {f"PG{name}": site.env[f"POSTGRES_{name}"] for name in names}


def restored(site, *arguments, code=0):
    return site.json("restore", site.made, "--table", "exam", *arguments, code=code)


def test_missing_rows_come_back_and_changed_ones_get_their_values(school):
    before = school.rows()
    school.sql(DAMAGE)
    plan = restored(school, "--yes")["plan"]
    (table,) = plan["tables"]
    assert (table["inserted"], table["changed"], table["removed"]) == (2, 4, 0)
    assert school.rows() == before


def test_a_plan_says_how_much_it_does_not_name_and_verbose_names_all(school):
    school.sql("UPDATE exam SET name = 'oops' || id WHERE id > 7; DELETE FROM exam WHERE id < 7")
    plain = ("restore", school.made, "--table", "exam", "--dry-run")
    named = [f"              + {number}" for number in range(1, 7)]
    short, whole = school.korrigo(*plain).out, school.korrigo(*plain, "-v").out
    assert [line in short for line in named] == [True] * 3 + [False] * 3
    assert "            and 3 more (-v names them)\n" in short
    assert ([line in whole for line in named], " more" in whole) == ([True] * 6, False)
    deleted = ("undelete", "--table", "exam", "--dry-run")
    short, whole = school.korrigo(*deleted).out, school.korrigo(*deleted, "-v").out
    assert ("and 3 more (-v names them)" in short, "and 3 more" in whole) == (True, False)
    assert all(f"            + {number}" in whole for number in range(1, 7))


def test_newer_rows_stay_unless_exact_is_typed(school):
    before = school.rows()
    school.sql(DAMAGE + "; INSERT INTO exam (name) VALUES ('newer')")
    assert restored(school, "--yes")["plan"]["tables"][0]["newer"] == 1
    assert school.sql("SELECT count(*) FROM exam") == [(13,)]
    assert restored(school, "--exact", "--yes")["plan"]["tables"][0]["removed"] == 1
    assert school.rows() == before


def test_a_newer_row_that_has_taken_a_unique_value_is_named_and_exact_removes_it(school):
    before = school.rows()
    school.sql("DELETE FROM exam WHERE id = 2; INSERT INTO exam (name) VALUES ('exam 2')")
    assert "exam_name_key" in restored(school, "--yes", code=4)["error"]["message"]
    restored(school, "--exact", "--yes")
    assert school.rows() == before


def test_references_that_would_break_are_refused_with_the_command_that_helps(school):
    before = school.rows()
    school.sql("UPDATE exam SET teacher_id = 2; DELETE FROM exam WHERE id = 3; DELETE FROM teacher WHERE id = 1")
    error = restored(school, "--yes", code=4)["error"]
    assert "public.teacher that are not live: 1" in error["message"]
    command = error["hint"].partition("korrigo-backup ")[2].split()
    school.korrigo(*command, "--yes")
    restored(school, "--yes")
    assert school.rows() == before


def test_the_offer_of_rescue_is_a_command_that_works(school):
    before = school.rows()
    school.aged(school.made, 1)
    school.sql(DAMAGE)
    offers = [one["command"] for one in school.json("rescue", "--only-data")["offers"]]
    (command,) = [one for one in offers if "restore --table" in one]
    school.korrigo(*shlex.split(command)[1:], "--yes")
    assert school.rows() == before


def test_two_tables_come_back_together(school):
    before = school.rows()
    school.sql(
        "DELETE FROM exam WHERE teacher_id = 1; DELETE FROM teacher WHERE id = 1; INSERT INTO teacher VALUES (9, 'x')"
    )
    restored(school, "--table", "teacher", "--exact", "--yes")
    assert school.rows() == before


def test_a_newer_row_to_which_others_refer_is_not_removed(school):
    school.sql("INSERT INTO teacher VALUES (9, 'x'); UPDATE exam SET teacher_id = 9 WHERE id = 1")
    before = school.rows()
    failed = school.korrigo("restore", school.made, "-T", "teacher", "--exact", "--yes", code=4)
    assert "newer rows of public.teacher cannot be removed" in failed.err
    assert school.rows() == before


def test_a_dropped_table_is_refused_and_comes_back_by_the_way_of_the_guide(school):
    before = school.rows()
    school.sql("INSERT INTO teacher (name) VALUES ('of today')")
    school.sql("DROP TABLE exam CASCADE")
    failed = school.korrigo("restore", school.made, "--table", "exam", "--yes", code=4)
    assert "docs/how-to/rescue.md (A dropped table)" in failed.err
    for line in guide("A dropped table"):
        words = line.replace("db_backup_20260504_030000.sql.gz", str(school.made))
        words = words.replace("exams_exam", "exam").replace("viatique_db", school.database)
        if line.startswith("korrigo-backup"):
            school.korrigo(*shlex.split(words)[1:], "--yes")
        else:
            school.run(["bash", "-o", "pipefail", "-ec", words], env=libpq(school))
    school.sql("DELETE FROM teacher WHERE name = 'of today'")
    assert school.rows() == before
    school.sql("INSERT INTO exam (name) VALUES ('next')")
    found = school.json("compare", school.made, code=9)
    assert (found["lost_objects"], found["new_objects"]) == ([], [])
    assert [one["name"] for one in found["tables"]] == ["public.exam"]


def test_without_a_difference_nothing_is_done(school):
    assert "nothing is to do" in restored(school, "--yes", code=6)["error"]["message"]


def test_options_of_a_whole_restore_are_refused(school):
    assert "--in-place" in restored(school, "--in-place", code=2)["error"]["message"]
    assert "--exact goes with --table" in school.korrigo("restore", school.made, "--exact", code=2).err


def test_a_rollback_makes_the_tables_as_they_were_before(school):
    school.sql(
        DAMAGE + "; INSERT INTO exam (name) VALUES ('exam 2'); UPDATE exam SET teacher_id = 3;"
        " DELETE FROM teacher WHERE id = 1; INSERT INTO teacher VALUES (9, 'x');"
        " UPDATE exam SET teacher_id = 9 WHERE id = 7"
    )
    before = school.rows()
    restored(school, "--table", "teacher", "--exact", "--yes")
    assert school.rows() != before
    school.korrigo("rollback", "--yes")
    assert school.rows() == before


def test_a_rollback_refuses_when_a_removed_row_was_made_again(school):
    school.sql("INSERT INTO teacher VALUES (9, 'x')")
    school.korrigo("restore", school.made, "-T", "teacher", "--exact", "--yes")
    school.sql("INSERT INTO teacher VALUES (9, 'y')")
    assert "made again" in school.korrigo("rollback", "--yes", code=4).err


def test_a_table_with_nothing_but_its_key_is_brought_back(make_site):
    site = make_site(schema="CREATE TABLE tag (id int PRIMARY KEY); INSERT INTO tag SELECT generate_series(1, 5)")
    made = site.backup()
    site.sql("DELETE FROM tag WHERE id > 3; INSERT INTO tag VALUES (9)")
    site.korrigo("revert", "--table", "tag", "--from", made, "--yes", code=6)
    assert site.sql("SELECT array_agg(id ORDER BY id) FROM tag") == [([1, 2, 3, 9],)]
    site.korrigo("restore", made, "--table", "tag", "--yes")
    assert site.sql("SELECT array_agg(id ORDER BY id) FROM tag") == [([1, 2, 3, 4, 5, 9],)]


def test_a_child_that_comes_while_the_plan_is_read_is_not_removed_with_its_parent(school: Sandbox) -> None:
    school.sql("CREATE TABLE mark (id serial PRIMARY KEY, exam_id int REFERENCES exam ON DELETE CASCADE)")
    school.sql("INSERT INTO exam (name) VALUES ('newer')")
    wired = school.wired()

    def confirm(_: ValuePlan) -> bool:
        school.sql("INSERT INTO mark (exam_id) SELECT id FROM exam WHERE name = 'newer'")
        return True

    dump = wired.catalog.find("latest")
    options = TableOptions(("exam",), exact=True)
    with pytest.raises(Refused, match=r"newer rows of public\.\w+ cannot be removed"):
        restore_tables(wired.site(), wired.catalog, dump, options, now=local_now(), confirm=confirm)
    assert school.sql("SELECT count(*) FROM mark JOIN exam ON exam.id = exam_id") == [(1,)]


def test_a_row_of_another_partition_is_a_live_parent(make_site):
    site = make_site(
        schema="CREATE TABLE par (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE par1 PARTITION OF par FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE par2 PARTITION OF par FOR VALUES FROM (10) TO (20); INSERT INTO par VALUES (1), (11);"
        "CREATE TABLE kid (id int PRIMARY KEY, par_id int REFERENCES par, note text);"
        "INSERT INTO kid VALUES (1, 1, 'a'), (2, 11, 'b');"
    )
    made, before = site.backup(), site.rows()
    site.sql("DELETE FROM kid WHERE id = 2; UPDATE kid SET note = 'x'")
    site.korrigo("restore", made, "--table", "kid", "--yes")
    assert site.rows() == before
    site.sql("DELETE FROM kid WHERE id = 2; DELETE FROM par WHERE id = 11")
    refused = site.korrigo("restore", made, "--table", "kid", "--yes", code=4)
    assert "--table public.par1 or --table public.par2" in refused.err


def test_a_parent_that_gets_its_value_back_with_its_child_is_no_obstacle(make_site):
    site = make_site(
        schema="CREATE TABLE p (id int PRIMARY KEY, code text UNIQUE); INSERT INTO p VALUES (1, 'a');"
        "CREATE TABLE k (id int PRIMARY KEY, code text REFERENCES p (code)); INSERT INTO k VALUES (1, 'a');"
    )
    made = site.backup()
    site.sql("INSERT INTO p VALUES (2, 'b'); UPDATE k SET code = 'b'; UPDATE p SET code = 'c' WHERE id = 1")
    site.korrigo("restore", made, "--table", "k", "--table", "p", "--yes")
    assert site.sql("SELECT code FROM k") == [("a",)]
    assert site.sql("SELECT id, code FROM p ORDER BY id") == [(1, "a"), (2, "b")]
