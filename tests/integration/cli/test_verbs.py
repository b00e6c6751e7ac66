"""What list, show, verify and plan say, to people and to programs."""

import json
import re

import pytest

from sandbox import nothing_changes

RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"


@pytest.fixture
def saved(site):
    site.made = site.backup()
    site.made_media = site.backup_media()
    return site


def test_list_shows_backups_newest_first_with_their_proof(saved):
    (saved.backups / "db_backup_20200101_030000.sql.gz").write_bytes(b"made by the former script")
    (saved.backups / "db_backup_20200101_030000.sql").write_bytes(b"not a backup")
    lines = saved.korrigo("list").out.splitlines()
    assert lines[0].split() == ["NAME", "CREATED", "SIZE", "CONTENT", "PROOF"]
    assert {lines[1].split()[0], lines[2].split()[0]} == {saved.made.name, saved.made_media.name}
    assert any("620 rows" in line and line.endswith("rows") for line in lines)
    assert any("4 files" in line and line.endswith("files") for line in lines)
    assert re.fullmatch(r"db_backup_20200101_030000\.sql\.gz +2020-01-01 03:00:00 +25B +\? +none", lines[3])
    assert lines[4:] == ["", "not ours: db_backup_20200101_030000.sql (not a backup's name)"]


def test_json_has_a_schema_absolute_paths_utc_times_and_bytes(saved):
    found = saved.json("list")
    assert found["schema"] == "korrigo-backup/list-1"
    by_kind = {item["kind"]: item for item in found["items"]}
    assert set(by_kind) == {"sql", "media"}
    item = by_kind["sql"]
    assert item["path"] == str(saved.made)
    assert item["size"] == saved.made.stat().st_size
    assert re.fullmatch(RFC3339, item["created"])
    assert item["problem"] is None
    assert [i["kind"] for i in saved.json("list", "--kind", "media")["items"]] == ["media"]


def test_show_prints_the_content_of_a_backup(saved):
    out = saved.korrigo("show", saved.made).out
    for words in ("kind      sql (routine)", "620 rows", "public.copy", f"database  {saved.database}, server "):
        assert words in out
    assert saved.json("show", saved.made)["schema"] == "korrigo-backup/show-1"
    assert "4 files" in saved.korrigo("show", saved.made_media).out


@pytest.mark.contract("B11")
def test_verify_passes_a_good_backup_of_each_kind(saved):
    for made in (saved.made, saved.made_media):
        assert f"✅ Backup validation passed: {made}" in saved.korrigo("verify", made).out
    found = saved.json("verify")
    assert (found["schema"], found["passed"]) == ("korrigo-backup/verify-1", True)
    assert {f["level"] for f in found["findings"]} <= {"ok", "warning"}
    assert {"artifact.verified", "artifact.mode", "artifact.small"} <= {f["id"] for f in found["findings"]}


@pytest.mark.contract("B11")
def test_verify_json_contains_the_finding_of_a_damaged_backup(saved):
    saved.made.write_bytes(saved.made.read_bytes()[:-10])
    done = saved.korrigo("verify", saved.made, "--json", code=9)
    found = json.loads(done.out)
    assert found["passed"] is False
    assert [f["id"] for f in found["findings"] if f["level"] == "error"] == ["artifact.damaged"]


@pytest.mark.contract("B8")
def test_verify_warns_of_a_backup_that_others_can_read(saved):
    saved.made.chmod(0o644)
    out = saved.korrigo("verify", saved.made).out
    assert "⚠️ readable by others (mode 644)" in out
    assert f"chmod go-rwx {saved.made}" in out


@pytest.mark.contract("B11")
def test_verify_finds_a_media_backup_that_lost_its_list(saved):
    saved.made_media.with_name(saved.made_media.name + ".sha256").unlink()
    done = saved.korrigo("verify", saved.made_media, code=9)
    assert f"{saved.made_media.name}.sha256" in done.err
    assert "dmesg" not in done.err


@pytest.mark.promise("P2")
def test_plan_shows_the_row_changes_of_each_table_without_applying_them(saved):
    saved.wreck()
    with nothing_changes(saved):
        out = saved.korrigo("plan", saved.made).out
        dry = saved.korrigo("restore", saved.made, "--dry-run").out
        found = saved.json("plan", saved.made)
    lines = [line.split() for line in out.splitlines()]
    assert ["public.annotation", "-", "300", "comes", "back", "-", "-", "-"] in lines
    assert ["public.exam", "21", "20", "-1", "1", "0", "0"] in lines
    assert ["public.copy", "300", "300", "other", "content", "0", "300", "0"] in lines
    assert ["public.intruder", "0", "-", "vanishes", "-", "-", "-"] in lines
    assert not any("public.nothing_yet" in line for line in lines)
    assert _without_stamp(dry) == _without_stamp(out)
    assert found["schema"] == "korrigo-backup/plan-1"
    assert {t["name"]: t["identical"] for t in found["tables"]}["public.nothing_yet"] is True


def _without_stamp(out):
    """The plan without what changes by itself: the stamp, and the room on a disk that others write to."""
    return re.sub(r"_before_\d{8}_\d{6}|\d+G free", "", out[out.index("Plan:") :])


def test_wrong_usage_ends_with_2_and_help_with_0(site):
    assert "hint: " in site.korrigo("backup", "everything", code=2).err
    assert "hint: " in site.korrigo("restore", code=2).err
    assert "Exit codes:" in site.korrigo("--help").out


@pytest.mark.contract("B13")
def test_the_latest_of_another_directory_is_that_directory_s_own(saved):
    other = saved.home / "other"
    other.mkdir()
    made = saved.made
    for path in (made, made.with_name(made.name + ".manifest.json")):
        (other / path.name).write_bytes(path.read_bytes())
    (other / "db_backup_latest.sql.gz").symlink_to(made.name)
    saved.backup()
    assert saved.json("show", other / "db_backup_latest.sql.gz")["path"] == str(other / made.name)
    assert saved.json("show", "latest")["path"] != str(made)
    (other / "db_backup_latest.sql.gz").unlink()
    assert "Backup file not found" in saved.korrigo("show", other / "db_backup_latest.sql.gz", code=6).err
