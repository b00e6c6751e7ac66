"""The runbook's checklists: every point of it is answered, with what shows it."""

import re

import pytest

from korrigo_backup.run.record import Outcome
from korrigo_backup.status.checklists.answer import AnswerState, Evidence
from korrigo_backup.status.checklists.daily import daily
from korrigo_backup.status.checklists.release import release
from korrigo_backup.status.evaluate import evaluate
from korrigo_backup.status.model import Goals
from standings import GB, NOW, backup, facts, healthy, ran

YES, NO, ASK = AnswerState.YES, AnswerState.NO, AnswerState.ASK


def evidence(found, **more):
    status = evaluate(found, Goals(), now=NOW)
    modes = {one.name: 0o600 for one in status.good}
    return Evidence(**{"status": status, "channels": 2, "modes": modes, **more})


def states(answers):
    return [answer.state for answer in answers]


@pytest.mark.contract("D9")
def test_a_good_day_leaves_only_the_notification_to_a_person():
    found = healthy(records=[ran(3, verb="nightly")], scheduled=True)
    answers = daily(evidence(found))
    assert states(answers) == [YES, YES, ASK, YES, YES]
    assert all(answer.evidence for answer in answers)
    assert "nightly db by root@host" in answers[0].evidence


@pytest.mark.parametrize(
    ("found", "point"),
    [
        (facts(), 0),
        (facts(backup(30)), 0),
        (facts(backup(3, size=5 * GB), *[backup(27 + 24 * n) for n in range(5)]), 1),
        (healthy(free=5 * GB), 3),
        (healthy(records=[ran(5, Outcome.FAILED, message="no space"), ran(3)]), 4),
        (healthy(records=[ran(5, Outcome.PARTLY, message="copy"), ran(3)]), 4),
    ],
    ids=["none", "late", "odd size", "no room", "failed", "in part"],
)
def test_a_bad_day_is_reported_with_the_next_steps(found, point):
    answer = daily(evidence(found))[point]
    assert answer.state is NO
    assert answer.hint


def test_the_daily_checklist_asks_for_the_scheduler_if_no_schedule_is_installed():
    answer = daily(evidence(healthy(scheduled=False)))[0]
    assert (answer.state, "does another program start it?" in answer.evidence) == (ASK, True)


def test_a_site_without_notifications_answers_no_to_that_point():
    assert daily(evidence(healthy(), channels=0))[2].state is NO


@pytest.mark.contract("D9")
def test_the_complete_checklist_has_the_runbook_s_points_and_their_evidence():
    week_old, fresh = backup(24 * 9).name, backup(2).name
    proof = {"verb": "restore", "steps": ["restore.proven", "restore.proven.media"], "seconds": 40.0, "downtime": 1.2}
    records = [
        ran(30, subject=week_old, **proof),
        ran(29, verb="rollback", subject="x"),
        ran(29, verb="incident", subject=fresh),
        ran(28, verb="drill", subject=fresh, phases={"rebuild": 3.0, "load": 9.0}),
        ran(28, verb="nightly", steps=["prune.removed"]),
        ran(4, verb="backup", subject="full"),
        ran(1, subject=fresh, **proof),
    ]
    found = healthy(records=records, scheduled=True)
    answers = release(evidence(found, people=3))
    groups = [len([a for a in answers if a.group == group]) for group in ("Backup", "Restore", "Documentation", "Team")]
    assert groups == [8, 8, 4, 4]
    assert [answer.point for answer in answers if answer.state is NO] == []
    assert len([answer for answer in answers if answer.state is ASK]) == 9


def test_without_evidence_no_point_is_met_and_each_names_the_missing_evidence():
    answers = release(evidence(facts(scheduled=False), channels=0))
    assert YES not in states(answers)
    assert all(answer.hint for answer in answers if answer.state is NO)


def test_what_should_have_gone_and_modes_that_are_open_are_found():
    old = backup(24 * 40)
    answers = {a.point: a for a in release(evidence(facts(backup(3), backup(27), old), modes={"x": 0o644}))}
    assert next(a for point, a in answers.items() if "Retention" in point).state is NO
    assert "x (644)" in answers["Permissions right (600, 640)"].evidence
    just = facts(backup(3), backup(27), backup(24 * 31))
    assert next(a for a in release(evidence(just)) if "Retention" in a.point).state is ASK


def test_old_and_recent_are_by_the_age_at_the_time_of_the_restore():
    fresh = ran(24 * 30, subject=backup(24 * 30 + 3).name, verb="restore", steps=["restore.proven"])
    answers = {re.sub(r" \(.*", "", a.point): a.state for a in release(evidence(healthy(records=[fresh])))}
    assert answers["Restore of a recent backup succeeds"] is YES
    assert answers["Restore of an old backup"] is NO


def test_a_rollback_of_a_good_restore_does_not_show_that_one_works_after_a_failure():
    rolled = [ran(9, verb="restore", subject="x"), ran(8, verb="rollback", subject="x")]
    failed = [ran(9, Outcome.FAILED, verb="restore", subject="x"), ran(8, verb="rollback", subject="x")]
    for records, state in (([], NO), (rolled, ASK), (failed, YES), ([ran(9, verb="incident", subject="x")], YES)):
        (found,) = [a for a in release(evidence(healthy(records=records))) if a.point.startswith("Rollback works")]
        assert found.state is state


def test_an_ordinary_drill_is_no_disaster_recovery_test():
    ordinary, lost = ran(9, verb="drill", subject="x"), ran(8, verb="drill", subject="x", phases={"rebuild": 3.0})
    restored = ran(9, verb="restore", subject="x", steps=["restore.proven"])
    for records, state in (([], NO), ([restored], NO), ([ordinary], ASK), ([ordinary, lost], YES)):
        (found,) = [a for a in release(evidence(healthy(records=records))) if a.point.startswith("Disaster")]
        assert found.state is state
