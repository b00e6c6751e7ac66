"""Tables whose rows the site's role may not read any more: they are named, and hide nothing of the rest."""

import pytest

from rescue_days import days, history

SCHEMA = """
CREATE TABLE seen (id int PRIMARY KEY, word text);
CREATE TABLE shut (id int PRIMARY KEY, word text);
CREATE SCHEMA other;
CREATE TABLE other.far (id int PRIMARY KEY);
INSERT INTO seen SELECT n, 'a' FROM generate_series(1, 9) n;
INSERT INTO shut SELECT n, 'a' FROM generate_series(1, 9) n;
INSERT INTO other.far SELECT n FROM generate_series(1, 9) n;
"""

SHUT = {
    "row-level security": "ALTER TABLE shut ENABLE ROW LEVEL SECURITY; ALTER TABLE shut FORCE ROW LEVEL SECURITY",
    "SELECT": "REVOKE SELECT ON shut FROM CURRENT_USER",
    "USAGE": "REVOKE USAGE ON SCHEMA other FROM CURRENT_USER",
}


@pytest.fixture(params=SHUT)
def shut(request, make_site):
    """A site that lost rows between two dumps and since, one of whose tables cannot be read now; and that table."""
    made = make_site(schema=SCHEMA)
    days(made, "DELETE FROM shut WHERE id = 1; DELETE FROM other.far WHERE id = 1")
    made.sql("DELETE FROM seen WHERE id = 1; " + SHUT[request.param])
    return made, "other.far" if request.param == "USAGE" else "public.shut"


def test_the_rest_is_shown_with_its_offers(shut):
    site, table = shut
    found = site.json("rescue", "--only-data")
    assert [one for one in found["losses"]["unseen"] if table in one] == found["losses"]["unseen"] != []
    assert "public.seen" in [one["table"] for one in found["losses"]["tables"]]
    assert table not in [one["table"] for one in found["losses"]["tables"]] + found["losses"]["returned"]
    assert [one for one in found["offers"] if f" {table}" in one["command"]] == []
    assert any("undelete public.seen:1" in one["command"] for one in found["offers"])
    assert f"not looked at: the live table {table}" in site.korrigo("rescue", "--only-data").out


def test_its_own_history_is_that_of_the_dumps_and_the_reason_is_named(shut):
    site, table = shut
    assert [one["rows"] for one in history(site, "--table", table)["moments"]] == [8]
    assert history(site, f"{table}:2")["is_live"] is None
    for command in (
        ("history", "--table", table),
        ("history", f"{table}:2"),
        ("rescue", table),
        ("rescue", f"{table}:2"),
    ):
        assert "the live state is not known: " in site.korrigo(*command).out
    assert site.json("rescue", table)["symptoms"][0]["is_as_saved"] is None
