"""The documents of verbs that change something: `--json` gives what they did, and the lines go to standard error."""

import json

import pytest


@pytest.fixture
def saved(site):
    site.point = site.json("backup", "full")["name"]
    return site


def test_a_backup_names_what_it_made(site):
    found = site.json("backup", "full")
    assert (found["schema"], found["ok"], found["kind"]) == ("korrigo-backup/backup-1", True, "point")
    assert (site.backups / found["name"]).is_file()
    assert found["removed"] == 0


def test_a_restore_and_its_way_back(saved):
    saved.sql("DELETE FROM annotation")
    done = saved.korrigo("restore", saved.point, "--yes", "--json")
    found = json.loads(done.out)
    assert found["ok"] is True
    assert found["plan"]["artifact"].endswith(saved.point)
    assert found["safety_backup"].startswith(str(saved.backups))
    assert "✅ Restore completed successfully" in done.err
    assert saved.sql("SELECT count(*) FROM annotation") == [(300,)]
    back = saved.json("rollback", "--yes")
    assert back["plan"]["database"]
    assert saved.sql("SELECT count(*) FROM annotation") == [(0,)]


def test_a_cancelled_restore_is_a_document_and_its_question_goes_to_standard_error(saved):
    done = saved.korrigo("restore", saved.point, "--json", code=5, stdin="no\n")
    assert json.loads(done.out)["error"]["code"] == 5
    assert "Continue? (yes/no)" in done.err


def test_holds(saved):
    added = saved.json("hold", "add", saved.point, "--reason", "audit")["holds"]
    assert [(one["name"], one["reason"]) for one in added] == [(saved.point, "audit")]
    assert saved.json("hold", "list")["holds"] == added
    assert saved.json("hold", "release", saved.point)["holds"] == added


def test_a_night(saved):
    found = saved.json("nightly", "--full")
    assert (found["schema"], found["kind"]) == ("korrigo-backup/nightly-1", "point")
    assert {"findings", "removed", "freed", "recovery"} <= set(found)


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("metrics",), "metrics"),
        (("diagnose",), "report"),
        (("report",), "page"),
        (("adopt",), "adopted"),
        (("compare", "--save", "state.json"), "tables"),
        (("backup", "--check"), "findings"),
        (("status", "--nagios"), "line"),
    ],
)
def test_the_other_verbs_answer_with_fields(saved, words, field):
    assert field in json.loads(saved.korrigo(*words, "--json", code=(0, 1, 4)).out)
