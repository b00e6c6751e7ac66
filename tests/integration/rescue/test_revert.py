"""Changed values of live rows are put back, and no value that somebody has changed again."""

import json
import shlex

import pytest

from rescue_days import EXAMS

ACCIDENT = "UPDATE exam SET name = 'oops ' || id, points = 0, facts = NULL"


@pytest.fixture
def school(make_site):
    """A site with exams, and its backup."""
    made = make_site(schema=EXAMS)
    made.made = made.backup()
    return made


def revert(site, *arguments, code=0):
    return site.json("revert", "--table", "exam", "--from", site.made, *arguments, code=code)


def test_all_values_that_an_update_without_where_has_changed_are_put_back(school):
    before = school.rows()
    school.sql(ACCIDENT)
    plan = revert(school, "--yes")["plan"]
    assert plan["tables"][0]["columns"] == {"name": 12, "points": 12, "facts": 12}
    assert plan["tables"][0]["rows"][0]["values"][0] == {"column": "name", "now": "oops 1", "then": "exam 1"}
    assert [one["id"] for one in plan["findings"]] == ["revert.two_way"]
    assert school.rows() == before


def test_a_dry_run_changes_nothing_and_another_answer_neither(school):
    school.sql(ACCIDENT)
    before = school.rows()
    assert revert(school, "--dry-run")["plan"]["tables"][0]["changed"] == 12
    out = school.korrigo("revert", "-T", "exam", "--from", school.made, code=5, stdin="no\n").out
    assert "nobody can tell" in out
    assert school.rows() == before


def test_a_value_that_was_changed_again_stays_and_is_named(school):
    school.sql(ACCIDENT)
    after = school.backup()
    school.sql("UPDATE exam SET name = 'mended' WHERE id = 3; UPDATE exam SET held = '2030-01-01' WHERE id = 4")
    plan = revert(school, "--yes")["plan"]
    assert plan["accident"] == after.name
    assert plan["conflicts"] == [
        {
            "kind": "changed_again", "table": "public.exam", "key": ["3"], "column": "name", "then": "exam 3",
            "after": "oops 3", "now": "mended", "message": "", "left": True, "detail": "", "required": "",
        }
    ]  # fmt: skip
    assert plan["tables"][0]["newer_values"] == 1
    assert school.sql("SELECT id, name FROM exam WHERE name <> 'exam ' || id") == [(3, "mended")]
    assert school.sql("SELECT count(*) FROM exam WHERE points = 0") == [(0,)]
    assert school.sql("SELECT held::text FROM exam WHERE id = 4") == [("2030-01-01",)]


def test_a_conflict_stops_the_whole_if_that_is_asked_for(school):
    school.sql(ACCIDENT)
    school.backup()
    school.sql("UPDATE exam SET name = 'mended' WHERE id = 3")
    before = school.rows()
    failed = school.korrigo("revert", "-T", "exam", "--from", school.made, "--on-conflict", "stop", "--yes", code=4)
    assert "public.exam:3" in failed.err
    assert "detail: 'mended' now" in failed.err
    assert "mended" not in (school.home / ".local/state/korrigo-backup/failures.json").read_text()
    assert school.rows() == before


def test_the_backup_of_after_the_accident_can_be_named(school):
    school.sql("UPDATE exam SET points = 1 WHERE id = 1")
    school.backup()
    school.sql("UPDATE exam SET points = 0")
    after = school.backup()
    plan = revert(school, "--accident", after, "--yes")["plan"]
    assert plan["accident"] == after.name
    assert school.sql("SELECT count(*) FROM exam WHERE points = 0") == [(0,)]


def test_an_honest_change_before_the_accident_is_not_taken_for_it(school):
    school.sql("UPDATE exam SET name = 'honest' WHERE id = 1")
    before_it = school.backup()
    school.sql("UPDATE exam SET name = 'oops' || id WHERE id > 1")
    plan = revert(school, "--dry-run")["plan"]
    (newer,) = [one for one in plan["findings"] if one["id"] == "revert.newer"]
    assert newer["hint"].endswith(f"--from {before_it.name}")
    after_it = school.backup()
    failed = school.korrigo("revert", "-T", "exam", "--from", school.made, "--yes", code=4)
    assert "revert.steps" in failed.err
    assert f"--from {before_it.name} --accident {after_it.name}" in failed.err
    school.korrigo("revert", "-T", "exam", "--from", before_it, "--accident", after_it, "--yes")
    assert school.sql("SELECT id, name FROM exam WHERE name <> 'exam ' || id") == [(1, "honest")]


def test_only_chosen_columns_of_chosen_rows_are_put_back(school):
    school.sql(ACCIDENT)
    revert(school, "--column", "points", "--where", "exam.teacher_id = 1 AND name <> 'exam 3'", "--yes")
    assert school.sql("SELECT id FROM exam WHERE points > 0 ORDER BY 1") == [(6,), (9,), (12,)]
    assert school.sql("SELECT count(*) FROM exam WHERE name LIKE 'oops%'") == [(12,)]


def test_a_condition_can_only_read(school):
    school.sql(ACCIDENT)
    before = school.rows()
    where = "true); DELETE FROM teacher WHERE (true"
    assert "not understood" in revert(school, "--where", where, "--yes", code=2)["error"]["message"]
    assert school.rows() == before


@pytest.mark.parametrize("column", ["id", "twice", "serial", "nam"])
def test_a_column_that_cannot_be_put_back_is_refused(school, column):
    school.sql(ACCIDENT)
    assert column in revert(school, "--column", column, "--yes", code=2)["error"]["message"]


