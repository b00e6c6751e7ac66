"""Deleted rows come back with all that belongs to them, and no other row is touched."""

import time
from datetime import datetime

import pytest

SCHEMA = """
CREATE TABLE person (id serial PRIMARY KEY, username text NOT NULL UNIQUE, boss_id int REFERENCES person);
CREATE TABLE exam (id serial PRIMARY KEY, name text NOT NULL UNIQUE, author_id int REFERENCES person, rival_id int);
CREATE TABLE copy (id uuid PRIMARY KEY, exam_id int NOT NULL REFERENCES exam, note text,
                   corrector_id int REFERENCES person);
CREATE TABLE mark (exam_id int REFERENCES exam, number int, value numeric(4,1) CHECK (value <= 20),
                   copy_id uuid NOT NULL REFERENCES copy DEFERRABLE INITIALLY DEFERRED, PRIMARY KEY (exam_id, number));
CREATE TABLE remark (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, exam_id int, number int, body text,
                     twice text GENERATED ALWAYS AS (body || body) STORED,
                     FOREIGN KEY (exam_id, number) REFERENCES mark);
CREATE TABLE tag (id serial PRIMARY KEY, name text);
CREATE TABLE exam_tags (id serial PRIMARY KEY, exam_id int NOT NULL REFERENCES exam, tag_id int NOT NULL REFERENCES tag);
CREATE TABLE room (id serial PRIMARY KEY, exam_id int REFERENCES exam);
ALTER TABLE exam ADD FOREIGN KEY (rival_id) REFERENCES exam;
INSERT INTO person (username, boss_id) SELECT 'p' || n, CASE WHEN n > 1 THEN n / 2 END FROM generate_series(1, 9) n;
INSERT INTO exam (name, author_id) SELECT 'exam ' || n, 1 + n % 9 FROM generate_series(1, 8) n;
UPDATE exam SET rival_id = id % 8 + 1;
INSERT INTO copy SELECT md5(n::text)::uuid, 1 + n % 8, E'a\\tb\\n' || n, 1 + n % 9 FROM generate_series(1, 64) n;
INSERT INTO mark SELECT 1 + n % 8, n, n % 20, md5(n::text)::uuid FROM generate_series(1, 64) n;
INSERT INTO remark (exam_id, number, body) SELECT exam_id, number, 'é ✅' FROM mark;
INSERT INTO tag (name) VALUES ('a'), ('b'), ('c');
INSERT INTO exam_tags (exam_id, tag_id) SELECT e, t FROM generate_series(1, 8) e, generate_series(1, 3) t;
INSERT INTO room (exam_id) SELECT n FROM generate_series(1, 8) n;
"""

DELETE_EXAM = """
UPDATE exam SET rival_id = NULL WHERE rival_id = {0}; UPDATE room SET exam_id = NULL WHERE exam_id = {0};
DELETE FROM remark WHERE exam_id = {0}; DELETE FROM mark WHERE exam_id = {0}; DELETE FROM exam_tags WHERE exam_id = {0};
DELETE FROM copy WHERE exam_id = {0}; DELETE FROM exam WHERE id = {0};
"""


@pytest.fixture
def school(make_site):
    """A site with exams, and its backup."""
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    return made


def test_a_deleted_exam_comes_back_with_all_that_was_deleted_with_it(school):
    before = school.rows()
    school.sql(DELETE_EXAM.format(5))
    assert "no live row is changed" not in school.korrigo("undelete", "exam:5", "--relink", "--dry-run").out
    done = school.korrigo("undelete", "exam:5", "--relink", "--yes")
    assert "brought back" in done.out
    assert school.rows() == before
    assert school.journal()[-1]["subject"] == "1 row of public.exam"  # a key may be personal data


def test_without_relink_emptied_references_stay_empty_and_are_named(school):
    school.sql(DELETE_EXAM.format(5))
    plan = school.json("undelete", "exam:5", "--yes")["plan"]
    assert {(link["table"], len(link["keys"])) for link in plan["links"]} == {("public.exam", 1), ("public.room", 1)}
    assert school.sql("SELECT count(*) FROM room WHERE exam_id IS NULL") == [(1,)]


def test_a_dry_run_changes_nothing_and_shows_each_table(school):
    school.sql(DELETE_EXAM.format(5))
    before = school.rows()
    plan = school.json("undelete", "exam:5", "--dry-run")["plan"]
    counts = {one["table"]: (one["asked"], one["with_asked"], one["needed"]) for one in plan["tables"]}
    assert counts == {
        "public.exam": (1, 0, 0), "public.copy": (0, 8, 0), "public.mark": (0, 8, 0), "public.remark": (0, 8, 0),
        "public.exam_tags": (0, 3, 0),
    }  # fmt: skip
    assert school.rows() == before


