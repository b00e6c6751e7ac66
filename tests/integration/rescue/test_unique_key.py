"""A table without a primary key: its rows are named by a unique key whose columns cannot be NULL."""

from rescue_days import days, history

SCHEMA = """
CREATE TABLE seat (holder text, maybe int UNIQUE, code varchar(4) NOT NULL UNIQUE, row numeric(4,1) NOT NULL);
CREATE UNIQUE INDEX seat_later ON seat (row);
INSERT INTO seat SELECT 'holder ' || n, n, 'A' || n, n FROM generate_series(1, 4) n;
"""


def test_rows_are_shown_brought_back_and_erased_by_their_unique_key(make_site):
    site = make_site(schema=SCHEMA)
    days(site, "UPDATE seat SET holder = 'Ada' WHERE code = 'A2'")
    assert [one["kind"] for one in history(site, "seat:A2")["events"]] == ["first seen", "changed"]
    without = site.korrigo("history", "seat:A2", code=2, env={"POSTGRES_PORT": "1"})
    assert "a unique key without NULL names them" in without.err
    before = site.rows()
    site.sql("DELETE FROM seat WHERE code IN ('A2', 'A3')")
    assert site.json("history", "seat:A2")["is_live"] is False
    site.korrigo("undelete", "seat:A2", "seat:A3", "--yes")
    assert site.rows() == before
    site.sql("DELETE FROM seat WHERE code = 'A2'")
    site.korrigo("forget", "seat:A2")
    site.korrigo("restore", "latest", "--yes")
    assert site.sql("SELECT code FROM seat ORDER BY code") == [("A1",), ("A3",), ("A4",)]


def test_a_key_that_is_too_long_for_its_column_is_no_other_row(make_site):
    site = make_site(schema=SCHEMA + "INSERT INTO seat VALUES ('Ada', 9, 'ABCD', 9)")
    days(site)
    site.sql("DELETE FROM seat WHERE code = 'ABCD'")
    for verb in ("history", "undelete", "forget"):
        assert "does not fit public.seat" in site.korrigo(verb, "seat:ABCDEF", code=2).err
