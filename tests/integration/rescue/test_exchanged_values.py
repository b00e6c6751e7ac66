"""Unique values that changed places since the backup come back by one command, and their rollback exchanges them again."""

import pytest

from sandbox import Sandbox, drop_database

SCHEMA = """
CREATE TABLE exam (id int PRIMARY KEY, place int NOT NULL UNIQUE CHECK (place >= 0), name varchar(9) NOT NULL UNIQUE,
                   code text UNIQUE, born date NOT NULL UNIQUE, tag uuid NOT NULL UNIQUE, a int NOT NULL, b int NOT NULL,
                   UNIQUE (a, b));
INSERT INTO exam SELECT n, n, 'exam ' || n, 'c' || n, date '2026-01-01' + n, md5(n::text)::uuid, 1, n
FROM generate_series(1, 4) n;
"""
TAKEN_OUT = (
    "ALTER TABLE exam DROP CONSTRAINT exam_{0}_key; {1}; ALTER TABLE exam ADD CONSTRAINT exam_{0}_key UNIQUE ({2})"
)
PASSED_ON = {
    "place": "UPDATE exam SET place = (place + 1) % 4 + 1",
    "name": "UPDATE exam SET name = 'exam ' || (id + 1) % 4 + 1",
    "code": "UPDATE exam SET code = 'c' || (id + 1) % 4 + 1",
    "born": "UPDATE exam SET born = born + 1",
    "tag": "UPDATE exam SET tag = md5(((id + 1) % 4 + 1)::text)::uuid",
    "a_b": "UPDATE exam SET b = b % 4 + 1",
}


@pytest.fixture(scope="module")
def numbered(server, tmp_path_factory):
    made = Sandbox(server, "viatique_numbered", tmp_path_factory.mktemp("numbered") / "site")
    made.create(SCHEMA)
    yield made, made.rows(), str(made.backup())
    drop_database(server, "viatique_numbered")


@pytest.fixture
def passed_on(numbered):
    """A site in which each row has the unique values of another."""
    site = numbered[0]
    for name, change in PASSED_ON.items():
        site.sql(TAKEN_OUT.format(name, change, name.replace("_", ", ")))
    yield numbered
    site.sql("DROP TABLE exam")
    site.sql(SCHEMA)


def test_a_revert_gives_each_row_the_unique_value_back_that_another_has_now(passed_on):
    site, saved, dump = passed_on
    after = site.rows()
    site.korrigo("revert", "--table", "exam", "--from", dump, "--yes")
    assert site.rows() == saved
    site.korrigo("rollback", "--yes")
    assert site.rows() == after


def test_a_restored_table_too_with_rows_that_came_and_went(passed_on):
    site, saved, dump = passed_on
    site.sql("DELETE FROM exam WHERE id = 2; INSERT INTO exam SELECT 9, 0, 'new', 'new', born + 50,"
                  " gen_random_uuid(), 3, 3 FROM exam WHERE id = 1")  # fmt: skip
    after = site.rows()
    site.korrigo("restore", dump, "--table", "exam", "--exact", "--yes")
    assert site.rows() == saved
    site.korrigo("rollback", "--yes")
    assert site.rows() == after


def test_an_undelete_overwrites_rows_that_have_exchanged_their_values(passed_on):
    site, saved, dump = passed_on
    site.sql("DELETE FROM exam WHERE id = 2")
    after = site.rows()
    over = [part for n in (1, 3, 4) for part in ("--overwrite", f"exam:{n}")]
    site.korrigo("undelete", *(f"exam:{n}" for n in range(1, 5)), *over, "--from", dump, "--yes")
    assert site.rows() == saved
    site.korrigo("rollback", "--yes")
    assert site.rows() == after


def test_a_value_that_a_row_keeps_is_a_conflict_as_before(passed_on):
    site, _, dump = passed_on
    after = site.rows()
    ran = site.korrigo("revert", "--table", "exam", "--where", "id < 4", "--from", dump, "--yes", code=4)
    assert "duplicate key value" in ran.err
    assert site.rows() == after


def test_the_plan_says_that_triggers_see_an_exchange_twice(passed_on):
    site, _, dump = passed_on
    over = [part for n in range(1, 5) for part in (f"exam:{n}", "--overwrite", f"exam:{n}")]
    revert = ("revert", "--table", "exam", "--column", "code", "--from", dump, "--dry-run")
    assert "rescue.exchanged" not in {one["id"] for one in site.json(*revert)["plan"]["findings"]}
    site.sql(
        "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
        "CREATE TRIGGER seen BEFORE UPDATE ON exam FOR EACH ROW EXECUTE FUNCTION seen()"
    )
    for command in (
        revert,
        ("restore", dump, "--table", "exam", "--dry-run"),
        ("undelete", *over, "--from", dump, "--dry-run"),
    ):
        found = {one["id"]: one["message"] for one in site.json(*command)["plan"]["findings"]}
        assert "triggers on UPDATE see" in found["rescue.exchanged"]
    site.sql("DROP FUNCTION seen CASCADE")


FOLLOWED = """
CREATE TABLE exam (id int PRIMARY KEY, code text UNIQUE, twin text GENERATED ALWAYS AS ('t' || code) STORED UNIQUE);
CREATE TABLE seat (id int PRIMARY KEY, code text DEFAULT 'none' REFERENCES exam ({0}) ON UPDATE {1});
INSERT INTO exam (id, code) VALUES (1, 'a'), (2, 'b'), (9, 'none');
INSERT INTO seat VALUES (1, '{2}a'), (2, '{2}b');
"""


@pytest.mark.promise("P2")
@pytest.mark.parametrize(("action", "column"), [("SET DEFAULT", "code"), ("CASCADE", "twin")])
def test_a_value_that_rows_elsewhere_follow_is_not_given_up(make_site, action, column):
    site = make_site(schema=FOLLOWED.format(column, action, "t" if column == "twin" else ""))
    dump = site.backup()
    site.sql(
        "UPDATE exam SET code = 'x' WHERE id = 1; UPDATE exam SET code = 'a' WHERE id = 2;"
        " UPDATE exam SET code = 'b' WHERE id = 1"
    )
    after = site.sql("SELECT * FROM exam ORDER BY 1"), site.sql("SELECT * FROM seat ORDER BY 1")
    over = ("exam:1", "exam:2", "--overwrite", "exam:1", "--overwrite", "exam:2", "--from", dump)
    for command in (("revert", "--table", "exam", "--from", dump), ("undelete", *over)):
        assert "duplicate key value" in site.korrigo(*command, "--yes", code=4).err
    assert (site.sql("SELECT * FROM exam ORDER BY 1"), site.sql("SELECT * FROM seat ORDER BY 1")) == after
