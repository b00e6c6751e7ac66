"""A restore is judged by the health that the site had before it."""

import json
import re

import pytest

from health_server import healthy_until

SILENT = "http://127.0.0.1:9/"


def configured(site, url, *, timeout=1):
    stop = f'[["touch", "{site.home}/stopped"]]'
    (site.home / "korrigo-backup.toml").write_text(
        f'[services]\nhealth_url = "{url}"\nhealth_timeout = {timeout}\nstop = {stop}\nstart = [["true"]]\n'
    )


@pytest.mark.promise("P2")
def test_a_health_address_that_failed_before_the_restore_causes_no_rollback(site):
    made, rows = site.backup(), site.rows()
    site.wreck()
    configured(site, SILENT)
    planned = site.korrigo("plan", made).out
    assert f"⚠️ the health address {SILENT} does not answer: " in planned
    assert "hint: start the site, or correct [services] health_url" in planned
    done = site.korrigo("restore", made, "--yes", "--no-safety-backup", "--no-validate")
    assert f"⚠️ not healthy, as before: {SILENT} is not healthy after 1 s" in done.out
    assert "healthy after 0" not in done.out
    assert site.rows() == rows
    assert f"⚠️ not healthy, as before: {SILENT}" in site.korrigo("rollback", "--yes").out


@pytest.mark.promise("P2")
def test_a_site_that_does_not_get_well_is_rolled_back_unless_it_is_to_be_kept(site):
    made, rows = site.backup(), site.rows()
    site.wreck()
    wrecked = site.rows()
    with healthy_until(site.home / "stopped") as url:
        configured(site, url)
        done = site.korrigo("restore", made, "--yes", "--no-safety-backup", code=1)
        assert "state: rolled back: the site is as it was before" in done.err
        assert site.rows() == wrecked
        (site.home / "stopped").unlink()
        result = site.korrigo("restore", made, "--yes", "--no-safety-backup", "--no-validate", "--keep", code=3)
        assert f"kept, as --keep asks: {url} is not healthy after 1 s: " in result.out
        assert (
            "error: the restore is done and proven, but not everything is as it was: services.unhealthy" in result.err
        )
        assert result.err.rstrip().endswith("state: restored")
        assert site.rows() == rows
        (site.home / "stopped").unlink()
        back = site.korrigo("rollback", "--yes", "--keep", code=3)
        assert "error: the rollback is done, and the site is not healthy" in back.err
        assert site.rows() == wrecked
        (site.home / "stopped").unlink()
        site.korrigo("rollback", "--yes", "--to", "after", code=1)
        assert site.rows() == wrecked


def test_a_restore_and_a_rollback_say_and_record_for_how_long_visitors_had_no_answer(site):
    made = site.backup()
    with healthy_until(site.home / "down") as url:
        down, up = f'[["touch", "{site.home}/down"], ["sleep", "0.5"]]', f'[["rm", "{site.home}/down"]]'
        (site.home / "korrigo-backup.toml").write_text(
            f'[services]\nhealth_url = "{url}"\nstop = {down}\nstart = {up}\n'
        )
        restored = site.korrigo("restore", made, "--yes", "--no-safety-backup", "--no-validate")
        rolled_back = site.korrigo("rollback", "--yes")
    for done in (restored, rolled_back):
        assert re.search(rf"   visitors had no answer for \d+\.\d s \({re.escape(url)}\)\n", done.out)
    output = [float(re.findall(r"no answer for (\S+) s", done.out)[0]) for done in (restored, rolled_back)]
    journal = map(json.loads, (site.backups / ".journal.jsonl").read_text().splitlines())
    assert [one["downtime"] for one in journal if one.get("downtime")] == output


def test_without_an_address_the_seconds_are_those_in_which_the_services_were_stopped(site):
    made = site.backup()
    (site.home / "korrigo-backup.toml").write_text('[services]\nstop = [["true"]]\nstart = [["true"]]\n')
    done = site.korrigo("restore", made, "--yes", "--no-safety-backup", "--no-validate")
    assert re.search(r"   the services were stopped for \d+\.\d s \(no address to measure", done.out)
    assert "had no answer" not in done.out
