"""One screen that says how the backups stand, also when the database is down and the directory is odd."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from korrigo_backup.app.build_status import facts
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.status.evaluate import evaluate
from korrigo_backup.status.published import decode
from sandbox import kill_all, nothing_changes, until

CALM = """
[status]
accept = ["status.one_disk", "status.schedule", "status.unproven"]

[[contacts.people]]
role = "DBA"
contact = "dba@example.com"
scope = "validation DB"
"""


def ids(found):
    return [finding["id"] for finding in found["attention"]]


@pytest.mark.contract("B10")
def test_a_site_with_a_fresh_backup_is_shown_on_one_screen(site):
    (site.home / "korrigo-backup.toml").write_text(CALM)
    site.korrigo("backup", "full")
    with nothing_changes(site):
        out = site.korrigo("status").out
        found = site.json("status")
    assert out.startswith("✅ korrigo (production): all is well\n")
    assert "620 rows" in out
    assert "copies     2 places (the live site counts), all on one disk; missing: a third place, a second" in out
    assert "not enough history" in out
    assert len(out.splitlines()) < 25
    assert found["schema"] == "korrigo-backup/status-1"
    assert {good["kind"] for good in found["good"]} == {"sql", "media", "point"}
    assert (found["overdue"], ids(found)) == (False, [])
    assert found["verified"]["by"] == "backup"
    assert found["copies"] == {"places": 2, "supports": 1, "off_site": 0, "immutable": 0}
    (contact,) = found["contacts"]
    assert {"role": "DBA", "contact": "dba@example.com", "scope": "validation DB"}.items() <= contact.items()
    line = site.korrigo("status", "--nagios").out
    assert re.fullmatch(
        r"BACKUP OK - the newest database backup is 0 min old \| age=\d+s;;93600;0 .*sql_rows=620.*\n", line
    )


@pytest.mark.contract("X3")
def test_status_without_any_backup_prints_a_hint_and_the_contacts(site):
    (site.home / "korrigo-backup.toml").write_text(CALM)
    done = site.korrigo("status", code=10)
    assert "❌ the backup directory" in done.out
    assert "hint: check BACKUP_DIR, or make the first backup: korrigo-backup backup" in done.out
    assert "DBA: dba@example.com (validation DB)" in done.out
    assert done.err.startswith("error: the backup directory")
    assert "BACKUP CRITICAL - " in site.korrigo("status", "--nagios", code=2).out
    assert not site.backups.exists()


def test_failed_runs_are_counted_until_a_backup_succeeds(site):
    site.backup()
    for _ in range(2):
        site.korrigo("backup", code=8, env={"POSTGRES_DB": "not_there"})
    found = site.json("status", code=10)
    assert ids(found)[0] == "status.failing"
    assert found["failing"][0]["times"] == 2
    assert "backup db failed 2 times" in found["attention"][0]["message"]
    site.korrigo("backup")
    assert site.json("status")["failing"] == []


@pytest.mark.contract("D9")
def test_a_restore_is_the_proof_and_an_unreachable_database_hides_nothing(site):
    made = site.backup()
    site.korrigo("restore", made, "--yes", "--no-safety-backup")
    dead = {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1"}
    found = json.loads(site.korrigo("status", "--json", env=dead).out)
    assert (found["proven"]["what"], found["proven"]["by"]) == (made.name, "restore")
    assert found["proven"]["seconds"] > 0
    assert "status.unproven" not in ids(found)


def test_status_distinguishes_a_running_backup_from_a_killed_backup(site):
    site.backup()
    with site.connect() as blocking, blocking.transaction():
        blocking.execute("LOCK TABLE exam IN ACCESS EXCLUSIVE MODE")
        with site.started("backup") as child:
            until(lambda: site.journal()[-1]["outcome"] == "begun")
            found = site.json("status")
            kill_all(child)
    assert "backup of the database (process " in found["running"]
    assert found["failing"] == []
    found = site.json("status", code=10)
    assert found["running"] is None
    assert "backup db failed once" in found["attention"][0]["message"]
    assert "it was killed" in found["attention"][0]["message"]


def test_metrics_are_written_at_once_and_readable_by_all(site):
    site.korrigo("backup", "full")
    target = site.home / "collector" / "korrigo.prom"
    target.parent.mkdir()
    target.write_text("old")
    site.korrigo("metrics", "--textfile", target, umask=0o077)
    assert [path.name for path in target.parent.iterdir()] == ["korrigo.prom"]
    assert target.stat().st_mode & 0o777 == 0o644
    families = {family.name: family for family in text_string_to_metric_families(target.read_text())}
    rows = {sample.labels["kind"]: sample.value for sample in families["korrigo_backup_last_rows"].samples}
    assert rows == {"sql": 620}
    assert families["korrigo_backup_kept"].samples[0].labels == {"site": "korrigo", "environment": "production"}
    assert "korrigo_backup_last_success_timestamp_seconds" in site.korrigo("metrics").out
    assert "ends in .prom" in site.korrigo("metrics", "--textfile", site.home / "x.txt", code=2).err
    assert "hint:" in site.korrigo("metrics", "--textfile", site.home / "no" / "x.prom", code=(1, 4)).err


@pytest.mark.contract("D9")
@pytest.mark.contract("X3")
def test_the_checklists_are_answered_from_the_recorded_runs(site):
    (site.home / "korrigo-backup.toml").write_text(CALM)
    site.korrigo("nightly", "--full")
    site.korrigo("restore", "latest-point", "--yes", "--no-safety-backup")
    site.korrigo("rollback", "--yes")
    answers = {one["point"]: one for one in site.json("checklist", "release", code=10)["answers"]}
    met = {point for point, one in answers.items() if one["state"] == "yes"}
    assert {"Data identical before and after", "Media files restored as they were"} <= met
    assert "Permissions right (600, 640)" in met
    assert answers["Rollback works when a restore fails"]["state"] == "ask"  # none has failed
    assert answers["Manual backup succeeds"]["state"] == "no"
    done = site.korrigo("checklist", code=10)
    assert "✅ File made and validated" in done.out
    assert "❌ Notification received" in done.out
    assert "DBA: dba@example.com" in done.out
    assert "not met: " in done.err


def test_the_published_status_is_world_readable_and_equals_the_local_status(site):
    made = site.backup()
    published = site.home / "seen.json"
    site.korrigo("status", "--publish", published, code=(0, 10), umask=0o077)
    assert published.stat().st_mode & 0o777 == 0o644
    found, goals = decode(published.read_bytes(), "it")
    assert [artifact.name for artifact in found.artifacts] == [made.name]
    here = facts(site.wired(), now=local_now(), ask=False)
    assert evaluate(found, goals, now=found.taken).good == evaluate(here, goals, now=found.taken).good
    assert site.user not in published.read_text()
    assert "is a directory" in site.korrigo("status", "--publish", site.home, code=2).err
    site.korrigo("status", "--publish", site.home / "nowhere" / "seen.json", code=1)
    assert not [path for path in site.home.iterdir() if path.name.startswith(".seen")]
