"""What `prune` and `hold` do with real backups, real kept databases and bad surroundings."""

import json
import os
from datetime import date, timedelta

import pytest

from korrigo_backup.artifact.catalog import local_now
from sandbox import tree


@pytest.fixture
def aged(site):
    """A site with a backup for every fifth day of the last 40 days, the newest of today."""
    newest = site.backup()
    return [newest, *(site.aged(newest, days - 0.1) for days in range(5, 45, 5))]


def plan(site, *arguments):
    return {one["name"]: one for one in site.json("prune", *arguments)["artifacts"]}


@pytest.mark.contract("K1")
def test_prune_prints_a_reason_for_each_backup_and_removes_none_without_apply(site, aged):
    before = site.published()
    output = plan(site)
    assert site.published() == before
    assert {name for name, one in output.items() if one["remove"]} == {path.name for path in aged[7:]}
    assert all(one["reason"] for one in output.values())
    done = site.korrigo("prune")
    assert f"{aged[8].name}  remove" in done.out
    assert "do it: korrigo-backup prune --apply" in done.out


@pytest.mark.contract("K2")
def test_the_script_removes_them_with_the_runbooks_lines(site, aged):
    done = site.script("cleanup_old_backups.sh")
    assert done.out.startswith("🧹 Cleaning backups older than 30 days...\n")
    assert "✅ Deleted 2 old backups" in done.out
    assert [path for path in aged if path.exists()] == aged[:7]
    assert "ℹ️ No old backups to clean" in site.script("cleanup_old_backups.sh").out


@pytest.mark.contract("T7")
@pytest.mark.promise("P4")
def test_when_the_newest_is_damaged_the_newest_good_one_stays(site, aged):
    for path in aged[:7]:
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    site.korrigo("prune", "--apply", "--allow-many")
    assert aged[7].exists()
    assert not aged[8].exists()


@pytest.mark.contract("K3")
def test_a_held_one_stays_until_it_is_released(site, aged):
    held = aged[8]
    end = f"{date.today() + timedelta(days=9)}"
    site.korrigo("hold", "add", held.name, "--reason", "appeal of the exam", "--by", "dpo", "--until", end)
    assert plan(site)[held.name]["reason"] == f"held by dpo until {end}: appeal of the exam"
    site.korrigo("prune", "--apply")
    assert held.exists()
    listed = site.korrigo("hold", "list").out
    assert held.name in listed
    assert "appeal of the exam" in listed
    site.korrigo("hold", "release", held.name)
    site.korrigo("prune", "--apply")
    assert not held.exists()


