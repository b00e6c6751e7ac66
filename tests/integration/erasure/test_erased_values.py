"""Values and files of what was erased on request do not come back by a smaller way, nor by the rollback of one."""

import pytest

from korrigo_backup.erasure.entry import Entry, Link, Subject
from korrigo_backup.site.erasures import scope_of

SCHEMA = """
CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE copy (id serial PRIMARY KEY, person_id int NOT NULL REFERENCES person);
CREATE TABLE note (id serial PRIMARY KEY, person_id int, words text);
INSERT INTO person (name) SELECT 'p' || n FROM generate_series(1, 5) n;
INSERT INTO copy (person_id) SELECT n FROM generate_series(1, 5) n;
"""


@pytest.fixture
def school(make_site):
    """A site with persons, and its backup."""
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    return made


def erase(school, person):
    """Erase a person on request, as a site does."""
    school.korrigo("forget", f"person:{person}")
    school.sql(f"DELETE FROM copy WHERE person_id = {person}; DELETE FROM person WHERE id = {person}")


def names(school):
    return dict(school.sql("SELECT id, name FROM person ORDER BY id"))


def test_a_revert_puts_no_value_of_an_erased_row_into_a_live_row(school):
    school.sql("UPDATE person SET name = 'x' || id")
    school.korrigo("forget", "person:3")
    done = school.korrigo("revert", "--table", "person", "--from", str(school.made), "--yes")
    assert "erased on request, and so left out: 1 row (public.person 1)" in done.out
    assert names(school) == {1: "p1", 2: "p2", 3: "x3", 4: "p4", 5: "p5"}
    erase(school, 4)
    done = school.korrigo("rollback", "--yes")
    assert "erased on request, and so left out: 1 row (public.person 1)" in done.out
    assert names(school) == {1: "x1", 2: "x2", 3: "x3", 5: "x5"}


def test_a_rollback_of_overwritten_values_leaves_the_erased_row_as_it_is(school):
    school.sql("DELETE FROM copy; UPDATE person SET name = 'secret' WHERE id = 2; DELETE FROM person WHERE id = 1")
    school.korrigo("undelete", "person:1", "copy:2", "--overwrite", "person:2", "--yes")
    assert names(school)[2] == "p2"
    school.korrigo("forget", "person:2")
    done = school.korrigo("rollback", "--yes")
    assert "left out: 1 row (public.person 1)" in done.out
    assert names(school) == {2: "p2", 3: "p3", 4: "p4", 5: "p5"}
    school.sql("UPDATE person SET name = 'another' WHERE id = 2")
    again = school.korrigo("undelete", "person:1", "copy:2", "--overwrite", "person:2", "--yes", code=4)
    assert "was erased on request" in again.err
    assert names(school)[2] == "another"


def test_a_rollback_of_an_exact_restore_leaves_out_what_depends_on_the_erased_row(school):
    ledger = school.wired().ledger()
    link = Link("public.note", ("person_id",), "public.person", ("id",), "CASCADE")
    school.sql("INSERT INTO person VALUES (12, 'p12'), (13, 'p13'); INSERT INTO copy VALUES (12, 12), (13, 13)")
    school.sql("INSERT INTO note VALUES (12, 12, 'about 12'), (13, 13, 'about 13'), (14, 3, 'about 3')")
    tables = [word for name in ("person", "copy", "note") for word in ("--table", name)]
    school.korrigo("restore", str(school.made), *tables, "--exact", "--yes")
    assert school.sql("SELECT count(*) FROM note") == [(0,)]
    school.korrigo("forget", "person:12", "--yes")
    erase(school, 3)
    one = ledger.read()[-1]
    ledger.append([
        Entry(time=one.time, scope=scope_of(school.wired().site()), subject=Subject.RULES, hash="rule", key=one.key,
              links=(link,))
    ])  # fmt: skip
    done = school.korrigo("rollback", "--yes")
    assert "left out: 4 rows (public.copy 1, public.note 2, public.person 1)" in done.out
    assert list(names(school)) == [1, 2, 4, 5, 13]
    assert school.sql("SELECT id FROM copy WHERE id > 5") == [(13,)]
    assert school.sql("SELECT id FROM note") == [(13,)]


def test_a_rollback_of_an_undelete_is_not_stopped_by_a_row_that_was_erased_meanwhile(school):
    school.sql("DELETE FROM copy; DELETE FROM person WHERE id > 3")
    school.korrigo("undelete", "--table", "person", "--yes")
    erase(school, 5)
    done = school.korrigo("rollback", "--yes")
    assert "left out: 2 rows (public.copy 1, public.person 1)" in done.out
    assert list(names(school)) == [1, 2, 3]


@pytest.mark.parametrize("removed", [True, False])
def test_a_rollback_of_a_restore_of_files_does_not_bring_an_erased_file_back(school, removed):
    school.write("scans/1.pdf", b"one")
    school.write("scans/2.pdf", b"two")
    school.korrigo("backup", "full")
    school.write("scans/1.pdf", b"of a person")
    school.write("scans/2.pdf", b"changed")
    school.korrigo("restore", "--file", "scans/*", "--overwrite", "--yes")
    school.korrigo("forget", "--file", "scans/1.pdf")
    if removed:
        (school.media / "scans/1.pdf").unlink()
    done = school.korrigo("rollback", "--yes")
    assert "left out: 1 file (scans/1.pdf)" in done.out
    assert (school.media / "scans/2.pdf").read_bytes() == b"changed"
    assert (school.media / "scans/1.pdf").exists() is not removed
    assert all(path.read_bytes() != b"of a person" for path in school.media.rglob("*") if path.is_file())
