"""The ledger is named where it matters: before a rollback, in a status, in a history, for a key that nobody had."""

import pytest

SCHEMA = """
CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL);
INSERT INTO person (name) SELECT 'pupil ' || n FROM generate_series(1, 9) n;
"""


@pytest.fixture
def school(make_site):
    """A site with a backup of nine persons."""
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    return made


def damage(school):
    ledger = school.wired().ledger().path
    ledger.write_text(ledger.read_text().replace('"hash"', '"hsah"'))


def test_a_ledger_that_cannot_be_read_is_an_error_of_the_status_and_of_the_night(school):
    school.korrigo("forget", "person:9")
    assert "erasure.ledger" not in {one["id"] for one in school.json("status")["attention"]}
    damage(school)
    found = next(one for one in school.json("status", code=10)["attention"] if one["id"] == "erasure.ledger")
    assert found["level"] == "error"
    assert "erasure ledger" in school.korrigo("status", "--nagios", code=2).out
    assert "erasure ledger" in school.korrigo("nightly", code=3).err


def test_a_ledger_that_is_gone_is_an_error_of_the_status(school):
    school.korrigo("forget", "person:9")
    school.wired().ledger().path.unlink()
    assert any("is gone" in one["message"] for one in school.json("status", code=10)["attention"])


def test_the_plan_of_a_rollback_names_the_ledger_and_its_result_says_what_was_taken_out(school):
    school.korrigo("restore", str(school.made), "--yes")
    school.korrigo("forget", "person:9")
    planned = school.json("rollback", "--dry-run")
    assert [one["id"] for one in planned["plan"]["findings"]] == ["erasure.planned"]
    assert "what is live now" in school.korrigo("rollback", "--dry-run").out
    done = school.korrigo("rollback", "--yes")
    assert "taken out again: 1 row (public.person 1)" in done.out
    assert "the site does not" not in done.out
    assert school.sql("SELECT count(*) FROM person") == [(8,)]


@pytest.mark.parametrize("verb", ["history", "rescue"])
def test_the_values_of_an_erased_row_are_not_shown(school, verb):
    assert "pupil 9" in school.korrigo(verb, "person:9").out
    school.sql("DELETE FROM person WHERE id = 9")
    school.korrigo("forget", "person:9")
    shown = school.korrigo(verb, "person:9", code=4)
    assert "was erased on request" in shown.err
    assert "pupil 9" not in shown.out + shown.err
    assert "undelete" not in shown.out + shown.err


def test_a_number_that_is_given_again_has_a_history_of_its_own(school):
    school.sql("DELETE FROM person WHERE id = 9")
    school.korrigo("forget", "person:9")
    school.sql("INSERT INTO person (id, name) VALUES (9, 'new one')")
    shown = school.korrigo("history", "person:9").out
    assert "new one" in shown
    assert "pupil 9" not in shown


def test_a_key_that_neither_the_site_nor_a_backup_has_needs_a_yes(school):
    school.korrigo("forget", "person:999", code=5)
    assert school.json("forget", "--list")["entries"] == []
    done = school.korrigo("forget", "person:999", "--yes")
    assert "neither the site nor a backup has" in done.out
    assert len(school.json("forget", "--list")["entries"]) == 1
