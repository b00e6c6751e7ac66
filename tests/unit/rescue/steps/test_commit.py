"""The end of a transaction when the connection is lost while it commits."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from korrigo_backup.errors import Unreachable
from korrigo_backup.recovery.undelete import PENDING, UndeleteHead, record_path, write_record
from korrigo_backup.rescue.steps import transaction
from korrigo_backup.rescue.steps.transaction import EndUnknown, RecordPlace, commit, recorded_change


class _Lost:
    """A session whose connection is lost with the COMMIT."""

    def run(self, _):
        raise Unreachable("the connection was lost", hint="")

    def terminate(self):
        pass


LOST: Any = _Lost()
NO_POINTS: Any = None


@pytest.fixture
def site() -> Any:
    return SimpleNamespace(name="shop", postgres=None, media=None, ledger=None)


def change(site, directory: Path):
    head = UndeleteHead(
        site="shop",
        database="shop",
        stamp="20260204_030000",
        artifact="dump",
        asked=("exam:1",),
        transaction="7",
        created=datetime(2026, 2, 4, 3, tzinfo=UTC),
    )
    with recorded_change(site, RecordPlace(directory, NO_POINTS, head.stamp), head.stamp, "done"):
        write_record(directory, head)
        commit(site, LOST, "7")
    return record_path(directory, head.stamp, PENDING)


def test_without_an_answer_the_record_stays_for_the_next_run(site, tmp_path, monkeypatch):
    def away(*_):
        raise Unreachable("the server is away", hint="")

    monkeypatch.setattr(transaction, "committed", away)
    with pytest.raises(EndUnknown) as problem:
        change(site, tmp_path)
    assert "the record of the change stays" in problem.value.state
    assert [path.name for path in tmp_path.iterdir()] == [".undelete-20260204_030000.pending"]


def test_with_the_answer_that_nothing_was_committed_the_record_goes(site, tmp_path, monkeypatch):
    monkeypatch.setattr(transaction, "committed", lambda *_: False)
    with pytest.raises(Unreachable, match="the connection was lost"):
        change(site, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_with_the_answer_that_it_was_committed_there_is_no_error(site, tmp_path, monkeypatch):
    monkeypatch.setattr(transaction, "committed", lambda *_: True)
    monkeypatch.setattr(transaction, "forget_oldest", lambda *_: None)
    change(site, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".undelete-20260204_030000.done"]
