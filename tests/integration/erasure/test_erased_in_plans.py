"""Plans and comparisons count what was erased on request as erased: not as missing, and not as coming back."""

import pytest

SCHEMA = """
CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL, photo text);
CREATE TABLE copy (id serial PRIMARY KEY, person_id int NOT NULL REFERENCES person ON DELETE CASCADE);
CREATE TABLE page (id serial PRIMARY KEY, copy_id int NOT NULL REFERENCES copy);
INSERT INTO person (name, photo) SELECT 'p' || n, 'photos/' || n || '.jpg' FROM generate_series(1, 9) n;
INSERT INTO copy (person_id) SELECT n FROM generate_series(1, 9) n;
INSERT INTO page (copy_id) SELECT 1 + n % 9 FROM generate_series(1, 18) n;
"""


@pytest.fixture
def album(make_site):
    """A site that has erased a person, who is in its restore point, with their photo, and has lost another photo."""
    made = make_site(schema=SCHEMA)
    for number in range(1, 10):
        made.write(f"photos/{number}.jpg", f"photo {number}".encode())
    made.korrigo("backup", "full")
    made.point = made.one("restore_point_*.json")
    made.korrigo("forget", "person:2", "--file", "photos/2.jpg")
    made.sql("DELETE FROM page WHERE copy_id = 2; DELETE FROM person WHERE id = 2")
    for number in (2, 3):
        (made.media / f"photos/{number}.jpg").unlink()
    return made


def test_a_plan_counts_rows_and_files_after_the_ledger_as_the_restore_does(album):
    plan = album.json("plan", album.point)
    after = {one["name"]: (one["now"], one["after"], one["identical"]) for one in plan["tables"]}
    assert after == {"public.copy": (8, 8, True), "public.page": (16, 16, True), "public.person": (8, 8, True)}
    assert (plan["media"]["removed"]["count"], plan["media"]["erased"]) == (1, 1)
    assert "erased on request, and so not coming back: 1 file" in album.korrigo("plan", album.point).out
    album.sql("DELETE FROM page WHERE copy_id = 4")
    plan = album.json("plan", album.point)
    page = next(one for one in plan["tables"] if one["name"] == "public.page")
    assert (page["now"], page["after"], page["removed"]) == (14, 16, 2)
    album.korrigo("restore", album.point, "--yes")
    assert album.sql("SELECT (SELECT count(*) FROM person), (SELECT count(*) FROM page)") == [(8, 16)]


def test_a_plan_of_a_held_backup_counts_all_of_it(album):
    album.korrigo("hold", "add", album.point, "--reason", "the court asks for it")
    plan = album.json("plan", album.point)
    assert {one["name"]: one["after"] for one in plan["tables"]}["public.person"] == 9
    assert (plan["media"]["removed"]["count"], plan["media"]["erased"]) == (2, 0)


def test_rescue_misses_no_erased_row_and_no_erased_file(album):
    found = album.json("rescue", code=(0, 9, 10))
    assert (found["losses"]["files"]["change"]["removed"]["first"]) == ["photos/3.jpg"]
    assert found["losses"]["files"]["change"]["erased"] == 1
    assert found["losses"]["tables"] == []
    assert "erased on request, and so not missing: 1 file" in album.korrigo("rescue", code=(0, 9, 10)).out


def test_a_comparison_misses_no_erased_row_and_no_erased_file(album):
    found = album.json("compare", album.point, code=(0, 9))
    assert found["files"]["removed"]["first"] == ["photos/3.jpg"]
    assert found["files"]["erased"] == 1


def test_a_comparison_counts_an_erased_row_and_does_not_name_it(album):
    album.sql("DELETE FROM page WHERE copy_id = 5; DELETE FROM copy WHERE id = 5")
    dump = album.one("db_backup_*.gz").name
    for later in ([], [str(album.backup())]):
        found = album.json("compare", dump, *later, code=9)
        tables = {one["name"]: one["rows"] for one in found["tables"]}
        assert (tables["public.person"]["removed"], tables["public.person"]["removed_keys"]) == (1, [])
        assert (tables["public.copy"]["removed"], tables["public.copy"]["removed_keys"]) == (2, ["id=5"])


def test_a_file_that_is_nowhere_is_named(album):
    known = album.json("forget", "--file", "photos/3.jpg")
    assert [one["id"] for one in known["forgotten"]["findings"]] == []
    found = album.json("forget", "--file", "photos/3.jpeg")["forgotten"]["findings"]
    assert [(one["id"], "photos/3.jpeg" in one["message"]) for one in found] == [("erasure.nowhere", True)]


def test_the_changes_of_a_table_show_no_value_of_an_erased_row(album):
    album.sql("DELETE FROM page WHERE copy_id = 5; DELETE FROM person WHERE id = 5")
    found = album.json(
        "history", "--table", "person", "--changed", "--between", album.one("db_backup_*.gz").name, "now"
    )
    assert [row["key"] for row in found["rows"]] == [{"id": "5"}]
