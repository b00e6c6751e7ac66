"""The site's own code asks to forget what it erases; the host records it once the rows are gone."""

import json
import os
import shlex

import pytest

from demosite import MANAGE

ASK = """
from korrigo_backup import forget
from exams.models import Copy
copy = Copy.objects.get(pk={key!r})
print("asked", *forget({what}, by="anna"))
"""


@pytest.fixture
def asking(demo):
    """The reference site, whose code may ask to forget, the key of a copy with booklets, and its files."""
    demo.spool = demo.home / "spool"
    demo.spool.mkdir()
    demo.settings(f"KORRIGO_BACKUP_ERASURE = {str(demo.spool)!r}")
    demo.toml(f'[erasure]\nrequests = "{demo.spool}"\n')
    demo.key = str(demo.sql("SELECT copy_id FROM exams_booklet ORDER BY copy_id LIMIT 1")[0][0])
    return demo


def ask(site, what="copy", code=0):
    script = ASK.format(key=site.key, what=what)
    return site.run([*shlex.split(MANAGE), "shell", "-c", script], code=code, traceback=bool(code))


def delete(site):
    done = site.run([*shlex.split(MANAGE), "shell", "-c", ASK.format(key=site.key, what="copy") + "copy.delete()"])
    return next(line for line in done.out.splitlines() if line.startswith("asked")).split()[1]


def entries(site, subject="row"):
    return [one for one in site.wired().ledger().read() if one.subject == subject]


def test_a_request_is_listed_and_recorded_when_its_row_is_gone(asking):
    asking.korrigo("backup", "full")
    point = str(asking.one("restore_point_*.json"))
    id_ = delete(asking)
    shown = asking.json("forget", "--requested")["requests"]
    assert [(one["id"], one["request"]["by"], one["request"]["key"]) for one in shown] == [(id_, "anna", [asking.key])]
    assert asking.key in asking.korrigo("forget", "--requested").out
    assert "1 request" in asking.korrigo("forget", "--accept", id_[:8], "--dry-run").out
    assert entries(asking) == []
    asking.korrigo("forget", "--accept", id_[:8])
    assert [(one.table, one.live) for one in entries(asking)] == [("public.exams_copy", False)]
    assert "asked by anna" in entries(asking)[0].by
    assert list(asking.spool.iterdir()) == []
    assert "exams_copy 1" in asking.korrigo("restore", point, "--yes").out
    assert asking.sql(f"SELECT count(*) FROM exams_copy WHERE id = '{asking.key}'") == [(0,)]


def test_the_files_of_the_object_are_in_the_request_and_erased_from_media_alone(asking):
    asking.korrigo("backup", "media")
    media = max(path for path in asking.backups.glob("media_backup_*.gz"))
    delete(asking)
    files = asking.json("forget", "--requested")["requests"][0]["request"]["files"]
    assert files
    asking.korrigo("forget", "--accept", "all")
    assert len(entries(asking, "file")) == len(files)
    asking.korrigo("restore", str(media), "--yes")
    assert not [path for path in files if (asking.media / path).exists()]


def test_a_request_whose_row_is_still_live_is_left_waiting(asking):
    ask(asking)
    done = asking.korrigo("forget", "--accept", "all")
    assert "still live" in done.out
    assert entries(asking) == []
    assert len(list(asking.spool.iterdir())) == 1
    id_ = next(asking.spool.iterdir()).name[:8]
    assert "The request stays" in asking.korrigo("forget", "--remove", id_, stdin="no\n", code=5).err
    asking.korrigo("forget", "--remove", id_[:7], "--yes", code=6)
    asking.korrigo("forget", "--remove", id_, stdin="yes\n")
    assert list(asking.spool.iterdir()) == []


def test_a_queryset_asks_for_each_object(asking):
    ask(asking, what="Copy.objects.all()[:3]")
    assert len(asking.json("forget", "--requested")["requests"]) == 3


def test_an_object_that_is_deleted_already_or_no_object_is_an_error_of_the_caller(asking):
    assert "call forget before delete()" in ask(asking, what="(copy.delete(), copy)[1]", code=1).err
    assert "not str" in ask_text(asking, "'exams.Copy:1'")
    assert list(asking.spool.iterdir()) == []


def ask_text(site, what):
    code = f"from korrigo_backup import forget\nforget({what})"
    return site.run([*shlex.split(MANAGE), "shell", "-c", code], code=1, traceback=True).err


