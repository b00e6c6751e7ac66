"""Rows of real dumps, named as a person names them."""

import pytest

from korrigo_backup.errors import NotFound, ProofFailed, UsageError
from korrigo_backup.postgres.digest import snapshot
from korrigo_backup.rescue.points import find_dump, read_points
from korrigo_backup.rescue.saved.rows import open_saved_rows
from korrigo_backup.rescue.site_tables import SiteTables


@pytest.fixture
def tables(site):
    """The tables of a site with a dump, live and saved."""
    site.sql('CREATE TABLE "Seat" (hall int, place varchar(5), taken bool, PRIMARY KEY (hall, place))')
    site.sql("""INSERT INTO "Seat" VALUES (1, 'B, 2', true), (12, 'B', false)""")
    site.path = site.backup()
    wired = site.wired()
    with snapshot(wired.site().postgres) as taken:
        yield SiteTables(wired.site(), read_points(wired.catalog).dumps, taken)


def saved(site, row):
    dump = site.wired().catalog.find(str(site.path))
    with open_saved_rows(dump) as rows:
        found = rows.find(row.table.table, row.key)
    return found and found.values()


def test_a_row_is_found_by_a_key_as_it_is_typed(site, tables):
    row = tables.row("copy:{C4CA4238-A0B9-2382-0DCC-509A6F75849B}")
    assert saved(site, row)["note"] == "tab\there\nand \\. there"


def test_a_row_is_found_by_a_key_of_two_columns(site, tables):
    assert saved(site, tables.row('Seat:(01, "B, 2")'))["taken"] == "t"
    assert saved(site, tables.row("Seat:(2,B)")) is None


def test_generated_columns_are_not_in_a_dump(site, tables):
    assert saved(site, tables.row("annotation:1")).keys() == {"id", "copy_id", "body"}


def test_a_wrong_key_names_the_columns_and_types(tables):
    with pytest.raises(UsageError) as raised:
        tables.row("exam:twelve")
    assert "id is integer" in raised.value.hint
    with pytest.raises(UsageError, match="2 values"):
        tables.row("Seat:1")


def test_a_table_without_a_key_has_no_rows_to_name(tables):
    with pytest.raises(UsageError, match="has no key"):
        tables.row("nothing_yet:1")


def test_a_table_that_is_gone_is_found_in_the_dump(site, tables):
    site.sql("DROP TABLE annotation")
    assert saved(site, tables.row("annotation:1"))["body"].startswith("seen")


def test_without_the_database_rows_are_found_as_they_are_typed(site, tables):
    wired = site.wired()
    alone = SiteTables(wired.site(), read_points(wired.catalog).dumps, None)
    assert saved(site, alone.row("exam:7"))["name"] == "exam 7"


def test_only_wanted_tables_are_given_and_reading_ends_after_the_last(site, tables):
    dump = site.wired().catalog.find(str(site.path))
    with open_saved_rows(dump) as rows:
        found = {one.table: sum(1 for _ in one.lines) for one in rows.tables({"public.exam", "public.copy"})}
    assert found == {"public.copy": 300, "public.exam": 20}


def test_a_dump_that_was_changed_is_refused(site, tables):
    raw = bytearray(site.path.read_bytes())
    raw[-20] ^= 1
    site.path.write_bytes(raw)
    with (
        pytest.raises(ProofFailed, match="not the saved file"),
        open_saved_rows(site.wired().catalog.find(str(site.path))),
    ):
        pass


def test_the_dump_of_a_time_is_the_newest_before_it(site, tables):
    catalog = site.wired().catalog
    old = site.aged(site.path, 3)
    dumps = read_points(catalog).dumps
    assert [one.name for one in dumps] == [old.name, site.path.name]
    at_that_time, named = find_dump(catalog, at=dumps[0].created), find_dump(catalog, site.path.name)
    assert at_that_time
    assert at_that_time.name == old.name
    assert named
    assert named.name == site.path.name
    with pytest.raises(NotFound):
        find_dump(catalog, at=dumps[0].created.replace(year=2001))
