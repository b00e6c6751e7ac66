"""`history MODEL:KEY`: a row in each dump and now, and who changed it."""

import pytest

from rescue_days import days, history


def kinds(found):
    return [(one["kind"], one["source"]) for one in found["events"]]


def test_a_row_is_shown_where_it_changes(site):
    first, second, third = days(
        site, "UPDATE exam SET name = 'Maths' WHERE id = 7", "UPDATE exam SET held = NULL WHERE id = 8"
    )
    site.sql("TRUNCATE copy CASCADE; DELETE FROM exam WHERE id = 7")
    found = history(site, "exam:7")
    assert kinds(found) == [("first seen", first), ("changed", second), ("gone", "live")]
    assert found["events"][1]["fields"] == [{"field": "name", "old": "exam 7", "new": "Maths"}]
    assert found["events"][1]["after"] < found["events"][1]["at"]
    assert (found["is_live"], found["dumps"], found["read"]) == (False, 3, 3)
    out = site.korrigo("history", "exam:7").out
    assert "name: exam 7 → Maths" in out
    assert "now               gone: last seen" in out
    assert third not in out


def test_a_dump_in_which_the_table_did_not_change_is_not_read(site):
    days(site, "UPDATE copy SET mark = 1", "UPDATE copy SET mark = 2")
    found = history(site, "exam:7")
    assert (found["dumps"], found["read"]) == (3, 1)
    assert len(found["events"]) == 1
    assert site.korrigo("history", "exam:7").out.endswith("now               live, unchanged since\n")


def test_a_column_that_was_renamed_is_seen_though_the_digest_may_be_the_same(site):
    days(site, "ALTER TABLE exam RENAME held TO holden")
    found = history(site, "exam:7")
    assert [one["field"] for one in found["events"][1]["fields"]] == ["holden", "held"]


def test_only_a_field_and_only_a_time(site):
    days(site, "UPDATE exam SET name = 'a' WHERE id = 7", "UPDATE exam SET held = NULL WHERE id = 7")
    assert len(history(site, "exam:7", "--field", "name")["events"]) == 2
    assert history(site, "exam:7", "--since", "2001-01-01", "--until", "2001-01-02", code=6)["error"]["code"] == 6
    assert "did you mean held?" in history(site, "exam:7", "--field", "hold", code=2)["error"]["hint"]


def test_a_row_that_was_never_there_is_not_found(site):
    days(site)
    assert history(site, "exam:9999", code=6)["error"]["id"] == "rescue.no_row"


def test_a_table_that_was_dropped_had_rows(site):
    days(site)
    site.sql("DROP TABLE annotation")
    assert [kind for kind, _ in kinds(history(site, "annotation:1"))] == ["first seen", "gone"]


def test_without_the_database_the_dumps_are_read(site):
    days(site)
    done = site.korrigo("history", "exam:7", env={"POSTGRES_PORT": "1"})
    assert "first seen" in done.out
    assert "the live state is not known" in done.out


def test_an_object_of_django_has_its_model_and_the_admins_log(demo):
    exam = demo.sql("SELECT id::text FROM exams_exam ORDER BY id")[0][0]
    demo.sql(
        "DELETE FROM django_admin_log; INSERT INTO django_admin_log (action_time, object_id, object_repr, action_flag, change_message,"
        f" content_type_id, user_id) SELECT now() - interval '1 hour', '{exam}', 'x', 2,"
        """ '[{"changed": {"fields": ["Name"]}}]', t.id, (SELECT min(id) FROM auth_user)"""
        " FROM django_content_type t WHERE app_label = 'exams' AND model IN ('exam', 'copy')"
    )
    user = demo.sql("SELECT username FROM auth_user ORDER BY id")[0][0]
    days(demo, "SELECT 1")
    for named in (f"exams.Exam:{exam}", f"exams_exam:{exam.upper()}"):
        found = history(demo, named)
        assert [(one["by"], one["action"], one["message"]) for one in found["entries"]] == [(user, "changed", "Name")]
    assert history(demo, f"exams.Exam:{exam}")["object"] == f"exams.exam:{exam}"
    demo.sql("TRUNCATE django_admin_log")
    assert len(history(demo, f"exams_exam:{exam}")["entries"]) == 1


@pytest.mark.parametrize("named", ["exams.Exan:1", "exams_exan:1"])
def test_a_name_that_is_near_is_offered(demo, named):
    days(demo)
    hint = history(demo, named, code=6)["error"]["hint"]
    assert "exam" in hint
    assert "did you mean" in hint


def test_the_history_tables_of_a_package_and_of_the_site_name_who_changed_a_row(site):
    (site.home / "korrigo-backup.toml").write_text('[rescue]\naudit = "own_log"\n')
    site.sql(
        "CREATE TABLE people (id int PRIMARY KEY, username text); INSERT INTO people VALUES (5, 'marie');"
        "CREATE TABLE exams_mark (id int PRIMARY KEY, points int); INSERT INTO exams_mark VALUES (1, 12);"
        "CREATE TABLE exams_historicalmark (id int, points int, history_id serial PRIMARY KEY,"
        " history_date timestamptz, history_type text, history_user_id int REFERENCES people);"
        "INSERT INTO exams_historicalmark (id, points, history_date, history_type, history_user_id)"
        " VALUES (1, 12, now() - interval '3 hours', '~', 5), (2, 9, now(), '+', 5);"
        "CREATE TABLE own_log (record_id text, changed_at timestamptz, changed_by text);"
        "INSERT INTO own_log VALUES ('1', now() - interval '2 hours', 'paul')"
    )
    days(site)
    entries = history(site, "exams_mark:1")["entries"]
    assert [(one["table"], one["by"], one["action"]) for one in entries] == [
        ("exams_historicalmark", "marie", "changed"),
        ("own_log", "paul", ""),
    ]
    site.sql("TRUNCATE exams_historicalmark, own_log")
    assert [one["by"] for one in history(site, "exams_mark:1")["entries"]] == ["5", "paul"]
