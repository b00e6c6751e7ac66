"""Drills and periods from the journal."""

from datetime import timedelta

import pytest

from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.report.collect import contents
from korrigo_backup.report.evaluate import drills, period
from korrigo_backup.report.markdown import markdown
from korrigo_backup.report.model import DrillOutcome, RecoveryTargets
from korrigo_backup.report.pages import drill_page
from korrigo_backup.run.record import Outcome
from standings import NOW, backup, ran

FULL = {"depth": "full"}


def verified(hours, artifact, **more):
    given = {"verb": "verify", "subject": artifact.name, "why": FULL, "seconds": 90.0, "exit_code": 0} | more
    return ran(hours, **given)


def test_a_full_verification_is_a_drill_with_the_content_of_its_backup():
    made = backup(30, rows=320)
    (found,) = drills([verified(20, made)], contents([made]))
    assert (found.verdict, found.subject, found.seconds) == (DrillOutcome.PASSED, made.name, 90.0)
    assert found.content
    assert (found.content.rows, found.content.files) == (320, None)
    assert found.lost_seconds == 10 * 3600


@pytest.mark.parametrize(
    ("code", "verdict"), [(9, DrillOutcome.FAILED), (4, DrillOutcome.ERROR), (8, DrillOutcome.ERROR)]
)
def test_only_a_failed_proof_is_about_the_backup(code, verdict):
    made = backup(30)
    (found,) = drills([verified(20, made, outcome=Outcome.FAILED, exit_code=code, message="why")], contents([made]))
    assert (found.verdict, found.message) == (verdict, "why")


def test_a_shallow_or_killed_verification_and_one_of_a_django_backup_are_no_drills():
    made = backup(30)
    records = [
        verified(9, made, why={"depth": "content"}),
        verified(8, made, outcome=Outcome.BEGUN, exit_code=None),
        ran(7, verb="verify", subject="korrigo_backup_20260204_030000", why=FULL),
    ]
    assert drills(records, contents([made])) == ()


def test_a_night_that_proved_its_backup_is_a_drill_of_the_backup_that_it_made():
    made, other = backup(20), backup(45)
    record = ran(20, verb="nightly", subject="db", proved="f00d", seconds=300.0, steps=["nightly.drill"])
    (found,) = drills([record], contents([made, other]))
    assert (found.subject, found.verdict) == (made.name, DrillOutcome.PASSED)


def test_a_drill_of_a_backup_that_is_gone_has_no_content():
    made = backup(30)
    (found,) = drills([verified(20, made)], {})
    assert (found.content, found.lost_seconds) == (None, None)


def test_the_measured_rpo_is_the_longest_time_without_a_backup_of_the_database():
    records = [ran(hours) for hours in (100, 76, 40, 10)]
    found = period(records, (), NOW - timedelta(hours=80), NOW)
    assert found.measured_rpo == 36 * 3600
    assert [seconds / 3600 for _, seconds in found.gaps] == [24, 36, 30, 10]


def test_failed_backups_media_and_skipped_points_end_no_gap():
    records = [
        ran(50),
        ran(40, Outcome.FAILED),
        ran(30, subject="media"),
        ran(20, verb="point", subject="skipped"),
    ]
    assert period(records, (), NOW - timedelta(days=30), NOW).measured_rpo == 50 * 3600


def test_a_period_without_a_backup_has_no_measured_rpo():
    assert period([ran(2, subject="media")], (), NOW - timedelta(days=1), NOW).measured_rpo is None


def test_the_measured_rto_is_the_longest_of_drills_that_passed_and_of_restores():
    made = backup(30)
    records = [
        verified(20, made, seconds=50.0),
        verified(19, made, seconds=900.0, outcome=Outcome.FAILED, exit_code=9),
        ran(18, verb="restore", subject=made.name, seconds=120.0),
    ]
    found = period(records, drills(records, contents([made])), NOW - timedelta(days=2), NOW)
    assert found.measured_rto == 120


def test_problems_and_decisions_are_those_of_the_period():
    records = [
        ran(90, Outcome.FAILED, message="long ago"),
        ran(20, Outcome.FAILED, message="disk full"),
        ran(19, verb="canary", subject="x", why={"reason": "meant"}),
        ran(18),
    ]
    found = period(records, (), NOW - timedelta(hours=48), NOW)
    assert [one.message for one in found.problems] == ["disk full"]
    assert [one.verb for one in found.decisions] == ["canary"]
    assert len(found.backups) == 2


def test_a_restore_point_has_the_rows_and_files_of_its_components():
    found = contents([backup(5, rows=7), backup(6, kind=Kind.MEDIA)])
    assert {(one.rows, one.files) for one in found.values()} == {(7, None), (None, 4)}


def test_the_recovery_time_of_a_drill_is_that_of_its_phases():
    made = backup(30)
    record = ran(20, verb="drill", subject=made.name, seconds=90.0, phases={"load": 40.0, "prove": 5.0, "remove": 45.0})
    (found,) = drills([record], contents([made]))
    assert (found.verdict, found.seconds) == (DrillOutcome.PASSED, 45.0)


@pytest.mark.contract("D3")
def test_the_downtime_of_a_disaster_is_its_recovery_time():
    made = backup(30)
    phases = {"load": 40.0, "rebuild": 20.0}
    records = [
        ran(20, verb="drill", subject=made.name, phases=phases),
        ran(10, verb="drill", subject=made.name, phases={"load": 40.0}),
    ]
    found, targets = drills(records, contents([made])), RecoveryTargets(rpo=1, rto=1)
    pages = [markdown(drill_page(one, found, targets, environment="", lang="en")) for one in found]
    assert ["Simulated downtime: 60 s" in page for page in pages] == [True, False]
    assert ["Simulated downtime: none" in page for page in pages] == [False, True]
