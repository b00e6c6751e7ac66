"""What is told about a run by the way it ends, and what the journal keeps of it."""

from contextlib import suppress
from types import SimpleNamespace

import pytest

from korrigo_backup.errors import Cancelled, Interrupted, KorrigoBackupError, Locked, PartlyDone, Unreachable
from korrigo_backup.notify.event import Event
from korrigo_backup.notify.notifier import NotTold
from korrigo_backup.notify.run import announced
from korrigo_backup.notify.send import Announcer
from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome
from korrigo_backup.run.step import silent


class Channel:
    name, events = "ops", frozenset(Event)

    def __init__(self):
        self.notices, self.problem = [], None

    def send(self, notice, *, seconds):  # noqa: ARG002 - the port says so
        self.notices.append(notice)
        if self.problem:
            raise self.problem

    @property
    def heard(self):
        return [notice.event for notice in self.notices]


@pytest.fixture
def channel():
    return Channel()


@pytest.fixture
def findings():
    """The findings of runs about their notifications."""
    return []


@pytest.fixture
def run(channel, tmp_path, findings):
    """Return a function that runs a backup which ends with the problem, if any; `early`: before it is recorded."""

    def run(problem=None, *, early=False, verb="backup", subject="db"):
        with announced(
            Announcer("korrigo", "production", (channel,)), tmp_path, verb, subject, say=findings.extend
        ) as run:
            if early and problem:
                raise problem
            site = SimpleNamespace(name="korrigo", secrets=())
            with journal.recorded(tmp_path, site, verb, subject, listener=silent):
                if problem:
                    raise problem
            run.facts["size"] = "3M"

    return run


def wrong(kind, message="oops"):
    return kind(message, hint="mend it", state="as before")


@pytest.mark.contract("B12")
@pytest.mark.parametrize(
    ("problem", "events"),
    [
        (None, [Event.START, Event.SUCCESS]),
        (wrong(PartlyDone), [Event.START, Event.WARNING]),
        (wrong(KorrigoBackupError), [Event.START, Event.FAILURE]),
        (wrong(Locked), [Event.START, Event.FAILURE]),
        (Interrupted("rolled back"), [Event.START, Event.FAILURE]),
        (RuntimeError("row of Jean Dupont"), [Event.START, Event.FAILURE]),
        (wrong(Cancelled), [Event.START]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_end_of_a_run_is_notified_by_its_outcome_and_its_error_is_unchanged(run, channel, problem, events):
    caught = None
    try:
        run(problem)
    except BaseException as raised:  # noqa: BLE001 - whatever it is, it must be the same one
        caught = raised
    assert caught is problem
    assert channel.heard == events
    assert len({notice.run for notice in channel.notices}) == 1
    assert "Dupont" not in repr(channel.notices)


def test_the_final_notice_contains_the_facts_or_the_error_of_the_run(run, channel):
    run()
    assert channel.notices[-1].facts == {"size": "3M"}
    assert "backup db done (exit 0)" in channel.notices[-1].tail[0]
    with pytest.raises(KorrigoBackupError):
        run(wrong(Unreachable))
    last = channel.notices[-1]
    assert (last.message, last.hint, last.state) == ("oops", "mend it", "as before")


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    ("problem", "outcome", "code"),
    [(wrong(Unreachable), Outcome.FAILED, 8), (Interrupted("unchanged"), Outcome.INTERRUPTED, 130)],
    ids=["failed", "interrupted"],
)
def test_a_failed_run_is_in_the_journal_once_and_its_successor_is_a_recovery(
    run, channel, tmp_path, problem, outcome, code, early
):
    with pytest.raises(type(problem)):
        run(problem, early=early)
    (record,) = journal.read(tmp_path)
    assert (record.outcome, record.exit_code) == (outcome, code)
    run(subject="media")
    run()
    run()
    ends = [event for event in channel.heard if event is not Event.START]
    assert ends[-3:] == [Event.SUCCESS, Event.RECOVERED, Event.SUCCESS]


def test_a_notification_that_is_not_sent_is_a_finding_and_is_recorded_with_the_run(run, channel, tmp_path, findings):
    channel.problem = NotTold("it answers 500")
    run()
    assert [finding.message for finding in findings] == ["notification not sent to ops: it answers 500"] * 2
    (record,) = journal.read(tmp_path)
    assert (record.outcome, record.message) == (Outcome.DONE, "notification not sent to ops: it answers 500")


def test_a_missing_backup_directory_does_not_prevent_a_notification(channel, tmp_path):
    place = tmp_path / "missing"
    with suppress(Unreachable), announced(Announcer("s", "e", (channel,)), place, "backup", "db", say=print):
        raise wrong(Unreachable)
    assert channel.heard == [Event.START, Event.FAILURE]
    assert not place.exists()


class Signalled(Announcer):
    """An announcer that is interrupted while it waits for the channels after the start."""

    def tell(self, notice):
        if notice.event is not Event.START:
            raise Interrupted("nothing was changed")
        return ()


def test_a_signal_while_a_success_is_notified_reports_a_complete_run(channel, tmp_path):
    with (
        pytest.raises(Interrupted, match="the backup itself is complete"),
        announced(Signalled("s", "e", (channel,)), tmp_path, "backup", "db", say=print),
    ):
        pass


def test_a_signal_while_a_failure_is_notified_does_not_hide_the_failure(channel, tmp_path):
    with (
        pytest.raises(Unreachable, match="oops"),
        announced(Signalled("s", "e", (channel,)), tmp_path, "backup", "db", say=print),
    ):
        raise wrong(Unreachable)


def test_without_channels_a_failed_backup_is_recorded_and_another_run_is_left_alone(tmp_path):
    with suppress(Unreachable), announced(Announcer(), tmp_path, "restore", "db", say=print):
        raise wrong(Unreachable)
    assert list(tmp_path.iterdir()) == []
    with suppress(Unreachable), announced(Announcer("korrigo"), tmp_path, "backup", "db", say=print):
        raise wrong(Unreachable)
    (record,) = journal.read(tmp_path)
    assert (record.site, record.verb, record.outcome, record.exit_code) == ("korrigo", "backup", "failed", 8)
    with announced(Announcer(), tmp_path, "backup", "db", say=print):
        pass
    assert len(journal.read(tmp_path)) == 1
