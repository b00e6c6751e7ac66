"""`rescue`: what a site has lost, since when, and the ways back."""

import os
import shlex

import pytest

from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.rescue.diagnosis import live_files
from korrigo_backup.rescue.points import read_points
from rescue_days import days


def rescue(site, *arguments):
    return site.json("rescue", "--only-data", *arguments)


def commands(found):
    return [shlex.split(one["command"])[1:] for one in found["offers"]]


def test_rows_that_are_missing_are_found_with_the_time_of_their_loss_and_come_back(site):
    first, second, third = days(site, "TRUNCATE copy CASCADE; DELETE FROM exam WHERE id IN (7, 8)", "")
    found = rescue(site)
    moment = next(one for one in found["losses"]["moments"] if one["table"] == "public.exam")
    assert (moment["former"], moment["source"], moment["rows_before"], moment["rows"]) == (first, second, 20, 18)
    undelete = next(one for one in commands(found) if "public.exam:7" in one)
    assert undelete == ["undelete", "public.exam:7", "public.exam:8", "--from", first]
    site.korrigo(*undelete, "--yes")
    assert site.sql("SELECT count(*) FROM exam") == [(20,)]
    assert third not in str(found["offers"])


def test_the_way_that_loses_most_is_the_last(site):
    days(site)
    site.sql("DELETE FROM annotation")
    found = rescue(site)
    assert [one[0] for one in commands(found)] == ["undelete", "restore"]
    assert "all that was entered since" in found["offers"][-1]["loses"]
    out = site.korrigo("rescue", "--only-data").out
    assert "emptied: 300 rows before" in out
    assert "1. brings back 300 rows of public.annotation" in out


def test_a_change_of_all_rows_is_named_and_nothing_is_guessed(site):
    days(site)
    site.sql("UPDATE copy SET mark = 0")
    found = rescue(site)
    (state,) = found["losses"]["tables"]
    assert (state["table"], state["change"]["changed"]) == ("public.copy", 300)
    assert "most of its rows changed" in site.korrigo("rescue", "--only-data").out


def test_a_site_that_grows_has_lost_nothing(site):
    days(site, "INSERT INTO exam (name) VALUES ('new')")
    site.sql("INSERT INTO exam (name) VALUES ('newer')")
    site.write("copies/new.pdf", b"new")
    found = rescue(site)
    assert (found["offers"], found["losses"]["tables"]) == ([], [])
    assert "No row and no file" in site.korrigo("rescue", "--only-data").out


@pytest.mark.parametrize("stored", [False, True])
def test_files_that_are_missing_or_changed_are_found(site, stored):
    (site.home / "korrigo-backup.toml").write_text(f"[media]\nstore = {str(stored).lower()}\n")
    days(site)
    media = site.backup_media()
    (site.media / "copies/2026/scan 1.pdf").unlink()
    site.write("pages/p1.jpg", b"changed")
    change = rescue(site)["losses"]["files"]["change"]
    assert change["removed"] == {"count": 1, "first": ["copies/2026/scan 1.pdf"]}
    assert change["changed"] == {"count": 1, "first": ["pages/p1.jpg"]}
    assert media.name in str(rescue(site)["offers"])


@pytest.mark.parametrize("stored", [False, True])
def test_content_that_changed_in_silence_is_found(site, stored):
    (site.home / "korrigo-backup.toml").write_text(f"[media]\nstore = {str(stored).lower()}\n")
    days(site)
    media = site.backup_media()
    path = site.media / "pages/p1.jpg"
    content, before = path.read_bytes(), path.stat()
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = rescue(site, "--contents") if stored else rescue(site)
    assert found["losses"]["files"]["change"]["changed"]["first"] == ["pages/p1.jpg"]
    command = commands(found)[0]
    assert command == ["restore", "--file", "pages/p1.jpg", "--overwrite", media.name]
    site.korrigo(*command, "--yes")
    assert path.read_bytes() == content


def test_of_a_large_archive_only_files_touched_since_are_read(site, monkeypatch):
    site.backup_media()
    site.write("pages/p1.jpg", b"other")
    monkeypatch.setattr(live_files, "READ_WHOLE", 0)
    points, tree = read_points(Catalog(site.backups)), MediaTree(site.media)
    found = [live_files.file_state(points, tree, (), contents=contents) for contents in (False, True)]
    assert [one and (one.change.changed.count, one.change.removed.count) for one in found] == [(1, 0), (1, 0)]
    assert [one and bool(one.unread_bytes) for one in found] == [True, False]