@pytest.mark.contract("K3")
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("add", "latest"), 2, "a hold needs a reason"),
        (("add", "latest", "--reason", " "), 2, "a hold needs a reason"),
        (("add",), 2, "Missing argument 'name'"),
        (("add", "nothing", "--reason", "x"), 6, "not found"),
        (("add", "latest", "--reason", "x", "--until", "2020-01-01"), 2, "has passed"),
        (("add", "latest", "--reason", "x", "--until", "soon"), 2, "is not a day"),
        (("add", "latest", "--reason", "x", "--until", "9999-12-31"), 2, "is not a day"),
        (("release", "nothing"), 6, "there is no hold on"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused(site, arguments, code, says):
    site.backup()
    assert says in site.korrigo("hold", *arguments, code=code).err
    assert site.korrigo("hold").out == "no hold is set\n"


@pytest.mark.promise("P4")
def test_holds_that_cannot_be_read_stop_every_removal(site, aged):
    (site.backups / ".holds.json").write_text("[{")
    assert "cannot be read" in site.korrigo("prune", "--apply", code=4).err
    assert all(path.exists() for path in aged)
    assert "the backup" in site.korrigo("backup", "db", code=3).err


@pytest.mark.promise("P4")
def test_holds_that_a_full_disk_has_emptied_are_not_taken_for_none(site, aged):
    (site.backups / ".holds.json").touch()
    assert "cannot be read" in site.korrigo("prune", "--apply", code=4).err
    assert all(path.exists() for path in aged)


def test_a_hold_is_one_line_and_is_released_by_the_path_that_it_was_given(site):
    made = site.backup()
    site.korrigo("hold", "add", made, "--reason", "exam 12\nand\x1b[31m 13")
    row = site.korrigo("hold", "list").out.splitlines()[1]
    assert row.endswith(r"exam 12 and\x1b[31m 13")
    site.korrigo("hold", "release", made)
    assert site.korrigo("hold", "list").out == "no hold is set\n"


@pytest.mark.promise("P4")
def test_prune_is_refused_after_a_long_gap_until_the_clock_is_confirmed(site):
    newest = site.backup()
    old, older = site.aged(newest, 100), site.aged(newest, 105)
    assert "the clock has jumped" in site.korrigo("prune", "--apply", code=4).err
    assert "the clock has jumped" in site.korrigo("prune").out
    assert old.exists()
    site.korrigo("prune", "--apply", "--clock-is-right")
    assert not old.exists()
    assert not older.exists()
    third = site.aged(newest, 99)
    site.korrigo("prune", "--apply")
    assert not third.exists()


@pytest.mark.promise("P4")
def test_more_than_half_at_once_must_be_meant(site, aged):
    (site.home / "korrigo-backup.toml").write_text("[retention.database]\nlast = 2\n")
    assert "7 of 9 backups of a kind" in site.korrigo("prune", "--apply", code=4).err
    assert all(path.exists() for path in aged)
    site.korrigo("prune", "--apply", "--allow-many")
    assert [path for path in aged if path.exists()] == aged[:2]


def test_foreign_files_links_and_broken_manifests_are_named_and_stay(site, aged):
    foreign = site.backups / "db_backup_20200101_000000.sql.gz"
    foreign.write_bytes(b"of another tool")
    broken = aged[8].with_name(aged[8].name + ".manifest.json")
    broken.write_text("{")
    link = site.backups / "db_backup_20200102_000000.sql.gz"
    link.symlink_to(aged[0])
    (site.backups / "notes.txt").write_text("mine")
    before = tree(site.backups)
    output = plan(site)
    assert "not ours to remove" in output[foreign.name]["reason"]
    assert "not ours to remove" in output[aged[8].name]["reason"]
    site.korrigo("prune", "--apply", "--clock-is-right")
    gone = {name.decode().split(".")[0] for name in before.keys() - tree(site.backups).keys()}
    assert gone == {aged[7].name.split(".")[0]}


@pytest.mark.contract("B14")
def test_one_made_before_a_deployment_is_kept_for_ever_and_is_not_the_latest(site, aged):
    site.korrigo("backup", "full", "--pre-deployment")
    made = sorted(name for name in site.published() if name.startswith("pre_deployment") and name.count(".") < 3)
    assert [name.rsplit("_", 2)[0] for name in made if not name.endswith((".sha256", ".manifest.json"))] == [
        "pre_deployment_db",
        "pre_deployment_media",
        "pre_deployment_point",
    ]
    assert os.readlink(site.backups / "db_backup_latest.sql.gz") == aged[0].name
    point = next(name for name in made if "point" in name)
    assert plan(site)[point]["reason"] == "made before a deployment: for ever"
    site.korrigo("verify", point)
    site.korrigo("restore", point, "--yes")


def test_what_restores_have_kept_goes_after_its_days_unless_held(site):
    site.restore(site.backup())
    replaced = site.previous_databases()
    assert len(replaced) == 1
    output = site.json("prune")["kept"]
    assert [(one["names"], one["remove"]) for one in output] == [([replaced[0]], False)]
    old = f"{site.database}_before_20200101_000000"
    older = f"{site.database}_before_20190101_000000"
    for name in (old, older):
        site.sql(f'CREATE DATABASE "{name}"', superuser=True)
        site.sql(f'ALTER DATABASE "{name}" OWNER TO {site.user}', superuser=True)
    (site.media / ".before-20200101_000000").mkdir()
    (site.media / ".before-20200101_000000" / "p.pdf").write_bytes(b"old")
    (site.media / ".after-20200101_000000.partial").mkdir()
    site.korrigo("hold", "add", older, "--reason", "asked for")
    site.korrigo("prune", "--apply")
    assert site.previous_databases() == sorted([older, *replaced])
    assert not [name for name in os.listdir(site.media) if name.startswith(".")]


def test_prune_without_the_database_removes_backups_and_reports_the_unexamined_copies(site, aged):
    done = site.korrigo("prune", "--apply", env={"POSTGRES_PASSWORD": "wrong"})
    assert "✅ Deleted 2 old backups" in done.out
    assert "the previous copies of restores were not examined" in done.out


def test_a_machine_that_only_keeps_copies_can_prune_them(site, aged):
    env = {"POSTGRES_HOST": None}
    assert "✅ Deleted 2 old backups" in site.korrigo("prune", "--apply", env=env).out


@pytest.mark.contract("K3")
def test_prune_removes_backups_over_the_maximum_age_and_keeps_the_parts_of_a_point(site):
    site.korrigo("backup", "full")
    point = site.one("restore_point_*.json")
    assert json.loads(point.read_text())["origin"] == "routine"
    (site.home / "korrigo-backup.toml").write_text("[retention]\nmax_age = 20\n[retention.database]\ndays = 1000\n")
    newest = site.one("db_backup_2*.sql.gz")
    over, under = site.aged(newest, 21), site.aged(newest, 19)
    middle = [site.aged(newest, days) for days in (4, 8, 12, 16)]
    site.korrigo("prune", "--apply")
    assert not over.exists()
    assert under.exists()
    assert all(path.exists() for path in (point, newest, *middle))


def test_a_clock_set_back_a_year_removes_nothing(site, aged):
    future = site.aged(aged[0], -365)
    assert (
        f"a backup or run is dated {local_now() + timedelta(days=365):%Y-%m-%d}"
        in site.korrigo("prune", "--apply", code=4).err
    )
    assert all(path.exists() for path in [future, *aged])


@pytest.mark.promise("P4")
def test_prune_keeps_previous_databases_if_the_clock_has_jumped(site):
    (site.home / "korrigo-backup.toml").write_text("[retention.database]\ndays = 0\n[retention.safety]\ndays = 0\n")
    site.aged(site.backup(), 20)
    replaced = f"{site.database}_before_{local_now() - timedelta(days=20):%Y%m%d_%H%M%S}"
    site.sql(f'CREATE DATABASE "{replaced}"', superuser=True)
    assert "the clock has jumped" in site.korrigo("prune", "--apply", code=4).err
    assert site.previous_databases() == [replaced]
    site.sql(f'ALTER DATABASE "{replaced}" OWNER TO {site.user}', superuser=True)
    site.korrigo("prune", "--apply", "--clock-is-right")
    assert not site.previous_databases()


def test_prune_removes_a_copy_with_an_ended_hold_and_keeps_a_copy_dated_in_the_future(site):
    site.backup()
    old, odd = (f"{site.database}_before_{stamp}" for stamp in ("20200101_000000", "99991231_235959"))
    for name in (old, odd):
        site.sql(f'CREATE DATABASE "{name}" OWNER {site.user}', superuser=True)
    ended = {
        "name": old,
        "reason": "x",
        "holder": "y",
        "since": "2020-01-01T00:00:00Z",
        "until": "2021-01-01T00:00:00Z",
    }
    (site.backups / ".holds.json").write_text(json.dumps([ended]))
    env = {"TZ": "America/Los_Angeles"}
    site.korrigo("status", env=env)
    assert f"🗑️ {old}" in site.korrigo("prune", "--apply", env=env).out
    assert site.previous_databases() == [odd]


def test_a_hold_accepts_any_reason_and_holder_but_refuses_a_foreign_file(site):
    held = site.backup()
    site.korrigo("hold", "add", held.name, "--reason", os.fsdecode(b"appeal \xff"), "--by", "dpo\n")
    assert "held by dpo: appeal \\xff" in plan(site)[held.name]["reason"]
    foreign = site.backups / os.fsdecode(b"of \xff.sql.gz")
    foreign.write_bytes(held.read_bytes())
    assert "korrigo-backup does not remove it" in site.korrigo("hold", "add", foreign, "--reason", "x", code=2).err


@pytest.mark.promise("P1")
def test_one_that_cannot_be_removed_is_named_and_keeps_no_other(site, aged):
    (site.backups / f"{aged[7].name}.sha256").mkdir()
    done = site.korrigo("prune", "--apply", code=3)
    assert "1 backup is removed, 1 could not be: cannot delete" in done.err
    assert "nothing was changed" not in done.err
    assert not aged[8].exists()
    assert site.journal()[-1]["outcome"] == "partly"


@pytest.mark.contract("K3")
def test_a_hold_accepts_previous_media_and_refuses_a_missing_copy(site):
    replaced = site.media / ".before-20200101_000000"
    replaced.mkdir()
    (replaced / "p.pdf").write_bytes(b"old")
    site.korrigo("hold", "add", replaced.name, "--reason", "asked for")
    site.korrigo("prune", "--apply")
    assert replaced.exists()
    for name in (".after-20200101_000000", f"{site.database}_before_20200101_000000"):
        assert f"kept are: {replaced.name}" in site.korrigo("hold", "add", name, "--reason", "x", code=6).err
    site.korrigo("hold", "release", replaced.name)
    site.korrigo("prune", "--apply")
    assert not replaced.exists()
