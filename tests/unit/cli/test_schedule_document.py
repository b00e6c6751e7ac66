"""The JSON document of `schedule`: it says that a change was made only after it was made."""

from types import SimpleNamespace
from typing import Any

import pytest

from korrigo_backup.cli.program.document import Document
from korrigo_backup.cli.schedule import schedule as verb
from korrigo_backup.errors import Refused


@pytest.fixture
def document(monkeypatch):
    made = Document("schedule")
    monkeypatch.setattr(Document, "current", made)
    return made


def schedule(apply) -> Any:
    return SimpleNamespace(removal=lambda _: [(SimpleNamespace(by="cron", apply=apply), [])])


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
