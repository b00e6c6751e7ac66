"""How backups stand is computed from what was read: every case without a file."""

from datetime import timedelta

import pytest

from korrigo_backup.artifact.artifact import Stranger
from korrigo_backup.artifact.history import failing
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.retention.policy import Policy, Rule
from korrigo_backup.run.record import Outcome
from korrigo_backup.status.evaluate import evaluate
from korrigo_backup.status.forecast import Growth, days_until_full
from korrigo_backup.status.model import Goals
from korrigo_backup.status.nagios import plugin_line
from standings import GB, NOW, backup, facts, healthy, ran


def newest(found, kind=Kind.SQL, goals=None):
    good = evaluate(found, goals or Goals(), now=NOW).newest(kind)
    assert good
    return good


def ids(found, goals=None):
    goals = goals or Goals()
    return [finding.id for finding in evaluate(found, goals, now=NOW).attention]


def test_a_healthy_site_needs_no_attention():
    assert ids(healthy()) == []
    found = evaluate(healthy(), Goals(), now=NOW)
    assert (found.age, found.overdue) == (3 * 3600, False)
    assert (newest(healthy()).count, newest(healthy()).rows) == (2, 1000)


@pytest.mark.parametrize(("hours", "overdue"), [(25.9, False), (26.1, True)])
def test_a_backup_older_than_the_objective_is_overdue(hours, overdue):
    found = evaluate(facts(backup(hours)), Goals(), now=NOW)
    assert found.overdue is overdue
    assert evaluate(facts(backup(hours)), Goals(rpo_hours=0), now=NOW).overdue is False


@pytest.mark.promise("P3")
def test_a_broken_forged_safety_or_foreign_backup_is_no_good_backup():
    bad = [
        backup(1, source=None, problem="cut"),
        backup(2, authenticity=Authenticity.FORGED),
        backup(3, origin=Origin.SAFETY),
        backup(4, site="another"),
        backup(5, source=None),
    ]
    found = evaluate(facts(*bad, backup(20)), Goals(), now=NOW)
    assert (found.age, found.others) == (20 * 3600, 1)
    assert ids(facts(*bad))[:2] == ["status.none", "status.forged"]
    assert "status.broken" in ids(facts(*bad))


def test_errors_come_first_and_accepted_warnings_are_not_said_but_errors_are():
    found = facts(backup(30), strangers=[Stranger("db_backup_x", "a link", ours=True)], stopped=True)
    levels = ids(found)
    assert levels[:2] == ["status.stopped", "status.overdue"]
    assert {"status.unread", "status.unproven", "status.no_media"} <= set(levels)
    accepting = Goals(accepted=("status.unread", "status.overdue"))
    assert set(levels) - set(ids(found, accepting)) == {"status.unread"}


def test_rows_that_vanish_and_sizes_that_jump_are_said():
    week = [backup(3 + 24 * day) for day in range(1, 6)]
    assert "status.rows" in ids(facts(backup(3, rows=790), *week))
    assert "status.rows" not in ids(facts(backup(3, rows=810), *week))
    assert "status.size" in ids(facts(backup(3, size=3 * GB), *week))
    assert not {"status.rows", "status.size"} & set(ids(facts(backup(3), *week)))


def test_status_reports_a_backup_dated_in_the_future():
    assert "status.future" in ids(facts(backup(-24)))


@pytest.mark.promise("P1")
def test_status_is_overdue_even_if_a_backup_is_dated_in_the_future():
    found = facts(backup(-9000), backup(200), backup(-9000, kind=Kind.MEDIA), backup(300, kind=Kind.MEDIA))
    output = evaluate(found, Goals(), now=NOW)
    assert (output.overdue, output.age, newest(found, Kind.MEDIA).age) == (True, 200 * 3600, 300 * 3600)
    assert {"status.overdue", "status.media_overdue", "status.future"} <= set(ids(found))
    proof = ran(-9000, verb="restore", subject="x", steps=["restore.proven"])
    assert "status.unproven" in ids(healthy(records=[proof]))
    assert ids(healthy(records=[ran(900, verb="restore", steps=["restore.proven"]), proof])) == ["status.proof_old"]