def test_a_row_that_is_needed_comes_back_without_its_other_children(school):
    school.sql(
        "UPDATE person SET boss_id = NULL WHERE boss_id = 6; UPDATE copy SET corrector_id = 1 WHERE corrector_id = 6"
    )
    school.sql(DELETE_EXAM.format(5) + DELETE_EXAM.format(6) + "DELETE FROM person WHERE id = 6")
    plan = school.json("undelete", "exam:5", "--yes")["plan"]
    assert {one["table"]: one["needed"] for one in plan["tables"] if one["needed"]} == {
        "public.person": 1, "public.exam": 1,
    }  # fmt: skip
    assert school.sql("SELECT count(*) FROM exam") == [(8,)]
    assert school.sql("SELECT count(*) FROM copy WHERE exam_id = 6") == [(0,)]


def test_rows_that_were_deleted_alone_come_back_by_a_condition(school):
    before = school.rows()
    school.sql("DELETE FROM exam_tags WHERE tag_id = 2")
    school.korrigo("undelete", "--table", "exam_tags", "--where", "tag_id = 2 AND exam_tags.exam_id > 0", "--yes")
    assert school.rows() == before


def test_a_condition_can_only_read(school):
    school.sql("DELETE FROM exam_tags WHERE tag_id = 2")
    before = school.rows()
    where = "true'); DELETE FROM remark; SELECT ('"
    assert "not understood" in school.korrigo("undelete", "--table", "exam_tags", "--where", where, "--yes", code=2).err
    where = "true); DELETE FROM remark WHERE (true"
    assert "not understood" in school.korrigo("undelete", "--table", "exam_tags", "--where", where, "--yes", code=2).err
    where = "true; DELETE FROM remark WHERE true"
    assert "read-only" in school.korrigo("undelete", "--table", "exam_tags", "--where", where, "--yes", code=2).err
    assert school.rows() == before


def test_a_live_row_is_no_deleted_row(school):
    assert "is not deleted" in school.korrigo("undelete", "exam:5", "--yes", code=2).err


def test_a_row_that_no_backup_has_is_not_found(school):
    assert "not found" in school.korrigo("undelete", "exam:500", "--yes", code=6).err


def test_the_newest_backup_that_has_the_row_is_taken(school):
    school.sql("UPDATE copy SET note = 'later' WHERE exam_id = 5")
    second = school.backup()
    school.sql(DELETE_EXAM.format(5))
    school.backup()
    before = school.rows()
    plan = school.json("undelete", "exam:5", "--dry-run")["plan"]
    assert plan["artifact"] == second.name
    assert not [one for one in plan["findings"] if one["id"] == "undelete.fuller"]
    school.korrigo("undelete", "exam:5", "--from", school.made, "--yes")
    assert school.sql("SELECT count(*) FROM copy WHERE exam_id = 5 AND note = 'later'") == [(0,)]
    assert school.rows() != before


def test_what_a_restore_has_replaced_is_no_source_before_a_backup(school):
    school.sql("DELETE FROM remark; DELETE FROM mark")
    school.restore(school.made, safety_backup=True)
    school.sql(DELETE_EXAM.format(5))
    plan = school.json("undelete", "exam:5", "--dry-run")["plan"]
    assert plan["artifact"] == school.made.name


def test_a_row_whose_unique_value_is_taken_comes_back_with_a_new_one(school):
    school.sql(DELETE_EXAM.format(5) + DELETE_EXAM.format(6))
    school.sql("INSERT INTO exam (name) VALUES ('exam 5'), ('exam 6')")
    before = school.rows()
    new = ("--new-value", "exam.name=exam 5 = old", "--new-value", "exam.name=exam 6 (old)")
    plan = school.json("undelete", "exam:5", "exam:6", *new, "--yes")["plan"]
    assert plan["conflicts"] == []
    assert [(one["key"], one["former"], one["value"]) for one in plan["new_values"]] == [
        (["5"], "exam 5", "exam 5 = old"),
        (["6"], "exam 6", "exam 6 (old)"),
    ]
    assert school.sql("SELECT name FROM exam WHERE id IN (5, 6) ORDER BY 1") == [("exam 5 = old",), ("exam 6 (old)",)]
    school.korrigo("rollback", "--yes")
    assert school.rows() == before


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("exam.name=free", "no row that comes back has a refused value"),
        ("exam.id=99", "says which row it is"),
        ("exam.nome=x", "has no column nome"),
        ("exam=x", "is no TABLE.COLUMN=VALUE"),
    ],
)
def test_a_new_value_that_no_row_can_take_is_refused(school, typed, words):
    school.sql(DELETE_EXAM.format(5))
    before = school.rows()
    assert words in school.korrigo("undelete", "exam:5", "--new-value", typed, "--yes", code=2).err
    assert school.rows() == before


def test_an_earlier_backup_with_more_rows_is_named(school):
    school.sql("DELETE FROM remark; DELETE FROM mark")
    later = school.backup()
    school.sql(DELETE_EXAM.format(5))
    plan = school.json("undelete", "exam:5", "--dry-run")["plan"]
    assert plan["artifact"] == later.name
    (found,) = [one for one in plan["findings"] if one["id"] == "undelete.fuller"]
    assert f"{school.made.name} had 64" in found["message"]
    assert f"--from {school.made.name}" in found["hint"]
    named = school.json("undelete", "exam:5", "--from", school.made, "--dry-run")["plan"]
    assert not [one for one in named["findings"] if one["id"] == "undelete.fuller"]


