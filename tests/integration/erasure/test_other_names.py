"""An erased row whose table or key had another name in the backup: the restore stops and names it."""

import pytest

SCHEMA = "CREATE TABLE person (id int PRIMARY KEY, n text); INSERT INTO person VALUES (1, 'Anna'), (2, 'Ben')"

RENAMED = "ALTER TABLE person RENAME TO people"
NEW_KEY = "ALTER TABLE person RENAME TO x; CREATE TABLE person (nr text PRIMARY KEY, n text); INSERT INTO person SELECT 'u' || id, n FROM x; DROP TABLE x"


@pytest.mark.parametrize(("migration", "row", "gone"), [
    (RENAMED, "people:1", "DELETE FROM people WHERE id = 1"),
    (NEW_KEY, "person:u1", "DELETE FROM person WHERE nr = 'u1'"),
])  # fmt: skip
def test_a_restore_stops_where_a_row_cannot_be_searched_for(make_site, migration, row, gone):
    site = make_site(schema=SCHEMA)
    made = str(site.backup())
    site.sql(f"{migration}; {gone}")
    before = site.rows()
    recorded = site.korrigo("forget", row, "--yes")
    assert ("another name" in recorded.out) == (migration == RENAMED), recorded.out
    failed = site.json("restore", made, "--yes", code=4)
    assert failed["error"]["id"] == "erasure.not_applicable"
    assert "come back" in failed["error"]["message"]
    assert site.rows() == before
    done = site.korrigo("restore", made, "--yes", "--accept", "erasure.not_applicable")
    assert "may hold erased rows" in done.out
    assert site.sql("SELECT id FROM person") == [(1,), (2,)]


def test_a_rollback_warns_of_rows_that_the_previous_copy_has_under_another_name(make_site):
    site = make_site(schema=SCHEMA)
    made = str(site.backup())
    site.korrigo("restore", made, "--yes")
    site.sql(f"{RENAMED}; DELETE FROM people WHERE id = 1")
    site.korrigo("forget", "people:1", "--yes")
    found = site.json("rollback", "--dry-run")["plan"]["findings"]
    assert [(one["id"], one["level"]) for one in found if one["id"] == "erasure.not_applicable"] == [
        ("erasure.not_applicable", "warning")
    ]
    assert "delete these rows on the site again" in site.korrigo("rollback", "--yes").out
    assert site.sql("SELECT id FROM person") == [(1,), (2,)]


def test_a_table_that_was_made_after_the_backup_stops_no_restore(make_site):
    site = make_site(schema=SCHEMA)
    made = str(site.backup())
    site.sql("CREATE TABLE letter (id int PRIMARY KEY)")
    site.korrigo("forget", "letter:1", "--yes")
    site.korrigo("restore", made, "--dry-run")


def test_a_drill_names_what_it_cannot_search_for(make_site):
    site = make_site(schema=SCHEMA)
    made = str(site.backup())
    site.sql(f"{RENAMED}; DELETE FROM people WHERE id = 1")
    site.korrigo("forget", "people:1", "--yes")
    assert "may hold erased rows" in site.korrigo("drill", made).out


RULES = '[tables.person]\nn = "faker:first_name"\n'


@pytest.mark.parametrize("kept", ["--keep", "--to"])
def test_a_drill_that_leaves_a_copy_stops_where_it_cannot_search_for_a_row(make_site, kept, tmp_path):
    site = make_site(schema=SCHEMA)
    made = str(site.backup())
    site.sql(f"{RENAMED}; DELETE FROM people WHERE id = 1")
    site.korrigo("forget", "people:1", "--yes")
    (site.home / "rules.toml").write_text(RULES)
    options = ["--anonymise", site.home / "rules.toml", kept, *([tmp_path / "copy"] if kept == "--to" else [])]
    before = site.databases()
    failed = site.json("drill", made, *options, code=4)
    assert failed["error"]["id"] == "erasure.not_applicable", failed
    assert (site.databases(), (tmp_path / "copy").exists()) == (before, False)
    site.korrigo("drill", made, *options, "--accept", "media.links", code=2)
    assert "may hold erased rows" in site.korrigo("drill", made, *options, "--accept", "erasure.not_applicable").out


def test_a_row_of_a_partitioned_table_is_named_by_its_partition(make_site):
    parts = "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9); CREATE TABLE p2 PARTITION OF p DEFAULT"
    rows = "INSERT INTO p VALUES (1), (12); CREATE TABLE c (p int NOT NULL REFERENCES p); INSERT INTO c TABLE p"
    site = make_site(schema=f"CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); {parts}; {rows}")
    made = str(site.backup())
    site.sql("DELETE FROM c WHERE p = 1; DELETE FROM p WHERE id = 1")
    for verb in ("forget", "undelete", "history"):
        failed = site.json(verb, "p:1", code=2)
        assert "its rows are in public.p1, public.p2" in failed["error"]["message"], failed
    site.korrigo("forget", "p1:1")
    site.korrigo("restore", made, "--yes")
    assert site.sql("SELECT id, p FROM p JOIN c ON true") == [(12, 12)]


UUID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize(("then", "now"), [("char(32)", "uuid"), ("uuid", "char(32)"), ("varchar(36)", "uuid")])
def test_a_uuid_is_known_again_with_and_without_its_hyphens(make_site, then, now):
    row = UUID.replace("-", "") if then == "char(32)" else UUID
    site = make_site(
        schema=f"CREATE TABLE person (id {then} PRIMARY KEY, n text); INSERT INTO person VALUES ('{row}', 'Anna')"
    )
    made = str(site.backup())
    using = "replace(id::text, '-', '')" if now == "char(32)" else "id::uuid"
    site.sql(f"ALTER TABLE person ALTER id TYPE {now} USING {using}")
    site.korrigo("forget", f"person:{row if now == 'uuid' else row.replace('-', '')}", "--yes")
    site.sql("DELETE FROM person")
    refused = site.json("undelete", "--table", "person", "--yes", "--accept", "rescue.narrower_type", code=4)
    assert refused["error"]["id"] == ("undelete.nothing_left" if now == "uuid" else "rescue.narrower_type")
    assert site.sql("SELECT * FROM person") == []
    site.korrigo("restore", made, "--yes")
    assert site.sql("SELECT * FROM person") == []
