"""Who is told what, and in which words."""

from datetime import UTC, datetime, timedelta

import pytest

from korrigo_backup.core.secret import Secret
from korrigo_backup.notify import apprise_, healthchecks
from korrigo_backup.notify.event import (
    DEFAULT_EVENTS,
    Event,
    Notice,
    after_success,
    journal_tail,
    newest_finished,
    wanted,
)
from korrigo_backup.notify.wording import BODIES, SUBJECTS, unknown_placeholders, worded
from korrigo_backup.run.record import Outcome, Record, Timed

NOON = datetime(2026, 2, 4, 12, tzinfo=UTC)


def notice(event, **output):
    return Notice(
        event=event, site="korrigo", environment="production", host="srv", verb="backup", moment=NOON, **output
    )


def records(*ends, verb="backup", subject="db"):
    return [
        Record(id=str(n), verb=verb, subject=subject, site="s", by="me", started=NOON + timedelta(days=n), outcome=end)
        for n, end in enumerate(ends)
    ]


@pytest.mark.contract("B12")
def test_the_default_events_are_warning_and_failure_and_recovered_and_overdue():
    default = [event for event in Event if wanted(event, DEFAULT_EVENTS)]
    assert default == [Event.WARNING, Event.FAILURE, Event.RECOVERED, Event.OVERDUE]


def test_a_channel_for_every_success_is_notified_of_a_recovery():
    assert wanted(Event.RECOVERED, {Event.SUCCESS})
    assert not wanted(Event.SUCCESS, {Event.RECOVERED})


@pytest.mark.parametrize(
    ("ends", "event"),
    [
        ((), Event.SUCCESS),
        ((Outcome.DONE,), Event.SUCCESS),
        ((Outcome.FAILED,), Event.RECOVERED),
        ((Outcome.INTERRUPTED,), Event.RECOVERED),
        ((Outcome.FAILED, Outcome.DONE), Event.SUCCESS),
        ((Outcome.FAILED, Outcome.PARTLY), Event.SUCCESS),
        ((Outcome.FAILED, Outcome.BEGUN), Event.RECOVERED),  # killed: nobody was told of that one
        ((Outcome.FAILED, Outcome.CANCELLED), Event.RECOVERED),
    ],
)
def test_a_success_is_a_recovery_when_the_newest_finished_run_failed(ends, event):
    assert after_success(newest_finished(records(*ends), "backup", "db")) is event


def test_runs_of_other_verbs_and_subjects_do_not_count():
    others = records(Outcome.FAILED, verb="restore") + records(Outcome.FAILED, subject="media")
    assert newest_finished(others, "backup", "db") is None
    newest = newest_finished(others, "backup")
    assert newest
    assert newest.subject == "media"


@pytest.mark.contract("B12")
def test_the_runbooks_subjects_and_texts_are_the_defaults():
    subject, body = worded(notice(Event.SUCCESS))
    assert subject == "✅ Korrigo Backup OK"
    assert body.startswith("Backup successful at 2026-02-04 12:00:00 UTC\n")
    subject, body = worded(notice(Event.FAILURE, message="no space", hint="make room", state="nothing was changed"))
    assert subject == "❌ Korrigo Backup FAILED"
    assert body.splitlines() == [
        "Backup FAILED at 2026-02-04 12:00:00 UTC",
        "",
        "message: no space",
        "hint: make room",
        "state: nothing was changed",
        "site: korrigo (production) on srv",
    ]


def test_every_event_has_a_text_and_a_test_notice_is_marked():
    for event in Event:
        assert not unknown_placeholders(SUBJECTS[event]) + unknown_placeholders(BODIES[event])
        assert "$" not in "".join(worded(notice(event)))
        assert all(text.startswith("[TEST] ") for text in worded(notice(event, test=True)))


def test_every_notifier_knows_every_event():
    assert set(apprise_._TYPES) == set(Event)
    assert set(healthchecks._SIGNALS) == set(Event)


def test_a_subject_is_a_single_line_and_a_message_is_not_expanded_as_a_template():
    output = notice(Event.FAILURE, message="first\nsecond $site")
    subject, body = worded(output, {Event.FAILURE: "$message"}, {Event.FAILURE: "$$5: $message"})
    assert subject == "first second $site"
    assert body == "$5: first\nsecond $site"


def test_the_tail_of_the_journal_ends_with_the_steps_of_the_newest_run():
    (record,) = records(Outcome.BEGUN)
    steps = (Timed("backup.create", 0.01), Timed("backup.verify", 12.5))
    done = Record(
        id="2",
        verb="backup",
        subject="db",
        site="s",
        by="me",
        started=NOON,
        outcome=Outcome.FAILED,
        exit_code=8,
        seconds=13,
        message="gone",
        steps=steps,
    )
    assert journal_tail([record, done]) == (
        "2026-02-04T12:00:00Z backup db begun",
        "2026-02-04T12:00:00Z backup db failed (exit 8) in 13.0 s: gone",
        "      0.010 s  backup.create",
        "     12.500 s  backup.verify",
    )
    assert len(journal_tail([record] * 50)) == 10


def test_a_name_that_is_no_text_and_signs_that_steer_a_terminal_are_sent_escaped():
    output = notice(Event.FAILURE, message="first\nsecond \udcff \x1b[2J ✅").fit_to_send(())
    assert output.message == "first\nsecond \\xff \\x1b[2J ✅"


@pytest.mark.contract("C5")
def test_no_field_of_a_notice_keeps_a_secret():
    secret = "hunter22"
    output = notice(
        Event.FAILURE,
        message=secret,
        hint=secret,
        state=secret,
        facts={"size": secret},
        tail=(secret,),
    )
    assert secret not in repr(output.fit_to_send([Secret(secret)]))
