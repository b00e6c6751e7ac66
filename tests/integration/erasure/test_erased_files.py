"""The files of what was erased on request do not come back with the media, and no other file is lost by that."""

import sys
from dataclasses import replace

import pytest

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.erasure.entry import Subject
from korrigo_backup.media.remote.tree import RemoteTree
from korrigo_backup.restore.restore import RestoreOptions, restore
from korrigo_backup.system.run import Command
from sandbox import drop_database

SCHEMA = """
CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL, photo text);
CREATE TABLE scan (id serial PRIMARY KEY, person_id int NOT NULL REFERENCES person ON DELETE CASCADE, pages jsonb);
INSERT INTO person (name, photo)
  SELECT 'p' || n, CASE WHEN n < 8 THEN 'photos/' || n || '.jpg' ELSE '/media/photos/shared.jpg' END
  FROM generate_series(1, 9) n;
INSERT INTO scan (person_id, pages) SELECT n, json_build_array('scans/' || n || '.pdf') FROM generate_series(1, 9) n;
"""
COLUMNS = '[media]\ncolumns = ["person.photo", "scan.pages:$[*]"]\n'
FILES = {f"photos/{name}.jpg" for name in (*range(1, 8), "shared")} | {f"scans/{n}.pdf" for n in range(1, 10)}


@pytest.fixture
def album(make_site):
    """A site whose rows name files, and its restore point."""
    made = make_site(schema=SCHEMA)
    (made.home / "korrigo-backup.toml").write_text(COLUMNS)
    for path in FILES:
        made.write(path, path.encode())
    made.korrigo("backup", "full")
    made.point = str(made.one("restore_point_*.json"))
    return made


@pytest.fixture(params=["archive", "media store"])
def stored(request, album):
    """The album, its media saved as an archive or in the media store."""
    if request.param == "media store":
        (album.home / "korrigo-backup.toml").write_text(COLUMNS + "store = true\n")
        (album.backups / album.point).unlink()
        album.korrigo("backup", "full")
        album.point = str(max(album.backups.glob("restore_point_*.json")))
    return album


def files(album):
    """The live files that the fixtures have written."""
    return {str(path.relative_to(album.media)) for path in album.media.rglob("*") if path.is_file()} & FILES


def newest_media(album):
    return max(path for path in album.backups.glob("media_backup_*.gz") if path.suffixes[-1] == ".gz")


def remove(album, *paths):
    for path in paths:
        (album.media / path).unlink()


def test_the_files_of_an_erased_row_and_of_its_dependents_are_erased_with_it(stored):
    stored.sql("DELETE FROM person WHERE id = 2")
    stored.korrigo("forget", "person:2")
    assert [one.subject for one in stored.wired().ledger().read()] == [Subject.ROW]
    done = stored.korrigo("restore", stored.point, "--yes")
    assert "taken out again: 2 files" in done.out
    assert files(stored) == FILES - {"photos/2.jpg", "scans/2.pdf"}


def test_a_file_that_another_row_names_stays(album):
    album.sql("DELETE FROM person WHERE id = 9")
    album.korrigo("forget", "person:9")
    album.korrigo("restore", album.point, "--yes")
    assert files(album) == FILES - {"scans/9.pdf"}
    album.sql("DELETE FROM person WHERE id = 8")
    album.korrigo("forget", "person:8")
    album.korrigo("restore", album.point, "--yes")
    assert files(album) == FILES - {"scans/9.pdf", "scans/8.pdf", "photos/shared.jpg"}


def test_times_and_other_entries_of_the_directories_are_as_saved(album):
    before = {path: (album.media / path).stat().st_mtime_ns for path in ("photos", "scans")}
    album.korrigo("forget", "--file", "photos/2.jpg")
    album.korrigo("restore", album.point, "--yes")
    assert {path: (album.media / path).stat().st_mtime_ns for path in before} == before


def test_a_file_is_erased_by_its_own_name_with_media_alone_too(stored):
    stored.korrigo("forget", "--file", "scans/3.pdf", "--file", str(stored.media / "photos/4.jpg"))
    assert {one.subject for one in stored.wired().ledger().read()} == {Subject.FILE}
    media = newest_media(stored)
    assert "will be applied" in stored.korrigo("restore", str(media), "--dry-run").out
    assert "taken out again: 2 files" in stored.korrigo("restore", str(media), "--yes").out
    assert files(stored) == FILES - {"scans/3.pdf", "photos/4.jpg"}


def test_the_paths_are_not_in_the_ledger(album):
    album.korrigo("forget", "--file", "scans/3.pdf")
    album.korrigo("forget", "person:2")
    content = album.wired().ledger().path.read_text()
    assert "scans/" not in content
    assert "photos/" not in content
    assert "scans/" not in str(album.journal())


def test_the_files_of_a_row_that_is_live_are_recorded_with_it(album):
    done = album.json("forget", "person:2")["forgotten"]
    assert (done["rows"], done["files"]) == ({"public.person": 1}, 2)
    album.sql("DELETE FROM person WHERE id = 2")
    remove(album, "photos/2.jpg", "scans/2.pdf")
    media = newest_media(album)
    album.korrigo("restore", str(media), "--yes")
    assert files(album) == FILES - {"photos/2.jpg", "scans/2.pdf"}


