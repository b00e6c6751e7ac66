"""The benchmark of the runbook on a site's own data: it measures, and leaves all as it was."""

import json
import os
import re

import pytest

from korrigo_backup.artifact.naming import PARTIAL_PREFIX
from sandbox import nothing_changes


@pytest.mark.contract("D7")
def test_the_script_prints_the_lines_of_the_runbook_and_changes_nothing(site):
    site.backup()
    with nothing_changes(site):
        out = site.script("benchmark_backup_restore.sh").out
    number = r"[0-9]+\.[0-9]{3}"
    assert re.search(
        r"=== BENCHMARK BACKUP/RESTORE ===\n1\. Benchmark backup\.\.\.\n"
        rf"   Backup time: {number}s\n2\. Benchmark restore\.\.\.\n   Restore time: {number}s\n\n"
        rf"📊 Performance Report:\n   - Backup duration: {number}s\n   - Restore duration: {number}s\n"
        rf"   - Backup size: {number} MB\n   - Throughput backup: {number} MB/s\n"
        rf"   - Throughput restore: {number} MB/s\n",
        out,
    )
    assert [path.name for path in site.backups.iterdir() if path.name.startswith(PARTIAL_PREFIX)] == []
    assert site.journal()[-1]["verb"] == "bench"


@pytest.mark.parametrize("store", ["true", "false"])
def test_each_step_has_its_seconds_sizes_and_shares(site, store):
    (site.home / "korrigo-backup.toml").write_text(f"[media]\nstore = {store}\n")
    steps = site.json("bench", "--repeat", "2")["steps"]
    assert [(one["step"], one["object"]) for one in steps] == [
        (step, thing) for thing in ("db", "media") for step in ("backup", "verify", "drill")
    ]
    for one in steps:
        assert len(one["runs"]) == 2
        assert min(one["runs"]) <= one["seconds"] <= max(one["runs"])
        assert one["data"] > 0
        assert one["size"] > 0
        assert one["mb_per_second"] == pytest.approx(one["data"] / 1e6 / one["seconds"], rel=0.05, abs=0.002)
        assert sum(phase["share"] for phase in one["phases"].values()) == pytest.approx(1, abs=0.01)
    media = sum(path.stat().st_size for path in site.media.rglob("*") if path.is_file())
    assert steps[3]["data"] == media
    assert not site.published()


def test_what_a_killed_benchmark_leaves_is_removed_by_the_next_run(site):
    left = site.backups / f"{PARTIAL_PREFIX}benchmark"
    left.mkdir(parents=True)
    os.chmod(site.backups, 0o700)
    (left / "db_backup_20260101_000000.sql.gz").write_bytes(b"x")
    assert json.loads(site.korrigo("list", "--json").out)["items"] == []
    site.korrigo("bench")
    assert not left.exists()


def test_a_media_directory_that_is_not_there_is_named_before_any_work(site):
    site.media.rename(site.home / "elsewhere")
    assert "the media directory" in site.korrigo("bench", code=6).err


def test_a_benchmark_waits_for_no_other_run(site):
    with site.wired().catalog.exclusive("backup"):
        site.korrigo("bench", code=7)
