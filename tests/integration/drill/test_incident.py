"""Incident simulation: copies of a backup are broken, and each damage is found; the backup itself is only read."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.drill import incident
from korrigo_backup.drill.damages import Damage
from korrigo_backup.drill.survival import Trial
from korrigo_backup.errors import ProblemsFound
from korrigo_backup.system.wait import wait_until
from sandbox import nothing_changes


def content(site):
    return {path.name: path.read_bytes() for path in site.backups.iterdir() if path.is_file() and path.name[0] != "."}


@pytest.mark.contract("D4")
@pytest.mark.parametrize("stored", [False, True])
def test_every_damage_is_found_and_the_backup_stays_as_it_was(site, stored):
    (site.home / "korrigo-backup.toml").write_text(f"[media]\nstore = {str(stored).lower()}\n")
    site.korrigo("backup", "full")
    before = content(site)
    with nothing_changes(site):
        report = site.json("drill", "--level", "incident", "--seed", "7")
    assert content(site) == before
    assert (report["found"], report["tried"], report["left_out"]) == (8, 8, "")
    assert {one["damage"] for one in report["attempts"]} == {*Damage, *Trial}
    assert all(one["found"] for one in report["attempts"])
    assert not (site.backups / ".drill-files").exists()
    assert "8 of 8 damages found (seed 7)" in site.korrigo("status", code=(0, 10)).out
    site.korrigo("verify", "latest-point")


@pytest.mark.promise("P3")
def test_the_server_of_a_killed_simulation_is_ended_by_the_next_run(site):
    site.backup()
    home = site.backups / ".drill-files" / "incident" / ".drill-server"
    with site.started("drill", "--level", "incident") as run:
        assert wait_until(bool, (home / "data" / "postmaster.pid").exists, seconds=60, pause=0.05)
        run.kill()
        run.wait()
    sockets = Path((home / "sockets").read_text())
    assert working_in(site.backups)
    site.korrigo("backup", "db")
    assert wait_until(bool, lambda: not working_in(site.backups), seconds=30, pause=0.1)
    assert [path for path in (home.parent.parent, sockets) if path.exists()] == []


def working_in(directory):
    """Return the command lines of the processes of drills below a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return [line for line in found if str(directory / ".drill-files") in line]


def test_a_seed_breaks_the_same_places_again(site):
    site.backup()
    first, again = (site.json("drill", "--level", "incident", "--seed", "3") for _ in range(2))
    assert first["attempts"] == again["attempts"]
    assert first["tried"] == 6
    assert "🎲 Seed 3" in site.korrigo("drill", "--level", "incident", "--seed", "3").out


@pytest.mark.promise("P1")
def test_a_damage_that_is_not_found_ends_with_exit_10(site, monkeypatch):
    site.backup()
    monkeypatch.setattr(incident, "_finding", lambda *_: "")
    wired = site.wired()
    with pytest.raises(ProblemsFound, match="4 of 6 damages not found"):
        incident.simulate(
            wired.catalog,
            lambda: wired.catalog.find("latest"),
            wired.site(),
            key_file=wired.keyring.path,
            seed=1,
            now=local_now(),
            listen=lambda _: None,
        )
    record = json.loads((site.backups / ".journal.jsonl").read_text().splitlines()[-1])
    assert (record["verb"], record["why"]["found"], record["why"]["tried"]) == ("incident", "2", "6")
    assert "status.damaged" not in site.korrigo("status", code=(0, 10)).out


def test_a_backup_that_is_bad_itself_is_named_first(site):
    made = site.backup()
    made.write_bytes(made.read_bytes()[:-9])
    assert "is bad itself" in site.korrigo("drill", "--level", "incident", code=9).err
