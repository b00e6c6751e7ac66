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
    before = site.rows()
    site.sql("DELETE FROM seat WHERE code IN ('A2', 'A3')")
    assert site.json("history", "seat:A2")["is_live"] is False
    site.korrigo("undelete", "seat:A2", "seat:A3", "--yes")
    assert site.rows() == before
    site.sql("DELETE FROM seat WHERE code = 'A2'")
    site.korrigo("forget", "seat:A2")
    site.korrigo("restore", "latest", "--yes")
    assert site.sql("SELECT code FROM seat ORDER BY code") == [("A1",), ("A3",), ("A4",)]
