"""`schedule run` as a container runs it: a process that begins the runs, and is ended by a signal."""

import signal
from pathlib import Path

import pytest

from sandbox import until

NEVER_NOW = {
    "KORRIGO_BACKUP_DAILY": "0 3 29 2 *",
    "KORRIGO_BACKUP_WEEKLY": "0 4 29 2 *",
    "KORRIGO_BACKUP_DRILL": "0 5 29 2 *",
}


@pytest.mark.contract("B7")
def test_what_was_never_made_is_made_at_once_and_then_the_next_is_awaited(site):
    output = site.korrigo("schedule", "health", env=NEVER_NOW, code=1).err
    assert "no good backup since the run that was due at Thu 2024-02-29 04:00: there is none" in output
    with site.started("schedule", "run", env=NEVER_NOW) as child:
        lines = [child.stdout.readline().decode()]
        while not lines[-1].startswith("⏳ Next"):
            lines.append(child.stdout.readline().decode())
        assert lines[0] == "▶️  weekly: korrigo-backup nightly --full --wait 2h\n"
        assert not any("▶️  drill" in line for line in lines)  # the first backup is drilled anyway
        assert "⏳ Next: daily, Tue 2028-02-29 03:0" in lines[-1]
        assert "No backup is missing" in site.korrigo("schedule", "health", env=NEVER_NOW).out
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, b"")
    assert "ended while no run was under way" in out.decode()
    assert len(list(site.backups.glob("restore_point_*.json"))) == 1
    site.korrigo("verify", "latest-point")


@pytest.mark.promise("P3")
def test_a_signal_takes_back_the_run_that_is_under_way(site, tmp_path):
    lock = site.connect()
    lock.autocommit = False
    lock.execute("LOCK TABLE exam IN ACCESS EXCLUSIVE MODE")
    with site.started("schedule", "run", env=NEVER_NOW) as child:
        until(
            lambda: site.backups.exists() and any(p.name.startswith(".partial-") for p in Path(site.backups).iterdir())
        )
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=60)
    lock.close()
    assert child.returncode == 130
    assert err.decode().splitlines()[0] == "error: interrupted"
    assert site.published() == frozenset()
    assert site.hidden() == frozenset()


def test_a_schedule_without_hours_is_refused(site):
    refused = site.korrigo("schedule", "run", env=dict.fromkeys(NEVER_NOW, "never"), code=2)
    assert "no job would ever run" in refused.err
    assert "hint: set [schedule] daily, weekly or drill" in refused.err


def test_a_drill_alone_is_a_schedule(site):
    alone = dict.fromkeys(NEVER_NOW, "never") | {"KORRIGO_BACKUP_DRILL": "0 5 29 2 *"}
    with site.started("schedule", "run", env=alone) as child:
        assert child.stdout.readline().decode().startswith("▶️  drill: korrigo-backup nightly --db --depth full")
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)
