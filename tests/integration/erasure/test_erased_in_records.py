"""`forget` takes the erased rows out of the records by which operations are undone, and names those that stay."""

import pytest

SCHEMA = """
CREATE TABLE usr (mail text PRIMARY KEY, name text);
CREATE TABLE mark (id int PRIMARY KEY, usr_mail text NOT NULL REFERENCES usr, words text);
INSERT INTO usr VALUES ('anna@x.org', 'Anna'), ('ben@x.org', 'Ben');
INSERT INTO mark VALUES (1, 'anna@x.org', 'a'), (2, 'ben@x.org', 'b');
"""


@pytest.fixture
def town(make_site):
    """A site with people, and its backup."""
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    return made


def record(town):
    """The text of the only record of an operation."""
    (path,) = town.backups.glob(".undelete-*.done")
    return path.read_text()


def brought_back(town, *objects):
    town.sql("DELETE FROM mark; DELETE FROM usr")
    town.korrigo("undelete", *objects, "--yes")


def test_an_erased_row_is_taken_out_of_the_record_of_its_undelete(town):
    brought_back(town, "usr:anna@x.org", "usr:ben@x.org")
    town.sql("DELETE FROM mark WHERE id = 1; DELETE FROM usr WHERE name = 'Anna'")
    before = record(town)
    assert "would be taken out of the record" in town.korrigo("forget", "usr:anna@x.org", "--dry-run").out
    assert record(town) == before
    assert before.count("anna@x.org") == 2
    done = town.korrigo("forget", "usr:anna@x.org")
    assert "taken out of the record by which" in done.out
    assert "anna" not in record(town)
    assert "ben@x.org" in record(town)
    town.sql("DELETE FROM mark")
    town.sql("INSERT INTO mark VALUES (2, 'ben@x.org', 'b')")
    town.korrigo("rollback", "--yes")
    assert town.sql("SELECT count(*) FROM usr") == [(0,)]


def test_a_live_row_stays_in_the_record_and_is_named(town):
    brought_back(town, "usr:anna@x.org")
    answer = town.json("forget", "usr:anna@x.org")
    (found,) = [one for one in answer["forgotten"]["findings"] if one["id"] == "erasure.records"]
    assert "rollback --undo" in found["hint"]
    assert "anna@x.org" in record(town)
    town.sql("DELETE FROM mark; DELETE FROM usr")
    town.korrigo("forget", "usr:anna@x.org")
    assert "anna" not in record(town)


def test_removed_rows_go_and_those_that_hang_on_them_are_named(town):
    town.sql("INSERT INTO usr VALUES ('cora@x.org', 'Cora'); INSERT INTO mark VALUES (3, 'cora@x.org', 'words')")
    town.korrigo("restore", town.made, "--table", "usr", "--table", "mark", "--exact", "--yes")
    done = town.korrigo("forget", "usr:cora@x.org", "--yes")
    assert "hold removed rows still that refer to erased rows" in done.out
    assert '"Cora"' not in record(town)
    before = town.rows()
    assert "left out: 2 rows (public.mark 1, public.usr 1)" in town.korrigo("rollback", "--yes").out
    assert town.rows() == before


def test_without_the_lock_no_record_is_changed(town):
    brought_back(town, "usr:anna@x.org")
    town.sql("DELETE FROM mark; DELETE FROM usr")
    before = record(town)
    with town.wired().catalog.exclusive("a long backup"):
        found = town.json("forget", "usr:anna@x.org")["forgotten"]["findings"]
    assert any("were not searched" in one["message"] for one in found)
    assert record(town) == before


def test_rows_of_a_renamed_table_stay_with_those_of_others_and_are_named(make_site):
    site = make_site(
        schema="CREATE TABLE aa (id int PRIMARY KEY, name text); CREATE TABLE bb (id int PRIMARY KEY, name text);"
        "INSERT INTO aa VALUES (1, 'Anna'); INSERT INTO bb VALUES (1, 'Bea')"
    )
    site.backup()
    site.sql("DELETE FROM aa; DELETE FROM bb")
    site.korrigo("undelete", "aa:1", "bb:1", "--yes")
    site.korrigo("forget", "aa:1", "--yes")
    for renamed, back in (("aa RENAME id TO nr", "aa RENAME nr TO id"), ("aa RENAME TO cc", "cc RENAME TO aa")):
        before = record(site)
        site.sql(f"ALTER TABLE {renamed}")
        answer = site.json("forget", "bb:1", "--yes")
        (found,) = [one for one in answer["forgotten"]["findings"] if one["id"] == "erasure.records"]
        assert "have other names now" in found["message"]
        assert record(site) == before
        site.sql(f"ALTER TABLE {back}")
    site.korrigo("rollback", "--yes")
    assert site.sql("SELECT (SELECT count(*) FROM aa), (SELECT count(*) FROM bb)") == [(0, 0)]


def test_a_record_that_cannot_be_read_is_named_after_the_entry(town):
    brought_back(town, "usr:anna@x.org")
    town.sql("DELETE FROM mark; DELETE FROM usr")
    (path,) = town.backups.glob(".undelete-*.done")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    done = town.korrigo("forget", "usr:anna@x.org", code=3)
    assert "recorded in the ledger; but the records" in done.err
    assert "usr" in town.korrigo("forget", "--list").out
    path.write_bytes(whole)
    assert "taken out of the record" in town.korrigo("forget", "usr:anna@x.org").out
    assert "anna" not in record(town)


def test_the_record_of_a_killed_run_is_searched_too(town):
    brought_back(town, "usr:anna@x.org")
    town.sql("DELETE FROM mark; DELETE FROM usr")
    (path,) = town.backups.glob(".undelete-*.done")
    path.rename(path.with_suffix(".pending"))
    found = town.json("forget", "usr:anna@x.org")["forgotten"]["findings"]
    assert any("doctor --fix" in one["hint"] for one in found if one["id"] == "erasure.records")