@pytest.mark.parametrize(
    ("change", "kind", "columns"),
    [
        ("UPDATE exam SET name = 'exam 5' WHERE id = 1", "unique", ["name"]),
        ("ALTER TABLE mark DROP CONSTRAINT mark_value_check, ADD CHECK (value < 1) NOT VALID", "check", ["value"]),
        ("ALTER TABLE copy ADD pages int NOT NULL DEFAULT 1; ALTER TABLE copy ALTER pages DROP DEFAULT", "not_null", ["pages"]),
        (("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := 1; RETURN NEW; END';"
         "CREATE TRIGGER no BEFORE INSERT ON copy FOR EACH ROW EXECUTE FUNCTION no()"), "trigger", []),
    ],
)  # fmt: skip
def test_a_conflict_is_named_and_nothing_changes(school, change, kind, columns):
    school.sql(DELETE_EXAM.format(5))
    school.sql(change)
    before = school.rows()
    found = school.json("undelete", "exam:5", "--yes", code=4)
    plan = school.json("undelete", "exam:5", "--dry-run", code=4)["plan"]
    assert {one["kind"] for one in plan["conflicts"]} == {kind}
    assert plan["conflicts"][0]["columns"] == columns
    assert found["error"]["id"] == "undelete.conflict"
    assert school.rows() == before


def test_a_taken_value_is_printed_and_not_kept(school):
    school.sql(DELETE_EXAM.format(5) + "UPDATE exam SET name = 'exam 5' WHERE id = 1")
    refused = school.korrigo("undelete", "exam:5", "--yes", code=4)
    assert "detail: Key (name)=(exam 5) already exists." in refused.err
    kept = (school.home / ".local/state/korrigo-backup/failures.json").read_text()
    assert "exam_name_key" in kept
    assert "(exam 5)" not in kept


def test_rows_in_conflict_are_left_out_with_those_that_need_them(school):
    school.sql(DELETE_EXAM.format(5))
    school.sql(
        "ALTER TABLE mark ADD UNIQUE (number); ALTER TABLE remark DROP CONSTRAINT remark_exam_id_number_fkey; "
        "UPDATE mark SET number = 4 WHERE number = 5; ALTER TABLE remark ADD FOREIGN KEY (exam_id, number) REFERENCES mark NOT VALID"
    )
    plan = school.json("undelete", "exam:5", "--on-conflict", "skip", "--yes")["plan"]
    assert [(one["kind"], one["key"], one["left"]) for one in plan["conflicts"]] == [
        ("unique", ["5", "4"], True), ("parent", [plan["conflicts"][1]["key"][0]], True),
    ]  # fmt: skip
    assert {one["table"]: one["with_asked"] for one in plan["tables"]}["public.remark"] == 7


def test_a_sequence_below_the_rows_is_raised(school):
    school.sql(DELETE_EXAM.format(8) + "SELECT setval('exam_id_seq', 7)")
    school.korrigo("undelete", "exam:8", "--yes")
    assert school.sql("INSERT INTO exam (name) VALUES ('new') RETURNING id") == [(9,)]


def test_a_role_without_temporary_tables_is_told(school):
    school.sql(DELETE_EXAM.format(5))
    school.sql(
        f"ALTER DATABASE {school.database} OWNER TO postgres; REVOKE TEMP ON DATABASE {school.database} FROM public, viatique_user",
        superuser=True,
    )
    assert "GRANT TEMPORARY" in school.korrigo("undelete", "exam:5", "--yes", code=4).err


def test_an_answer_other_than_yes_changes_nothing(school):
    school.sql(DELETE_EXAM.format(5))
    before = school.rows()
    school.korrigo("undelete", "exam:5", stdin="no\n", code=5)
    assert school.rows() == before
    school.korrigo("undelete", "exam:5", stdin="oui\n")
    assert school.rows() != before


def test_what_was_deleted_since_a_time_comes_back(school):
    before = school.rows()
    time.sleep(1.1)
    since = datetime.now().isoformat(timespec="seconds")
    school.sql(DELETE_EXAM.format(5) + "DELETE FROM remark WHERE exam_id = 2")
    time.sleep(1.1)
    until = datetime.now().isoformat(timespec="seconds")
    school.backup()
    school.sql(DELETE_EXAM.format(7))
    later = school.rows()
    plan = school.json("undelete", "--since", since, "--until", until, "--dry-run")["plan"]
    assert {one["table"]: one["asked"] for one in plan["tables"]}["public.remark"] == 16
    assert sum(one["asked"] for one in plan["tables"]) == 1 + 8 + 8 + 16 + 3
    assert school.rows() == later
    school.korrigo("undelete", "--since", since, "--relink", "--yes")
    assert school.rows() == before


def test_objects_and_a_whole_table_at_once_are_refused(school):
    assert "asks for all its deleted rows" in school.korrigo("undelete", "exam:5", "--table", "exam", code=2).err


def test_the_hint_for_a_row_that_no_backup_has_names_it(school):
    school.backup()
    hint = school.json("undelete", "exam:999", code=6)["error"]["hint"]
    assert "korrigo-backup history public.exam:999 shows" in hint
