"""`manage.py restore` by hand brings no erased person back without a word."""

from datetime import UTC, datetime, timedelta

import pytest

from korrigo_backup.artifact.keyring import read
from korrigo_backup.erasure.entry import Entry, Scope, Subject
from korrigo_backup.erasure.ledger import ErasureLedger


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """The ledger next to the key file of the site."""
    path = tmp_path / "keys" / "key"
    monkeypatch.setenv("KORRIGO_BACKUP_KEY_FILE", str(path))
    return lambda: ErasureLedger(path.parent / "erasures.jsonl", read(path))


def record(ledger, time):
    entry = Entry(
        time=time, scope=Scope("s", "e", "d"), subject=Subject.ROW, hash="00", key=ledger.keyring.signing().id
    )
    ledger.append([entry])


def test_a_backup_from_before_an_erasure_is_refused_unless_it_is_allowed(site, refused, ledger):
    made = site.backup()
    record(ledger(), datetime.now(UTC) + timedelta(minutes=1))
    found = refused(made.path)
    assert found.code == 4
    assert "korrigo-backup restore" in found.text
    assert "the erasure ledger is not applied" in site.restore(made.path, dry_run=True).errors
    assert "the erasure ledger is not applied" in site.restore(made.path, without_ledger=True).errors


def test_a_backup_from_after_the_erasures_is_restored_without_a_word(site, ledger):
    made = site.backup()
    record(ledger(), datetime.now(UTC) - timedelta(days=9))
    assert site.restore(made.path).errors == ""


def test_a_ledger_that_cannot_be_read_stops_it(site, refused, ledger):
    made = site.backup()
    record(ledger(), datetime.now(UTC))
    ledger().path.write_bytes(ledger().path.read_bytes()[:-9])
    assert refused(made.path).code == 4


def test_a_site_that_asks_to_forget_and_does_not_see_the_ledger_is_refused(site, refused, monkeypatch, tmp_path):
    made = site.backup()
    monkeypatch.setenv("KORRIGO_BACKUP_ERASURE", str(tmp_path / "erasures"))
    assert "is not to be seen from here" in refused(made.path).text
    assert "is not to be seen" in site.restore(made.path, without_ledger=True).errors
