"""The verb `drill`: a backup loaded in a throw-away place, with its verdict and its seconds."""

import json
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from korrigo_backup.cli.main import app
from korrigo_backup.errors import PartlyDone
from korrigo_backup.places.beside import BesideLive
from korrigo_backup.places.place import Places
from sandbox import connect, nothing_changes


def journal(site):
    return [json.loads(line) for line in (site.backups / ".journal.jsonl").read_text().splitlines()]


def leftovers(site):
    """Return everything that a drill makes and must not leave."""
    databases = {name for name in site.databases() if name != site.database}
    ours = {path.name for path in site.backups.iterdir() if path.name.startswith((".drill", ".spool"))}
    return databases | ours | {path.name for path in site.media.iterdir() if path.name.startswith(".stage")}


@pytest.mark.contract("D2")
@pytest.mark.parametrize("place", ["beside", "local"])
def test_a_good_restore_point_passes_in_each_place_and_nothing_stays(site, place):
    site.korrigo("backup", "full")
    site.wreck()
    with nothing_changes(site):
        done = site.korrigo("drill", "--place", place)
    assert "📏 Room for the database: " in done.out
    assert "📏 Room for the media: " in done.out
    assert "✅ Drill passed: restore_point_" in done.out
    assert leftovers(site) == set()
    record = journal(site)[-1]
    assert (record["verb"], record["outcome"], record["place"]) == ("drill", "done", place)
    assert {"check", "load", "prove", "remove"} <= set(record["phases"])
    assert sum(record["phases"].values()) <= record["seconds"] + 0.1


@pytest.mark.contract("D1")
def test_the_drill_of_the_week_restores_media_too_though_a_newer_backup_has_none(site):
    site.korrigo("backup", "full")
    newer = site.backup()
    assert newer.name in site.korrigo("drill").out.splitlines()[-1]
    with nothing_changes(site):
        done = site.korrigo("drill", "--with-media")
    assert "✅ Drill passed: restore_point_" in done.out
    assert "📏 Room for the media: " in done.out
    point = site.one("restore_point_*.json")
    site.aged(point, 9)
    point.unlink()
    assert newer.name in site.korrigo("drill", "--with-media").out.splitlines()[-1]
    assert "leave out" in site.korrigo("drill", newer, "--with-media", code=2).err


@dataclass(frozen=True)
class Cramped(BesideLive):
    """Next to a live tree whose disk is full."""

    def free(self):
        return None, 10


@pytest.mark.contract("D1")
def test_without_room_for_the_media_the_database_alone_is_proven_and_that_is_no_success(site, monkeypatch):
    site.korrigo("backup", "full")
    dump = site.one("db_backup_*.sql.gz")
    monkeypatch.setattr("korrigo_backup.cli.drill.places", lambda *of, **_: Places(Cramped(of[2])))
    monkeypatch.chdir(site.home)
    for name, value in site.env.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, ["drill", "--with-media"])
    assert isinstance(result.exception, PartlyDone)
    assert (result.exception.id, result.exception.exit_code) == ("drill.media", 3)
    record = journal(site)[-1]
    assert (record["verb"], record["subject"], record["outcome"]) == ("drill", dump.name, "done")
    assert record["proved"]
    assert leftovers(site) == set()


def test_a_drill_waits_for_another_run_as_long_as_it_is_asked_to(site):
    site.backup()
    catalog = site.wired().catalog
    with ExitStack() as stack:
        with catalog.exclusive("a long restore"):
            assert "a long restore" in site.korrigo("drill", code=7).err
            assert "a long restore" in site.korrigo("drill", "--wait", "1s", code=7).out
            waiting = stack.enter_context(site.started("drill", "--wait", "5m"))
            assert b"a long restore" in waiting.stdout.readline()
        assert waiting.wait(60) == 0
    site.korrigo("drill", "--level", "incident", "--wait", "5m", code=2)


@pytest.mark.contract("D2")
def test_the_recovery_time_is_the_sum_of_the_phases_of_a_recovery(site):
    site.backup()
    report = site.json("drill")
    counted = [seconds for name, seconds in report["phases"].items() if name not in {"make", "remove"}]
    assert report["verdict"] == "passed"
    assert report["recovery"] == pytest.approx(sum(counted))
    assert site.json("status", code=(0, 10))["proven"]["recovery"] == report["recovery"]