def test_a_proof_counts_for_a_month():
    proof = {"verb": "restore", "subject": "x", "steps": ["restore.proven"]}
    assert "status.proof_old" in ids(healthy(records=[ran(32 * 24, **proof)]))
    assert "status.unproven" in ids(healthy(records=[ran(3, Outcome.FAILED, **proof)]))
    assert not {"status.proof_old", "status.unproven"} & set(ids(healthy(records=[ran(3, Outcome.PARTLY, **proof)])))


def test_failures_count_from_the_last_success_of_their_kind():
    failed = Outcome.FAILED
    runs = [
        ran(99),
        ran(60, failed, subject="full"),
        ran(50, failed, message="no space"),
        ran(40, Outcome.BEGUN),
        ran(9),
    ]
    (full,) = failing(runs, running=False)
    assert (full.what, full.times, full.succeeded) == ("backup full", 1, None)
    assert failing([*runs, ran(5, subject="full")], running=False) == ()
    database, full = failing(runs[:-1], running=False)
    assert (database.what, database.times, database.outcome) == ("backup db", 2, Outcome.BEGUN)
    assert database.succeeded == NOW - timedelta(hours=99)
    (database, _) = failing(runs[:-1], running=True)
    assert (database.times, database.message) == (1, "no space")


def test_a_kit_that_was_called_wrongly_is_no_failure_of_the_site():
    assert failing([ran(9, Outcome.FAILED, verb="kit", subject="make", exit_code=2)], running=False) == ()
    (kit,) = failing([ran(9, Outcome.FAILED, verb="kit", subject="make", exit_code=1)], running=False)
    assert kit.what == "kit"


def test_a_backup_that_does_not_verify_is_not_good_until_it_does():
    made, older = backup(3), backup(27)
    bad = ran(2, Outcome.FAILED, verb="verify", subject=made.name, message="cut", exit_code=9)
    assert newest(facts(made, older, records=[bad])).name == older.name
    assert "status.damaged" in ids(facts(made, older, records=[bad]))
    assert "status.damaged" not in ids(facts(older, records=[bad]))
    good = ran(1, verb="verify", subject=made.name)
    assert newest(facts(made, older, records=[bad, good])).name == made.name
    night = ran(2, Outcome.FAILED, verb="nightly", message=f"{made.name} was made and does not verify: x", exit_code=9)
    assert newest(facts(made, older, records=[night])).name == older.name


def test_a_backup_that_was_loaded_by_a_drill_is_proven_and_one_only_read_is_not():
    made = backup(3)
    read = ran(2, verb="verify", subject=made.name, why={"depth": "content"})
    found = evaluate(facts(made, records=[read]), Goals(), now=NOW)
    assert found.verified
    assert (found.verified.by, found.proven) == ("verify", None)
    drilled = ran(1, verb="verify", subject=made.name, why={"depth": "full"})
    proven = evaluate(facts(made, records=[read, drilled]), Goals(), now=NOW).proven
    assert proven
    assert proven.what == made.name


def test_status_reports_a_partial_nightly_run_until_the_next_run():
    night = ran(3, Outcome.PARTLY, verb="nightly", message="copy to s3: no such bucket")
    assert "status.partly" in ids(healthy(records=[night]))
    assert "status.partly" not in ids(healthy(records=[night, ran(1)]))


def test_a_later_verify_does_not_mark_a_running_nightly_as_killed():
    runs = [ran(9), ran(1, Outcome.BEGUN, verb="nightly"), ran(0.5, verb="verify", subject="x")]
    assert failing(runs, running=True) == ()
    refused = ran(0.2, Outcome.FAILED, verb="restore", exit_code=7)
    assert [one.what for one in failing([*runs, refused], running=True)] == ["restore"]
    assert [one.what for one in failing([*runs, ran(0.1, subject="media")], running=True)] == ["backup db"]
    assert [one.what for one in failing(runs, running=False)] == ["backup db"]
    assert failing([ran(1, Outcome.BEGUN, verb="verify", subject="x")], running=False) == ()