def test_a_table_that_is_gone_is_named_with_the_restore_point(site):
    days(site)
    site.sql("DROP TABLE annotation")
    found = rescue(site)
    assert found["losses"]["tables"][0]["moment"]["kind"] == "gone"
    assert commands(found)[-1][0] == "restore"


def test_without_the_database_the_backups_are_looked_at_and_that_is_said(site):
    days(site, "DELETE FROM annotation")
    out = site.korrigo("rescue", "--only-data", env={"POSTGRES_PORT": "1"}).out
    assert "emptied: 300 rows before" in out
    assert "not looked at" in out


def test_without_the_database_no_data_that_a_restore_has_replaced_are_offered(site):
    point = site.backup()
    site.sql("DELETE FROM annotation")
    site.korrigo("restore", point.name, "--yes", "--no-validate")
    site.write("lost.pdf", b"lost")
    site.backup_media()
    (site.media / "lost.pdf").unlink()
    found = site.json("rescue", "--only-data", env={"POSTGRES_PORT": "1"})
    assert [one["command"] for one in found["offers"] if "safety" in one["command"]] == []
    assert found["offers"][-1]["command"].endswith(point.name)


def test_a_site_without_a_loss_gets_no_offer(site):
    site.backup()
    site.write("kept.pdf", b"kept")
    site.backup_media()
    assert rescue(site)["offers"] == []
    assert "No row and no file" in site.korrigo("rescue", "--only-data").out


def test_the_findings_of_doctor_and_validate_are_shown(site):
    days(site)
    found = site.json("rescue", env={"POSTGRES_PORT": "1"})
    assert any(one["level"] == "error" for one in found["findings"])


def test_a_loss_that_a_restore_has_brought_back_is_none(site):
    point = site.backup()
    site.sql("DELETE FROM annotation")
    site.korrigo("restore", point.name, "--yes", "--no-validate")
    found = rescue(site)
    assert (found["offers"], found["losses"]["moments"], found["losses"]["tables"]) == ([], [], [])
    assert "No row and no file" in site.korrigo("rescue", "--only-data").out


def test_rows_that_a_restore_has_replaced_are_found_in_its_safety_backup(site):
    point = site.backup()
    site.sql("INSERT INTO exam (name) VALUES ('entered since'); DELETE FROM annotation")
    site.korrigo("restore", point.name, "--yes", "--no-validate")
    found = rescue(site)
    assert found["losses"]["moments"] == []
    (command,) = commands(found)
    assert command[0] == "undelete"
    assert "pre_restore_safety_backup" in command[-1]
    assert "which a restore has replaced" in site.korrigo("rescue", "--only-data").out
    site.korrigo(*command, "--yes")
    assert site.sql("SELECT count(*) FROM exam WHERE name = 'entered since'") == [(1,)]
    assert rescue(site)["offers"] == []


def test_a_loss_between_two_dumps_whose_rows_are_back_is_marked(site):
    first, _ = days(site, "DELETE FROM annotation")
    site.korrigo("undelete", "--table", "annotation", "--yes", "--from", first)
    found = rescue(site)
    assert found["losses"]["returned"] == ["public.annotation"]
    assert "(its rows are back)" in site.korrigo("rescue", "--only-data").out


def test_the_newest_backup_before_a_time_is_no_safety_backup(site):
    point = site.backup()
    site.sql("DELETE FROM annotation")
    site.korrigo("restore", point.name, "--yes", "--no-validate")
    site.sql("DELETE FROM annotation WHERE id = 5")
    plan = site.json("undelete", "annotation:5", "--at", "2099-01-01", "--yes")["plan"]
    assert plan["artifact"] == point.name


def test_a_mass_change_before_the_newest_dump_is_found_with_its_way_back(site):
    before, after, _ = days(site, "UPDATE annotation SET body = 'wiped'", "INSERT INTO exam (name) VALUES ('new')")
    kept = site.sql("SELECT count(*) FROM annotation WHERE body <> 'wiped'")
    assert kept == [(0,)]
    found = rescue(site)
    (step,) = found["losses"]["steps"]
    assert (step["moment"]["former"], step["moment"]["source"], step["change"]["changed"]) == (before, after, 300)
    assert found["losses"]["ordinary"] == ["public.exam"]
    revert = commands(found)[0]
    assert revert == ["revert", "--table", "public.annotation", "--from", before, "--accident", after]
    out = site.korrigo("rescue", "--only-data").out
    assert "public.annotation: 300 changed, 0 removed, 0 added, of 300 rows" in out
    site.korrigo(*revert, "--yes")
    assert site.sql("SELECT count(*) FROM annotation WHERE body = 'wiped'") == [(0,)]
    assert rescue(site)["offers"] == []


