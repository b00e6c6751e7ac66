"""Two backups against each other: nothing is loaded, and the differences are those that the live site shows."""

import pytest

from korrigo_backup.compare.compare import Present, compare_artifact, compare_dumps
from korrigo_backup.compare.present import DumpRows
from korrigo_backup.compare.rows import dump_rows, narrow
from korrigo_backup.verify.dump_source import open_sql
from rowkinds import ODD, ONE_BYTE, SETTINGS
from sandbox import nothing_changes

CHANGE = ";".join(change for change, _, _ in ONE_BYTE.values())
MORE = """
DELETE FROM late WHERE a IN (-1, -2); INSERT INTO late VALUES (1, 1);
DELETE FROM keyless WHERE a = 1; INSERT INTO keyless VALUES (5, 'five');
ALTER TABLE kinds ADD added int; ALTER TABLE kinds DROP net; CREATE TABLE fresh (id int); DROP TABLE hollow;
CREATE INDEX odd_index ON late (b); SELECT setval('exam_id_seq', 900); REFRESH MATERIALIZED VIEW total
"""


@pytest.fixture
def pair(site):
    """Two dumps of a site with many types, and the changes between them."""
    site.sql(ODD)
    site.sql(SETTINGS.format(site.database))
    first = site.backup()
    site.sql(CHANGE)
    site.sql(MORE)
    site.first, site.later = first, site.backup()
    return site


def artifacts(site):
    wired = site.wired()
    return wired, *(wired.catalog.find(str(path)) for path in (site.first, site.later))


@pytest.mark.contract("D5")
def test_two_dumps_differ_as_the_first_differs_from_the_live_database(pair):
    wired, first, later = artifacts(pair)
    found = compare_dumps(first, later, wired.site(), (), 50)
    live = compare_artifact(Present(wired.site(), shown=50), first)
    assert found.tables == live.tables
    assert {table.name for table in found.tables} >= {"public.kinds", "public.fresh", "public.hollow", "public.late"}
    assert found.sequences == live.sequences
    assert (found.new_objects, found.lost_objects, found.same) == (live.new_objects, live.lost_objects, live.same)


def test_a_table_is_found_whatever_the_order_and_a_large_one_in_two_passes(pair):
    _, first, later = artifacts(pair)
    wanted = {"public.late": 30, "public.kinds": 40, "public.keyless": 12}
    with open_sql(first) as then, open_sql(later) as now:
        present = DumpRows(now.file, "later")
        at_once = narrow(dump_rows(then.file, "first"), present, wanted)
        by_buckets = narrow(dump_rows(then.file, "first"), present, wanted, small=0)
        backwards = [
            len(list(present.lines(table, present.layouts()[table][0], settings="", encoding="UTF8")))
            for table in sorted(wanted, reverse=True)
        ]
    assert backwards == [29, 40, 9]
    assert at_once["public.late"].key == ("a",)
    for table in wanted:
        for kind in ("added", "changed", "removed", "exact", "new_columns", "lost_columns"):
            assert getattr(at_once[table], kind) == getattr(by_buckets[table], kind)


def test_rows_of_another_encoding_are_compared_as_text(pair, monkeypatch):
    _, first, later = artifacts(pair)
    with open_sql(first) as then, open_sql(later) as now:
        present = DumpRows(now.file, "later")
        columns = present.layouts()["public.kinds"][0]
        lines = list(present.lines("public.kinds", columns, settings="", encoding="LATIN1"))
        assert any("é".encode("latin-1") in line for line in lines)
        assert len(list(present.lines("public.kinds", columns, settings="", encoding="EUC_TW"))) == 40
        assert narrow(dump_rows(then.file, "first"), present, {"public.part_b": 31})["public.part_b"].changed == 1


def test_points_databases_and_media_are_compared_by_the_command(site):
    site.korrigo("backup", "full")
    first = site.one("restore_point_*.json").name
    with nothing_changes(site):
        assert "✅ Identical" in site.korrigo("compare", first, first).out
        assert "✅ Identical" in site.korrigo("compare", "latest-point").out
    site.sql("UPDATE exam SET name = 'changed' WHERE id = 7")
    site.write("pages/new.jpg", b"new")
    (site.home / "korrigo-backup.toml").write_text("[media]\nstore = true\n")
    site.korrigo("backup", "full")
    done = site.korrigo("compare", first, "latest-point", code=9)
    assert "+ pages/new.jpg" in done.out
    assert "~ id=7" in done.out
    assert "1 table, 1 file" in done.err
    live = site.korrigo("compare", first, code=9)
    assert ("+ pages/new.jpg" in live.out, "~ id=7" in live.out) == (True, True)
    document = site.korrigo("compare", first, "latest-point", "--json", code=9)
    assert '"added_keys"' in document.out
    assert "tables" not in site.korrigo("compare", "latest-media", "latest-media").out
    only = site.korrigo("compare", first, "latest-point", "-T", "exam", code=9)
    assert "1 table" in only.err
    assert "file" not in only.err


def test_backups_without_a_part_in_common_and_options_of_a_live_site_are_refused(site):
    site.korrigo("backup", "full")
    assert "no part in common" in site.korrigo("compare", "latest", "latest-media", code=2).err
    assert "without --save" in site.korrigo("compare", "latest", "latest", "--database", "x", code=2).err
    assert "there is no table nothing" in site.korrigo("compare", "latest", "latest", "-T", "nothing", code=2).err
    assert site.korrigo("compare", "latest", "db_backup_none.sql.gz", code=6).err
