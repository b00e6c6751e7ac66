"""The JSON document of `schedule`: it says that a change was made only after it was made."""

from types import SimpleNamespace
from typing import Any

import pytest

from korrigo_backup.cli.program.document import Document
from korrigo_backup.cli.schedule import schedule as verb
from korrigo_backup.errors import Refused
from korrigo_backup.schedule.model import Change


@pytest.fixture
def document(monkeypatch):
    made = Document("schedule")
    monkeypatch.setattr(Document, "current", made)
    return made


def schedule(apply) -> Any:
    return SimpleNamespace(removal=lambda _: [(SimpleNamespace(by="cron", apply=apply), [])])


def test_a_crontab_is_in_the_document_with_our_lines_alone():
    others = "MAILTO=ops@example.org\n0 4 * * * deploy --token s3cr3t\n"
    change = Change("crontab of ann", others, f"{others}# korrigo-backup\n0 3 * * * korrigo-backup nightly\n")
    assert verb._changes([change, Change("/etc/x.timer", "[Timer]\n", None)]) == [
        {
            "where": "crontab of ann",
            "action": "change",
            "lines": ["+# korrigo-backup", "+0 3 * * * korrigo-backup nightly"],
        },
        {"where": "/etc/x.timer", "action": "remove", "lines": []},
    ]


def refuse(_):
    raise Refused("the crontab was changed meanwhile", hint="run it again")


@pytest.mark.promise("P1")
def test_a_removal_that_fails_is_not_applied(document):
    with pytest.raises(Refused):
        verb._remove(schedule(refuse), None, dry_run=False)
    assert document.fields["applied"] is False


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_removal_is_applied_unless_it_is_a_dry_run(document, dry_run):
    verb._remove(schedule(lambda _: None), None, dry_run=dry_run)
    assert document.fields["applied"] is not dry_run