def test_a_mass_change_with_honest_changes_before_and_after_is_found_in_its_step(site):
    names = days(
        site,
        "UPDATE annotation SET body = 'mine' WHERE id = 1",
        "UPDATE annotation SET body = 'wiped' WHERE id > 5",
        "UPDATE annotation SET body = 'ours' WHERE id = 2",
        "UPDATE annotation SET body = 'yours' WHERE id = 3",
    )
    found = rescue(site)
    assert [one["moment"]["source"] for one in found["losses"]["steps"]] == [names[2]]
    assert commands(found)[0][-4:] == ["--from", names[1], "--accident", names[2]]


def test_rows_that_an_older_loss_took_are_offered_beside_those_of_a_newer(site):
    first, _, third, _ = days(
        site, "DELETE FROM annotation WHERE id <= 100", "SELECT 1", "DELETE FROM annotation WHERE id = 200"
    )
    found = [one for one in commands(rescue(site)) if one[0] == "undelete"]
    assert [one[-1] for one in found] == [third, first]
    assert len(rescue(site)["losses"]["steps"]) == 1


def test_a_dump_that_cannot_be_read_is_named_and_its_step_is_not_compared(site):
    _, second, _ = days(site, "UPDATE annotation SET body = 'wiped'", "UPDATE annotation SET body = 'again'")
    path = site.backups / second
    path.write_bytes(path.read_bytes()[:-20] + b"x" * 20)
    found = rescue(site)
    assert any(second in one for one in found["losses"]["unseen"])


def test_a_deletion_is_one_offer_of_its_top_that_names_the_tables_below(site):
    (saved,) = days(site)
    site.sql("DELETE FROM annotation; DELETE FROM copy; DELETE FROM exam WHERE id = 7")
    found = rescue(site)
    assert [one for one in commands(found) if one[0] == "undelete"] == [["undelete", "public.exam:7", "--from", saved]]
    assert "deleted with them (also rows of public.annotation, public.copy)" in found["offers"][0]["brings"]


def test_an_exam_that_refers_to_one_of_its_copies_is_the_top_of_their_deletion(make_site):
    site = make_site(
        schema="CREATE TABLE exam (id int PRIMARY KEY, model int); CREATE TABLE copy (id int PRIMARY KEY, exam int NOT NULL"
        " REFERENCES exam); INSERT INTO exam VALUES (1, NULL), (2, NULL); INSERT INTO copy VALUES (1, 1), (2, 1), (3, 2);"
        "ALTER TABLE exam ADD FOREIGN KEY (model) REFERENCES copy; UPDATE exam SET model = 2 WHERE id = 1;"
    )
    (saved,) = days(site)
    site.sql("UPDATE exam SET model = NULL; DELETE FROM copy WHERE exam = 1; DELETE FROM exam WHERE id = 1")
    undeletes = [one for one in commands(rescue(site)) if one[0] == "undelete"]
    assert undeletes == [["undelete", "public.exam:1", "--from", saved]]


def test_no_step_that_holds_only_a_deletion_is_offered_for_changed_values(site):
    first, second, third, _ = days(
        site, "DELETE FROM annotation WHERE id <= 2", "UPDATE annotation SET body = 'wiped'", "SELECT 1"
    )
    reverts = [one for one in commands(rescue(site)) if one[0] == "revert"]
    assert reverts == [["revert", "--table", "public.annotation", "--from", second, "--accident", third]]
    assert first not in str(reverts)


def test_replaced_rows_that_a_newer_backup_has_are_offered_once(site):
    point = site.backup()
    site.sql("INSERT INTO exam (name) VALUES ('entered since')")
    site.korrigo("restore", point.name, "--yes", "--no-validate")
    site.sql("INSERT INTO exam (id, name) SELECT max(id) + 1, 'entered since' FROM exam")
    newer = site.backup()
    site.sql("DELETE FROM exam WHERE name = 'entered since'")
    found = rescue(site)
    undeletes = [one for one in commands(found) if one[0] == "undelete"]
    assert [one[-1] for one in undeletes] == [newer.name]
    assert found["losses"]["replaced"] == []
    assert "pre_restore_safety" not in site.korrigo("rescue", "--only-data").out
    assert "pre_restore_safety" not in site.korrigo("rescue", "exam").out