def test_without_the_directory_nothing_is_taken_for_asked(asking):
    asking.spool.rmdir()
    assert "for requests to forget" in ask(asking, code=1).err
    asking.settings("")
    assert "KORRIGO_BACKUP_ERASURE" in ask(asking, code=1).err
    assert "erase-a-person" in asking.korrigo("forget", "--requested", code=4).err


def test_status_doctor_and_the_night_name_requests_that_wait(asking):
    delete(asking)
    assert asking.json("status", code=(0, 10))["erasures"] == 1
    assert "waiting for a person: 1 request to forget" in asking.korrigo("status", code=(0, 10)).out
    assert "waiting for a person: 1 request to forget" in asking.korrigo("doctor", code=(0, 4, 9, 10)).out
    assert "waiting for a person: 1 request to forget" in asking.korrigo("nightly").out
    assert entries(asking) == []


def test_the_night_accepts_by_itself_only_where_that_is_configured(asking):
    asking.toml(f'[erasure]\nrequests = "{asking.spool}"\naccept = "auto"\n')
    delete(asking)
    ask_live = asking.sql("SELECT id FROM exams_copy LIMIT 1")[0][0]
    asking.key = str(ask_live)
    ask(asking)
    assert "still live" in asking.korrigo("nightly").out
    assert len(entries(asking)) == 1
    assert len(list(asking.spool.iterdir())) == 1


@pytest.mark.parametrize("sort", ["link", "pipe", "hard link", "large", "words", "field"])
def test_a_file_that_is_no_request_is_named_and_never_followed(asking, sort):
    place = asking.spool / f"{'ab' * 16}.json"
    secret = asking.home / "secret"
    good = {"asked": "2026-05-04T00:00:00Z", "model": "exams.Copy", "table": '"exams_copy"', "key": ["1"]}
    secret.write_text(json.dumps(good))
    match sort:
        case "link":
            place.symlink_to(secret)
        case "pipe":
            os.mkfifo(place)
        case "hard link":
            place.hardlink_to(secret)
        case "large":
            place.write_text(json.dumps(good) + " " * 20_000)
        case "words":
            place.write_text("forget everything")
        case _:
            place.write_text(json.dumps({**good, "sql": "DROP TABLE exams_copy"}))
    (request,) = asking.json("forget", "--requested")["requests"]
    assert request["request"] is None
    assert request["problem"]
    assert "left waiting" in asking.korrigo("forget", "--accept", "all").out
    assert entries(asking) == []


def test_what_cannot_be_meant_is_left_and_keeps_no_other_request_waiting(asking):
    nobody = "00000000-0000-0000-0000-000000000000"
    for number, (table, key, path) in enumerate(
        [
            ("nowhere", "1", "x"),
            ("exams_copy", "'; DROP TABLE exams_copy", "x"),
            ("exams_copy", nobody, "../x"),
            ("exams_copy", nobody, "x"),
        ]
    ):
        request = {"asked": "2026-05-04T00:00:00Z", "model": "a.B", "table": table, "key": [key], "files": [path]}
        (asking.spool / f"{number:032x}.json").write_text(json.dumps(request))
    done = asking.json("forget", "--accept", "all")
    assert [one["id"][-1] for one in done["accepted"]] == ["3"]
    assert sorted(one["id"][-1] for one in done["left"]) == ["0", "1", "2"]
    assert asking.sql("SELECT count(*) > 0 FROM exams_copy") == [(True,)]


def test_an_entry_may_go_when_every_backup_is_younger_and_goes_when_it_is_named(asking):
    asking.korrigo("backup")
    delete(asking)
    asking.korrigo("forget", "--accept", "all")
    first = asking.json("forget", "--list")
    assert {one["may_go"] for one in first["entries"]} == {False}
    for path in asking.backups.glob("*db_backup*"):
        path.unlink()
    assert {one["may_go"] for one in asking.json("forget", "--list")["entries"]} == {True}
    asking.korrigo("backup")
    assert "may go" in asking.korrigo("prune").out
    listed = asking.json("forget", "--list")
    assert {one["may_go"] for one in listed["entries"]} == {True}
    row = next(one for one in listed["entries"] if one["subject"] == "row")
    assert "stays" in asking.korrigo("forget", "--remove", row["hash"][:12], stdin="no\n", code=5).err
    assert len(entries(asking)) == 1
    asking.korrigo("forget", "--remove", row["hash"][:12], "--yes")
    assert entries(asking) == []
    assert len(asking.json("forget", "--list")["entries"]) == len(listed["entries"]) - 1
    assert "does not name one entry" in asking.korrigo("forget", "--remove", "00", "--yes", code=6).err
