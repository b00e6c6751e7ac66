"""The journal tells who did what, why, when, how long the site was down, and how it ended."""

import json
from types import SimpleNamespace

import pytest

from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.run import journal
from korrigo_backup.run.step import silent
from sandbox import KORRIGO, nothing_changes
from screen import terminal

SERVICES = """
[services]
stop = [["true"]]
start = [["sleep", "0.3"]]
"""


def records(site):
    lines = (site.backups / ".journal.jsonl").read_text().splitlines()
    return list({record["id"]: record for record in map(json.loads, lines)}.values())


@pytest.mark.contract("R3")
def test_the_journal_records_the_answers_and_steps_and_downtime_of_a_restore(site):
    (site.home / "korrigo-backup.toml").write_text(SERVICES)
    made = site.backup()
    answers = [
        "--approved-by",
        "Mme Durand",
        "--ticket",
        "INC-7",
        "--users-told",
        "mail of 3:10",
        "--contacts",
        "astreinte",
    ]
    done = site.korrigo("restore", made, "--yes", "--no-safety-backup", *answers)
    assert "[x] authorisation: Mme Durand" in done.out
    assert "[x] incident documented: INC-7" in done.out
    assert "[ ] maintenance window: not stated" in done.out
    assert done.out.count("\n  [") == 12
    backup, restored = records(site)
    assert (backup["verb"], backup["outcome"], backup["bytes"]) == ("backup", "done", made.stat().st_size)
    assert (restored["verb"], restored["subject"], restored["outcome"]) == ("restore", made.name, "done")
    assert restored["exit_code"] == 0
    assert restored["why"] == {
        "approved_by": "Mme Durand", "ticket": "INC-7", "users_told": "mail of 3:10", "contacts": "astreinte"
    }  # fmt: skip
    assert 0.3 <= restored["downtime"] < restored["seconds"]
    steps = [step["id"] for step in restored["steps"]]
    assert steps.index("restore.proven") < steps.index("restore.stop") < steps.index("restore.swap")
    assert steps.index("restore.swap") < steps.index("restore.healthy")
    assert f"downtime  about {restored['downtime']:.1f}".rstrip("0") in site.korrigo("plan", made).out


@pytest.mark.contract("R3")
def test_a_site_can_demand_that_the_checklist_is_answered(site):
    (site.home / "korrigo-backup.toml").write_text("[restore]\nrequire_checklist = true\n")
    made = site.backup()
    with nothing_changes(site):
        done = site.korrigo("restore", made, "--yes", "--approved-by", "Mme Durand", code=4)
    assert "the checklist is not complete: incident" in done.err
    assert "--users-told --window --contacts" in done.err
    given = ["--approved-by", "a", "--reason", "b", "--users-told", "c", "--window", "60", "--contacts", "d"]
    site.korrigo("restore", made, "--yes", "--no-safety-backup", *given)


def test_a_person_in_a_hurry_is_asked_one_question(site):
    made = site.backup()
    with terminal([str(KORRIGO), "restore", str(made)], env=site.env, cwd=site.home, columns=200) as screen:
        screen.until(lambda: "Continue? (yes/no): " in screen.text)
        assert "Approved in writing by" not in screen.text
        assert "--approved-by --reason --ticket --users-told --window --contacts" in screen.text
        screen.type("no\n")
        assert screen.wait() == 5


def test_a_site_that_demands_the_checklist_asks_for_its_answers(site):
    (site.home / "korrigo-backup.toml").write_text("[restore]\nrequire_checklist = true\n")
    made = site.backup()
    asked = ("in writing by", "in a sentence", "informed by", "Minutes planned", "goes wrong")
    with terminal([str(KORRIGO), "restore", str(made)], env=site.env, cwd=site.home, columns=200) as screen:
        for words in asked:
            screen.until(lambda words=words: f"{words} (Enter: not stated): " in screen.text)
            screen.type("Mme Durand\n" if words != "goes wrong" else "\n")
            if words == "in a sentence":
                screen.until(lambda: "Ticket or report (Enter: not stated): " in screen.text)
                screen.type("\n")
        assert screen.wait() == 4
    assert "the checklist is not complete: team" in screen.text


def test_a_cut_or_foreign_line_in_the_journal_harms_nothing(site):
    made = site.backup()
    with (site.backups / ".journal.jsonl").open("ab") as file:
        file.write(b'{"id": "cut\n\xff\xfe\n[]\n')
    site.korrigo("plan", made)
    site.korrigo("backup", "db")
    assert (site.backups / ".journal.jsonl").read_bytes().endswith(b"}\n")


def test_a_name_that_is_no_text_is_recorded_and_hides_no_failure(tmp_path):
    site = SimpleNamespace(name="korrigo", secrets=())
    for name in ("caf\udce9", "half \ud800"):
        problem = KorrigoBackupError(f"cannot read {name}", hint="mend it")
        with (
            pytest.raises(KorrigoBackupError) as caught,
            journal.recorded(tmp_path, site, "backup", name, listener=silent),
        ):
            raise problem
        assert caught.value is problem
    assert [one.message for one in journal.read(tmp_path)] == ["cannot read caf\\xe9", "cannot read half \\ud800"]
