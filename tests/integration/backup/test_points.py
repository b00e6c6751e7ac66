"""Restore points through the day: made, skipped, thinned, and found by a time."""

import json
import time

import pytest

from korrigo_backup.artifact.catalog import local_now
from sandbox import tree
from sinks import web


def newest_record(site):
    return site.journal()[-1]


def test_a_point_is_skipped_while_another_run_is_at_work(site):
    with site.wired().catalog.exclusive("nightly"):
        done = site.korrigo("point")
    assert "Skipped" in done.out
    assert (newest_record(site)["verb"], newest_record(site)["subject"]) == ("point", "skipped")
    assert not list(site.backups.glob("restore_point_*"))
    skipped = site.json("status", code=(0, 10))["skipped"]
    assert skipped["count"] == 1
    assert "nightly" in skipped["reason"]
    assert "1 point in 24 hours, the last" in site.korrigo("status", code=(0, 10)).out
    assert "korrigo_backup_points_skipped{" in site.korrigo("metrics").out
    site.korrigo("point")
    assert len(list(site.backups.glob("restore_point_*"))) == 1


def test_a_quiet_backup_prints_nothing_when_all_is_well_and_the_error_of_a_failure(site):
    assert site.korrigo("backup", "full", "-q").output == ""
    site.media.rename(site.home / "unmounted")
    assert "error: " in site.korrigo("backup", "full", "-q", code=3).err


def test_of_failures_in_a_row_the_first_notifies(site):
    with web() as hooks:
        (site.home / ".env").write_text(f"KORRIGO_BACKUP_NOTIFY_URLS='json://127.0.0.1:{hooks.port}/hooks'\n")
        away = site.media.rename(site.home / "unmounted")
        for _ in range(3):
            site.korrigo("point", code=6)
        assert [request.json["title"] for request in hooks.requests] == ["❌ Korrigo Backup FAILED"]
        away.rename(site.media)
        site.korrigo("point")
        assert len(hooks.requests) == 2


def test_a_time_names_the_point_before_it(site):
    site.korrigo("point")
    time.sleep(1.1)  # the time is given in whole seconds
    before, moment = tree(site.media), local_now()
    time.sleep(1.1)
    site.write("late/c.pdf", b"late")
    site.korrigo("point")
    plan = site.json("plan", "--at", moment.isoformat())
    first, second = sorted(site.backups.glob("restore_point_*"))
    assert first.name in json.dumps(plan)
    assert second.name not in json.dumps(plan)
    site.korrigo("restore", "--at", f"{moment:%Y-%m-%d %H:%M:%S}", "--yes")
    assert tree(site.media) == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["restore", "--yes"], 2),
        (["restore", "latest", "--at", "2026-05-04 14:05", "--yes"], 2),
        (["restore", "--at", "yesterday", "--yes"], 2),
        (["restore", "--at", "2001-05-04 14:05", "--yes"], 6),
        (["plan", "--at", "99999-01-01"], 2),
    ],
)
def test_a_time_that_names_no_point_is_refused(site, arguments, code):
    site.korrigo("point")
    done = site.korrigo(*arguments, code=code)
    assert "hint: " in done.err


def test_points_are_thinned_by_the_night(site):
    (site.home / "korrigo-backup.toml").write_text('[schedule]\npoints = "*/15 * * * *"\n')
    policy = site.wired().policy()
    assert (policy.complete.hours, policy.complete.hourly, policy.complete.daily) == (24, 72, 30)
    assert policy.database == policy.complete == policy.media
    (site.home / "korrigo-backup.toml").write_text(
        '[schedule]\npoints = "*/15 * * * *"\n[retention.complete]\ndays = 3\n'
    )
    assert site.wired().policy().complete.days == 3
    assert site.wired().policy().database.hourly == 72


def test_the_schedule_makes_points(site):
    (site.home / "korrigo-backup.toml").write_text('[schedule]\npoints = "*/15 7-19 * * *"\n')
    (job,) = [job for job in site.wired().jobs() if job.id == "points"]
    assert (job.hours, job.arguments) == ("*/15 7-19 * * *", ("point",))
