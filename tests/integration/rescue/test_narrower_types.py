"""A live column that holds less than the backup: rounded values are named, and stop the rescue unless accepted."""

import pytest

SCHEMA = """
CREATE TABLE base (note text);
CREATE TABLE mark (id int PRIMARY KEY, value numeric(4,2), held timestamptz, ratio float8, code varchar(9), n int);
CREATE TABLE child (id int PRIMARY KEY, weight numeric(6,3)) INHERITS (base);
INSERT INTO mark SELECT n, n + 0.25, '2026-01-01 10:00+05'::timestamptz, 1.0 / 3, 'ab   ', n FROM generate_series(1, 6) n;
INSERT INTO mark VALUES (7, 1.5, '2026-01-01 10:00', 0.5, 'ab', 7);
INSERT INTO child VALUES ('x', 1, 1.005);
"""

NARROWER = """
ALTER TABLE mark ALTER value TYPE numeric(4,1), ALTER ratio TYPE real, ALTER code TYPE varchar(3), ALTER n TYPE bigint;
"""


@pytest.fixture
def school(make_site):
    """A site with marks, and its backup."""
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    return made


def findings(answer):
    return sorted(one["message"] for one in answer["plan"]["findings"] if one["id"] == "rescue.narrower_type")


def test_an_undelete_stops_at_rounded_values_and_names_each_column(school):
    school.sql("DELETE FROM mark WHERE id IN (1, 2, 7)" + ";" + NARROWER)
    before = school.rows()
    refused = school.json("undelete", "--table", "mark", "--yes", code=4)
    assert [one.partition(" was ")[0] for one in findings(refused)] == [
        "public.mark.code", "public.mark.ratio", "public.mark.value",
    ]  # fmt: skip
    assert all("2 values would not be as in the backup" in one for one in findings(refused))
    assert "numeric(4,2) in the backup, and is numeric(4,1)" in findings(refused)[2]
    assert refused["error"]["id"] == "rescue.narrower_type"
    assert {one["detail"] for one in refused["plan"]["findings"]} == {"one of them: public.mark:1"}
    assert school.rows() == before
    done = school.korrigo("undelete", "--table", "mark", "--accept", "rescue.narrower_type", "--yes")
    assert "as in the backup\n" not in done.out.split("✅", 1)[1]
    assert school.sql("SELECT value::text, code FROM mark WHERE id = 1") == [("1.3", "ab ")]
    school.korrigo("rollback", "--yes")
    assert school.rows() == before


def test_values_that_the_narrower_type_holds_come_back_without_a_word(school):
    school.sql("DELETE FROM mark WHERE id = 7" + ";" + NARROWER)
    assert findings(school.json("undelete", "mark:7", "--yes")) == []
    assert school.sql("SELECT value::text, ratio::text FROM mark WHERE id = 7") == [("1.5", "0.5")]


def test_a_time_that_loses_its_zone_is_named(school):
    school.sql("DELETE FROM mark WHERE id = 1; SET timezone = 'UTC'; ALTER TABLE mark ALTER held TYPE timestamp")
    (found,) = findings(school.json("undelete", "mark:1", "--yes", code=4))
    assert "timestamp with time zone" in found


def test_the_check_of_a_domain_finds_its_names(make_site):
    site = make_site(
        schema="CREATE TABLE allowed (word varchar); INSERT INTO allowed VALUES ('abc'), ('d');"
        "CREATE FUNCTION is_ok(t varchar) RETURNS bool LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN EXISTS (SELECT FROM allowed WHERE word = t); END $$;"
        "CREATE TABLE exam (id int PRIMARY KEY, word text, day date); INSERT INTO exam VALUES (1, 'abc'), (2, 'd');"
    )
    site.backup()
    site.sql(
        "DELETE FROM exam WHERE id = 1; CREATE DOMAIN word AS varchar(5) CHECK (is_ok(VALUE));"
        " ALTER TABLE exam ALTER word TYPE word, ALTER day TYPE timestamp, ADD more word NOT NULL DEFAULT 'd';"
        " ALTER TABLE exam ALTER more DROP DEFAULT, ADD CHECK (word <> 'abc')"
    )
    new = ("--new-value", "exam.more=abc", "--new-value", "exam.word=d")
    site.korrigo("undelete", "exam:1", *new, "--yes")
    assert site.sql("SELECT word, more FROM exam WHERE id = 1") == [("d", "abc")]


def test_an_inherited_column_is_compared_too(school):
    school.sql("DELETE FROM ONLY child WHERE id = 1; ALTER TABLE child ALTER weight TYPE numeric(6,1)")
    (found,) = findings(school.json("undelete", "child:1", "--yes", code=4))
    assert "public.child.weight" in found


