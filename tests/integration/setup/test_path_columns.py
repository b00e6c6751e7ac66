"""Columns of text and JSON that name media files are found by their values, proposed, and used when they are named."""

import json
import re

import pytest

from korrigo_backup.config.load import load
from korrigo_backup.setup.path_columns import found_columns

PAGES = [f"pages/2026/page_{number}.png" for number in range(12)]


def names_in(site, sql, *values):
    with site.connect() as connection:
        connection.cursor().executemany(sql, [(value,) for value in values])


@pytest.fixture
def pages(site):
    """Page images that an array in JSON names, scans in text of several forms, and columns that only look like it."""
    for path in PAGES:
        site.write(path, path.encode())
    site.sql('''
        CREATE TABLE booklet (id serial PRIMARY KEY, images jsonb, mixed json, label text, note text, url text);
        CREATE TABLE scan (path text);
        CREATE TABLE gallery (files text[]);
        CREATE SCHEMA "Odd.schema";
        CREATE TABLE "Odd.schema"."Odd:table" ("the ""path""" varchar(200));
        CREATE TABLE bare (word text);
        CREATE TABLE keyed (by_page jsonb);
    ''')
    names_in(site, "INSERT INTO booklet (images) VALUES (%s)", *(json.dumps(PAGES[n : n + 3]) for n in range(0, 12, 3)))
    mixed = [json.dumps({"pages": [{"image": page, "title": f"Page {page}"}], "kind.of": "A3"}) for page in PAGES]
    names_in(site, "INSERT INTO booklet (mixed) VALUES (%s)", *mixed)
    names_in(
        site, "INSERT INTO booklet (note) VALUES (%s)", "see pages/2026/page_1.png, please", "", "pages/2026/page_1.png"
    )
    names_in(site, "INSERT INTO booklet (url) VALUES (%s)", "https://example.org/pages/p1.jpg")
    names_in(
        site,
        "INSERT INTO scan (path) VALUES (%s)",
        "/media/copies/2026/scan 1.pdf",
        f"{site.media}/pages/p1.jpg",
        "gone.pdf",
    )
    names_in(site, "INSERT INTO gallery (files) VALUES (%s)", PAGES[:3], PAGES[3:6])
    names_in(site, 'INSERT INTO "Odd.schema"."Odd:table" VALUES (%s)', "pages/empty.jpg", "pages/p1.jpg")
    names_in(site, "INSERT INTO bare (word) VALUES (%s)", "a/b", "c.d")
    names_in(
        site,
        "INSERT INTO keyed (by_page) VALUES (%s)",
        json.dumps({f"p. {n}": {"file": page, "n": "x"} for n, page in enumerate(PAGES)}),
    )
    return site


ENTRIES = {
    "booklet.images": (12, 12),
    "booklet.mixed:$.pages[*].image": (12, 12),
    "scan.path": (2, 3),
    "gallery.files": (6, 6),
    '"Odd.schema"."Odd:table"."the ""path"""': (2, 2),
    "keyed.by_page:$.*.file": (12, 12),
}


def orphans(site):
    found = json.loads(site.korrigo("validate", "--json", code=9).out)["findings"]
    return {one["id"]: one["message"] for one in found}


def test_init_writes_the_columns_that_name_media_files_and_validation_uses_them(pages):
    (pages.home / "korrigo-backup.toml").write_text('[media]\ncolumns = ["scan.path"]\n')
    before = orphans(pages)
    assert re.match("14 files are named by no row", before["media.orphans"])
    done = pages.korrigo("init", "--force")
    assert "✅ booklet.images names media files (12 of 12 sampled values): a path column" in done.out
    written = load(pages.home, {}).media.columns
    assert set(written) == ENTRIES.keys()
    assert written[0] == "scan.path"  # what was set stays, and before the others
    assert "names media files" not in pages.korrigo("doctor").out
    after = orphans(pages)
    assert "1 file is named by no row: copies/2026/scan 2.pdf" in after["media.orphans"]
    assert after["media.missing"].startswith("1 of 16 files that rows name are missing: gone.pdf of scan.path")
    (pages.media / PAGES[7]).unlink()
    assert f"{PAGES[7]} of " in orphans(pages)["media.missing"]
    assert "2 of 16 files" in pages.korrigo("backup", "full").out


def test_doctor_names_each_that_is_not_known(pages):
    found = {one.entry: (one.hits, one.sampled) for one in found_columns(pages.wired().site())}
    assert found == ENTRIES
    document = json.loads(pages.korrigo("doctor", "--json").out)
    output = [one for one in document["findings"] if one["id"] == "media.unnamed"]
    assert {one["message"].partition(" names ")[0] for one in output} == ENTRIES.keys()
    assert {(one["level"], "init --force" in one["hint"]) for one in output} == {("warning", True)}


def test_a_large_table_is_sampled_and_rows_that_the_role_may_not_see_are_passed_over(site):
    site.sql("CREATE TABLE many AS SELECT 'pages/p1.jpg'::text AS path FROM generate_series(1, 50000); ANALYZE many")
    site.sql("CREATE TABLE hidden AS TABLE many; ALTER TABLE hidden ENABLE ROW LEVEL SECURITY")
    site.sql("ALTER TABLE hidden OWNER TO postgres; GRANT SELECT ON hidden TO viatique_user", superuser=True)
    (found,) = found_columns(site.wired().site())
    assert (found.entry, found.sampled) == ("many.path", 200)