def test_a_cancelled_restore_is_no_failure_and_a_failed_one_comes_after_the_backups():
    runs = [ran(9, Outcome.FAILED, verb="restore", subject="x"), ran(12, Outcome.FAILED), ran(2, Outcome.CANCELLED)]
    assert [one.what for one in failing(runs, running=False)] == ["backup db", "restore"]
    assert ids(facts(backup(3), records=runs))[:1] == ["status.failing"]
    assert "status.failed" in ids(facts(backup(3), records=runs))


def growth(*sizes, keep=0, **rule):
    return Growth([(NOW - timedelta(days=day), size) for day, size in enumerate(sizes)], Rule(days=keep, **rule))


def test_days_until_full_uses_the_daily_size_if_no_backup_is_pruned():
    assert days_until_full([growth(*[GB] * 10)], free=32 * GB, now=NOW).days == 31


def test_retention_holds_a_steady_directory_for_ever_and_growth_fills_it():
    steady = growth(*[GB] * 30, keep=30)
    assert days_until_full([steady], free=4 * GB, now=NOW).days is None
    filling = days_until_full([growth(*[GB] * 10, keep=30)], free=12 * GB, now=NOW)
    assert filling.days == 11
    growing = growth(*[GB - day * GB // 100 for day in range(30)], keep=30)
    days = days_until_full([growing], free=12 * GB, now=NOW).days
    assert days
    assert 20 < days < 60


def test_backups_kept_by_number_stop_growing_when_there_are_so_many():
    assert days_until_full([growth(*[GB] * 10, daily=30)], free=20 * GB, now=NOW).days == 19
    assert days_until_full([growth(*[GB] * 10, daily=14)], free=20 * GB, now=NOW).days is None


def test_days_until_full_is_zero_without_room_and_unknown_without_history():
    assert days_until_full([growth(*[GB] * 10)], free=GB, now=NOW).days == 0
    assert days_until_full([growth(GB, GB, GB)], free=GB, now=NOW).known is False
    assert days_until_full([], free=GB, now=NOW).known is False


def test_the_disk_is_an_error_in_its_last_week_and_a_warning_in_its_last_month():
    for_ever = Goals(policy=Policy(database=Rule()))
    daily = [backup(3 + 24 * day) for day in range(10)]
    assert ids(facts(*daily, free=6 * GB), for_ever)[0] == "status.full"
    assert "status.filling" in ids(facts(*daily, free=22 * GB), for_ever)
    assert "status.little" in ids(facts(*daily[:3], free=10 * GB, total=200 * GB))


def test_all_backups_of_one_directory_are_one_copy():
    found = evaluate(facts(*[backup(24 * day) for day in range(9)], shared_disk=True), Goals(), now=NOW).copies
    assert (found.places, found.supports) == (2, 1)
    found = evaluate(facts(backup(1), shared_disk=False), Goals(), now=NOW).copies
    assert (found.places, found.supports) == (2, 2)


@pytest.mark.parametrize(
    ("found", "code", "word"),
    [
        (healthy(), 0, "OK"),
        (healthy(shared_disk=True), 1, "WARNING"),
        (facts(), 2, "CRITICAL"),
        (facts(unreadable=("cannot read | it", "chmod")), 3, "UNKNOWN"),
    ],
)
def test_a_monitoring_system_gets_one_line(found, code, word):
    line, given = plugin_line(evaluate(found, Goals(), now=NOW))
    assert (given, line.startswith(f"BACKUP {word} - ")) == (code, True)
    assert line.count("|") == 1
    assert "\n" not in line