@pytest.mark.promise("P1")
@pytest.mark.parametrize("place", ["beside", "local"])
def test_a_damaged_dump_fails_and_counts_as_damaged(site, place):
    made = site.backup()
    raw = bytearray(made.read_bytes())
    raw[len(raw) // 2] ^= 1
    made.write_bytes(raw)
    with nothing_changes(site):
        report = site.json("drill", made.name, "--place", place, code=9)
    assert (report["verdict"], report["recovery"]) == ("failed", None)
    assert "status.damaged" in {one["id"] for one in site.json("status", code=10)["attention"]}


@pytest.mark.promise("P1")
def test_a_dump_that_does_not_load_fails(site):
    site.sql("CREATE FUNCTION fee(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END'")
    site.sql("CREATE TABLE due (id int, due int GENERATED ALWAYS AS (fee(id)) STORED); INSERT INTO due VALUES (1)")
    site.sql(
        "CREATE OR REPLACE FUNCTION fee(int) RETURNS int IMMUTABLE LANGUAGE plpgsql"
        " AS 'BEGIN RAISE EXCEPTION ''no fees any more''; END'"
    )
    site.backup()
    report = site.json("drill", code=9)
    assert report["verdict"] == "failed"
    assert "it does not load" in report["message"]
    assert leftovers(site) == set()


@pytest.mark.promise("P1")
def test_a_place_without_room_is_an_error_of_the_place(site):
    made = site.backup()
    manifest = made.with_name(made.name + ".manifest.json")
    document = json.loads(manifest.read_text())
    document["database"]["size"] = 10**15
    manifest.write_text(json.dumps(document))
    site.seal(manifest)
    report = site.json("drill", "--place", "local", code=4)
    assert report["verdict"] == "error"
    assert "no room to drill on a throw-away server of this machine" in report["message"]
    assert "status.damaged" not in {one["id"] for one in site.json("status", code=(0, 10))["attention"]}


def test_a_role_without_createdb_drills_on_this_machine(site):
    site.backup()
    with connect(site.server) as admin:
        admin.execute(f"ALTER ROLE {site.user} NOCREATEDB")
    try:
        report = site.json("drill")
    finally:
        with connect(site.server) as admin:
            admin.execute(f"ALTER ROLE {site.user} CREATEDB")
    assert (report["verdict"], report["place"]) == ("passed", "local")


def test_a_local_drill_does_not_need_the_live_database(site):
    site.backup()
    wrong = {"POSTGRES_PASSWORD": "wrong"}
    assert "✅ Drill passed" in site.korrigo("drill", "--place", "local", env=wrong).out
    assert site.korrigo("drill", code=8, env=wrong).err


def test_without_a_backup_there_is_nothing_to_drill(site):
    assert "no good" in site.korrigo("drill", code=6).err


@pytest.mark.parametrize("options", [("--place", "compose"), ("--level", "disaster")])
def test_a_site_without_images_has_no_private_project_and_that_is_no_drill(site, options):
    site.backup()
    before = journal(site)
    done = site.korrigo("drill", *options, code=4)
    assert "the site is not on Docker Compose" in done.err
    assert journal(site) == before


def test_a_disaster_needs_a_stack_of_its_own(site):
    site.backup()
    assert "--place compose" in site.korrigo("drill", "--level", "disaster", "--place", "local", code=2).err


@pytest.mark.promise("P1")
@pytest.mark.parametrize("place", ["beside", "local"])
@pytest.mark.parametrize("kind", ["gone", "directory"])
def test_a_restore_point_without_its_media_backup_fails(site, place, kind):
    site.korrigo("backup", "full")
    (media,) = site.backups.glob("media_backup_*.gz")
    media.unlink()
    if kind == "directory":
        media.mkdir()
    (point,) = site.backups.glob("restore_point_*.json")
    report = site.json("drill", point.name, "--place", place, code=9)
    assert report["verdict"] == "failed"
    assert "status.damaged" in {one["id"] for one in site.json("status", code=10)["attention"]}


@pytest.mark.promise("P4")
@pytest.mark.parametrize("where", ["", "volume/media"])
def test_a_drill_beside_makes_no_media_directory(site, tmp_path, where):
    site.korrigo("backup", "full")
    root = tmp_path / where if where else ""
    report = site.json("drill", code=4, env={"MEDIA_ROOT": str(root)})
    assert (report["verdict"], "--place local" in report["hint"]) == ("error", True)
    assert not (tmp_path / "volume").exists()
    assert site.json("drill", "--place", "local", env={"MEDIA_ROOT": str(root)})["verdict"] == "passed"


def test_a_wrong_name_or_directory_is_named_before_anything_is_asked_or_made(site, tmp_path):
    site.backup()
    assert "Backup file not found" in site.korrigo("drill", "nix", code=6, env={"POSTGRES_PASSWORD": "wrong"}).err
    site.korrigo("drill", code=6, env={"BACKUP_DIR": str(tmp_path / "typo")})
    assert not (tmp_path / "typo").exists()


def test_the_hint_of_a_place_without_room_names_other_places(site):
    made = site.backup()
    manifest = made.with_name(made.name + ".manifest.json")
    document = json.loads(manifest.read_text())
    document["database"]["size"] = 10**15
    manifest.write_text(json.dumps(document))
    site.seal(manifest)
    hint = site.json("drill", "--place", "local", code=4)["hint"]
    assert "--place beside or --place staging" in hint


def test_a_dump_without_a_manifest_is_counted_and_not_called_proven(site):
    made = site.backup()
    made.with_name(made.name + ".manifest.json").unlink()
    out = site.korrigo("drill", made.name).out
    assert "counted (no manifest proves its content)" in out
    assert "proven, and removed" not in out