def test_composite_keys_and_floats_are_compared_as_they_are(school):
    before = school.rows()
    school.sql("UPDATE pair SET value = value * 3")
    school.korrigo("revert", "-T", "pair", "--from", school.made, "--yes")
    assert school.rows() == before


def test_deleted_rows_are_left_to_undelete_and_new_ones_stay(school):
    school.sql(ACCIDENT + "; DELETE FROM exam WHERE id = 5; INSERT INTO exam (name) VALUES ('new')")
    plan = revert(school, "--yes")["plan"]
    assert (plan["tables"][0]["missing"], plan["tables"][0]["newer"]) == (1, 1)
    assert "revert.deleted" in [one["id"] for one in plan["findings"]]
    assert school.sql("SELECT count(*) FROM exam WHERE name = 'new' OR id = 5") == [(1,)]


def test_a_row_that_the_database_does_not_take_is_left_and_named(school):
    school.sql("UPDATE exam SET teacher_id = 2; DELETE FROM teacher WHERE id = 1")
    plan = revert(school, "--yes")["plan"]
    refused = [one["key"] for one in plan["conflicts"]]
    assert refused == [["3"], ["6"], ["9"], ["12"]]
    assert school.sql("SELECT count(*) FROM exam WHERE teacher_id = 3") == [(4,)]
    assert "teacher" in plan["conflicts"][0]["message"]


def test_a_role_that_may_not_change_the_table_is_told_so(school):
    school.sql(ACCIDENT)
    school.sql("REVOKE UPDATE ON exam FROM viatique_user")
    assert "permission denied" in revert(school, "--yes", code=4)["error"]["message"]


def test_a_trigger_that_sets_a_column_is_named_before_anything_changes(school):
    school.sql(ACCIDENT)
    school.sql(
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.points := 7; RETURN NEW; END $$;"
        "CREATE TRIGGER touch BEFORE UPDATE ON exam FOR EACH ROW EXECUTE FUNCTION touch()"
    )
    before = school.rows()
    error = revert(school, "--where", "id < 12", "--yes", code=4)["error"]
    assert "public.exam.points" in error["message"]
    assert school.rows() == before
    [_, *command] = shlex.split(error["hint"].partition(": ")[2])
    school.korrigo(*command, "--yes")
    assert school.sql("SELECT count(*) FROM exam WHERE name LIKE 'oops%' OR facts IS NULL") == [(1,)]


def test_a_condition_that_holds_for_no_row_of_the_backup_is_named_as_the_cause(school):
    school.sql(ACCIDENT)
    error = revert(school, "--where", "name LIKE 'oops%'", "--yes", code=6)["error"]
    assert "the condition holds for no row of public.exam" in error["message"]
    assert error["hint"].endswith("by their key: id")


def test_what_cannot_be_told_is_refused(school):
    school.sql(ACCIDENT)
    assert "no key" in school.korrigo("revert", "-T", "keyless", "--from", school.made, "--yes", code=4).err
    assert "--from ARTIFACT" in school.korrigo("revert", "-T", "exam", "--yes", code=2).err
    assert "no table is named" in school.korrigo("revert", code=2).err
    later = school.backup()
    assert "not later" in revert(school, "--from", later, "--accident", school.made, code=2)["error"]["message"]


def test_without_a_difference_nothing_is_done(school):
    assert "no value is left" in revert(school, "--yes", code=6)["error"]["message"]
    assert revert(school, "--dry-run", code=6)["plan"]["findings"] == []


def test_a_rollback_gives_the_values_of_before_the_revert_again(school):
    school.sql(ACCIDENT)
    before = school.rows()
    revert(school, "--yes")
    assert "roll back the revert" in school.korrigo("rollback", "--dry-run").out
    assert "The revert is undone" in school.korrigo("rollback", "--yes").out
    assert school.rows() == before
    assert not list(school.backups.glob(".undelete-*"))


def test_a_rollback_refuses_rows_that_were_changed_again(school):
    school.sql(ACCIDENT)
    revert(school, "--yes")
    school.sql("UPDATE exam SET name = 'newer' WHERE id = 3")
    before = school.rows()
    assert "changed again since the revert: 3" in school.korrigo("rollback", "--yes", code=4).err
    assert school.rows() == before


def test_the_record_of_former_values_is_private(school):
    school.sql(ACCIDENT)
    revert(school, "--yes")
    (record,) = school.backups.glob(".undelete-*.done")
    assert record.stat().st_mode & 0o777 == 0o600
    head, *lines = record.read_text().splitlines()
    assert json.loads(head)["verb"] == "revert"
    assert json.loads(lines[0])["former"]["name"] == "oops 1"


def test_the_offer_of_rescue_is_a_command_that_works(school):
    before = school.rows()
    school.aged(school.made, 1)
    school.sql(ACCIDENT)
    offers = [one["command"] for one in school.json("rescue", "--only-data")["offers"]]
    (command,) = [one for one in offers if " revert " in one]
    school.korrigo(*shlex.split(command)[1:], "--yes")
    assert school.rows() == before


def test_a_rollback_that_a_trigger_of_the_site_hinders_changes_nothing(school):
    school.sql(ACCIDENT)
    school.sql(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " NEW.points = greatest(NEW.points, OLD.points); RETURN NEW; END $$;"
        "CREATE TRIGGER keep BEFORE UPDATE ON exam FOR EACH ROW EXECUTE FUNCTION keep()"
    )
    revert(school, "--yes")
    after = school.rows()
    assert "not those of before" in school.korrigo("rollback", "--yes", code=9).err
    assert school.rows() == after
    school.sql("DROP TRIGGER keep ON exam")
    school.korrigo("rollback", "--yes")
    assert school.sql("SELECT count(*) FROM exam WHERE points = 0") == [(12,)]