def test_a_name_that_a_new_row_has_taken_since_is_not_lost(album):
    album.korrigo("forget", "person:2")
    album.sql("DELETE FROM person WHERE id = 2; INSERT INTO person (name, photo) VALUES ('new', 'photos/2.jpg')")
    album.korrigo("backup", "full")
    newest = str(max(album.backups.glob("restore_point_*.json")))
    done = album.korrigo("restore", newest, "--yes")
    assert "left as they are (photos/2.jpg)" in done.out
    assert files(album) == FILES - {"scans/2.pdf"}
    media = newest_media(album)
    assert "left as they are (photos/2.jpg)" in album.korrigo("restore", str(media), "--yes").out
    assert files(album) == FILES - {"scans/2.pdf"}
    album.korrigo("forget", "--file", "photos/2.jpg")
    album.korrigo("restore", newest, "--yes")
    assert files(album) == FILES - {"scans/2.pdf", "photos/2.jpg"}


def test_a_restore_into_nothing_erases_files(album):
    album.sql("DELETE FROM person WHERE id = 2")
    album.korrigo("forget", "person:2")
    drop_database(album.server, album.database)
    album.korrigo("restore", album.point, "--yes", "--no-safety-backup")
    assert files(album) == FILES - {"photos/2.jpg", "scans/2.pdf"}


def test_a_hold_wins_for_files_too(album):
    album.korrigo("forget", "person:2", "--file", "scans/3.pdf")
    album.korrigo("hold", "add", album.point, "--reason", "the court asks for it")
    assert "not applied" in album.korrigo("restore", album.point, "--yes").out
    assert files(album) == FILES


def test_a_drill_erases_files_and_says_so(album):
    album.korrigo("forget", "person:2")
    assert "taken out again: 2 files" in album.korrigo("drill", "latest-point").out
    assert files(album) == FILES


def test_erased_files_are_not_missing_for_the_checks_after_the_restore(album):
    album.sql("DELETE FROM person WHERE id = 2")
    album.korrigo("forget", "person:2", "--file", "scans/3.pdf")
    album.korrigo("restore", album.point, "--yes")
    media = newest_media(album)
    found = album.json("validate", str(media), code=(0, 10))["findings"]
    assert {one["level"] for one in found if one["id"] in {"validate.files", "media.references"}} == {"ok"}
    assert "3 files" in next(one["message"] for one in found if one["id"] == "erasure.counted")
    compared = album.json("compare", album.point, code=9)
    assert (compared["files"]["erased"], compared["files"]["removed"]["count"]) == (3, 0)
    assert "taken out again: 3 files" in album.korrigo("compare", album.point, code=9).out
    remove(album, "scans/4.pdf")
    assert "scans/4.pdf" in str(album.json("validate", str(media), code=9))


def test_a_comparison_of_two_media_backups_names_no_erased_file(stored):
    first = newest_media(stored)
    remove(stored, "scans/2.pdf", "scans/3.pdf")
    stored.write("scans/4.pdf", b"changed")
    later = stored.backup_media()
    stored.korrigo("forget", "--file", "scans/3.pdf", "--file", "scans/4.pdf")
    found = stored.json("compare", str(first), str(later), code=9)["files"]
    assert (found["removed"]["count"], found["changed"]["count"]) == (2, 1)
    assert (found["removed"]["first"], found["changed"]["first"]) == (["scans/2.pdf"], [])
    out = stored.korrigo("compare", str(first), str(later), code=9).out
    assert "scans/2.pdf" in out
    assert "scans/3.pdf" not in out
    assert "scans/4.pdf" not in out


def test_a_rollback_erases_files_from_the_previous_copy(album):
    album.korrigo("restore", album.point, "--yes")
    album.korrigo("forget", "person:2", "--file", "scans/3.pdf")
    assert "taken out again: 3 files" in album.korrigo("rollback", "--yes").out
    assert files(album) == FILES - {"photos/2.jpg", "scans/2.pdf", "scans/3.pdf"}


def test_a_restore_of_single_files_leaves_out_what_was_erased(album):
    remove(album, "scans/3.pdf", "scans/4.pdf")
    album.korrigo("forget", "--file", "scans/3.pdf")
    done = album.korrigo("restore", "--file", "scans/*", "--yes")
    assert "left out: 1 file (scans/3.pdf)" in done.out
    assert files(album) == FILES - {"scans/3.pdf"}
    refused = album.korrigo("restore", "--file", "scans/3.pdf", "--yes", code=4)
    assert "erased on request" in refused.err
    assert files(album) == FILES - {"scans/3.pdf"}


def test_an_undelete_leaves_out_files_that_were_erased(album):
    album.sql("DELETE FROM person WHERE id = 2")
    remove(album, "photos/2.jpg", "scans/2.pdf")
    album.korrigo("forget", "--file", "photos/2.jpg")
    done = album.korrigo("undelete", "person:2", "--yes")
    assert "left out: 1 file (photos/2.jpg)" in done.out
    assert files(album) == FILES - {"photos/2.jpg"}


def test_files_behind_a_container_are_erased_there(album):
    album.sql("DELETE FROM person WHERE id = 2")
    album.korrigo("forget", "person:2", "--file", "scans/3.pdf")
    wired = album.wired()
    site = replace(wired.site(), media=RemoteTree(album.media, lambda *words: Command((sys.executable, *words))))
    options = RestoreOptions(safety_backup=False)
    point = wired.catalog.find(album.point)
    done = restore(site, wired.catalog, point, options, now=local_now(), confirm=lambda _: {})
    assert "3 files" in next(one.message for one in done.findings if one.id == "erasure.files")
    assert files(album) == FILES - {"photos/2.jpg", "scans/2.pdf", "scans/3.pdf"}


def test_a_directory_is_no_file(album):
    assert "is a directory" in album.korrigo("forget", "--file", "scans", code=2).err


def test_a_file_outside_of_the_media_is_none(album):
    assert "below the media root" in album.korrigo("forget", "--file", "/etc/passwd", code=2).err