@pytest.mark.parametrize("verb", ["restore", "revert"])
def test_a_restored_table_and_a_revert_stop_too(school, verb):
    command = (
        ("restore", school.made, "--table", "mark")
        if verb == "restore"
        else ("revert", "--table", "mark", "--from", school.made)
    )
    school.sql(NARROWER + "UPDATE mark SET value = 9 WHERE id = 3")
    before = school.rows()
    error = school.json(*command, "--yes", code=4)["error"]
    assert error["id"] == "rescue.narrower_type"
    assert "public.mark.value" in error["message"]
    assert "1 value would" in error["message"]
    assert school.rows() == before
    done = school.korrigo(*command, "--accept", "rescue.narrower_type", "--yes")
    assert "as the live columns hold it" in done.out
    assert school.sql("SELECT value::text FROM mark WHERE id = 3") == [("3.3",)]
    assert "without a stop" in school.korrigo(*command, "--accept", "schema.differs", "--yes", code=2).err


WIDER = {
    "integer": ("numeric(8,2)", "5", "5.00"),
    "bigint": ("double precision", "1000000000000000", "1e+15"),
    "double precision": ("numeric", "1e+15", "1000000000000000"),
    "date": ("timestamp", "2026-01-01", "2026-01-01 00:00:00"),
    "character(4)": ("text", "ab", "ab  "),
}


@pytest.mark.parametrize("saved", WIDER)
def test_a_value_that_the_new_type_only_writes_otherwise_comes_back(make_site, saved):
    live, value, shown = WIDER[saved]
    site = make_site(
        schema=f"CREATE TABLE exam (id int PRIMARY KEY, mark {saved}); INSERT INTO exam VALUES (1, '{value}'), (2, NULL)"
    )
    site.backup()
    site.sql(f"DELETE FROM exam; ALTER TABLE exam ALTER mark TYPE {live}")
    site.korrigo("undelete", "--table", "exam", "--yes")
    assert site.sql("SELECT mark::text FROM exam ORDER BY id") == [(shown,), (None,)]


def test_a_dump_writes_no_boolean_as_a_text_of_the_site(make_site):
    site = make_site(schema="CREATE TABLE exam (id int PRIMARY KEY, open boolean); INSERT INTO exam VALUES (1, true)")
    site.backup()
    site.sql("DELETE FROM exam; ALTER TABLE exam ALTER open TYPE text")
    assert "public.exam.open was boolean" in findings(site.json("undelete", "exam:1", "--yes", code=4))[0]


def test_a_saved_type_that_is_gone_is_compared_as_text(make_site):
    site = make_site(
        schema="CREATE TYPE grade AS ENUM ('good', 'bad'); CREATE TABLE exam (id int PRIMARY KEY, mark grade);"
        "INSERT INTO exam VALUES (1, 'good'), (2, 'bad')"
    )
    site.backup()
    site.sql("DELETE FROM exam; ALTER TABLE exam ALTER mark TYPE varchar(3); DROP TYPE grade")
    refused = site.json("undelete", "--table", "exam", "--yes", code=4)
    assert "1 value would not be as in the backup" in findings(refused)[0]
    site.korrigo("undelete", "exam:2", "--yes")
    assert site.sql("SELECT mark FROM exam") == [("bad",)]


KEYS = {"varchar(10)": ("varchar(5)", "abcdef", "abcde"), "numeric(6,2)": ("numeric(6,0)", "5.25", "5")}


@pytest.mark.parametrize("saved", KEYS)
@pytest.mark.parametrize("verb", ["revert", "restore", "undelete"])
def test_a_key_that_the_live_type_makes_another_is_refused(make_site, saved, verb):
    live, then, now = KEYS[saved]
    site = make_site(
        schema=f"CREATE TABLE exam (code {saved} PRIMARY KEY, n int); INSERT INTO exam VALUES ('{then}', 1)"
    )
    made = site.backup()
    site.sql(f"DELETE FROM exam; ALTER TABLE exam ALTER code TYPE {live}; INSERT INTO exam VALUES ('{now}', 7)")
    before = site.rows()
    given = {"revert": ["--table", "exam", "--from", made], "restore": [made, "--table", "exam", "--exact"],
             "undelete": ["--table", "exam", "--overwrite", f"exam:{now}"]}[verb]  # fmt: skip
    refused = site.json(verb, *given, "--yes", code=4)
    assert "1 key of the backup would be that of another row" in refused["error"]["message"]
    assert site.rows() == before


def test_the_rollback_of_removed_and_changed_rows_finds_the_names_of_a_domains_check(make_site):
    site = make_site(
        schema="CREATE TABLE allowed (word varchar); INSERT INTO allowed VALUES ('a'), ('b'), ('c');"
        "CREATE FUNCTION is_ok(t varchar) RETURNS bool LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN EXISTS (SELECT FROM allowed WHERE word = t); END $$;"
        "CREATE DOMAIN word AS varchar CHECK (is_ok(VALUE));"
        "CREATE TABLE exam (id int PRIMARY KEY, mark word); INSERT INTO exam VALUES (1, 'a');"
    )
    dump = site.backup()
    site.sql("UPDATE exam SET mark = 'c'; INSERT INTO exam VALUES (2, 'b')")
    after = site.rows()
    site.korrigo("restore", dump, "--table", "exam", "--exact", "--yes")
    assert site.sql("SELECT * FROM exam") == [(1, "a")]
    site.korrigo("forget", "exam:77", "--yes")
    site.korrigo("rollback", "--yes")
    assert site.rows() == after
