"""What runs by itself at night, and the three depths of verification."""

import json
import os
import random
import re
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest

from korrigo_backup.artifact import keyring
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.manifest import decode
from korrigo_backup.artifact.signature import Authenticity, check
from korrigo_backup.errors import Interrupted, ProofFailed
from korrigo_backup.nightly import Night, nightly
from korrigo_backup.verify.verify import Depth, verify
from sandbox import nothing_changes, until


def journal(site):
    lines = (site.backups / ".journal.jsonl").read_text().splitlines()
    return list({one["id"]: one for one in map(json.loads, lines)}.values())


@pytest.mark.contract("B7")
def test_a_night_is_backup_verify_and_prune_with_one_line_in_the_journal(site):
    old = site.aged(site.backup(), 31)
    for days in (5, 14, 23):
        site.aged(old, days)
    done = site.korrigo("nightly")
    made = site.json("show", "latest")["path"]
    order = [
        "📦 Creating database backup",
        "✅ Backup created",
        "🔬 Loading a throw-away copy to prove it: no backup of this site was loaded and proven so far",
        "✅ Backup validation passed (full)",
        "🧹 Cleaned 1",
        f"✅ Done: {made}",
    ]
    places = [done.out.index(line) for line in order]
    assert places == sorted(places)
    assert not old.exists()
    (record,) = (one for one in journal(site) if one["verb"] == "nightly")
    assert (record["outcome"], record["exit_code"], record["subject"]) == ("done", 0, "db")
    assert {"backup.create", "nightly.verified", "nightly.prune", "prune.removed"} <= {s["id"] for s in record["steps"]}


def test_a_night_without_a_media_directory_saves_the_database_all_the_same(site):
    site.media.rename(site.home / "elsewhere")
    done = site.korrigo("nightly", "--full", code=3)
    assert "the media directory" in done.err
    site.korrigo("verify", site.one("db_backup_*.sql.gz"))
    assert not list(site.backups.glob("restore_point_*"))


def test_a_night_of_database_and_media_is_drilled_when_asked(site):
    with nothing_changes_but_backups(site):
        done = site.korrigo("nightly", "--full", "--depth", "full")
    assert "✅ Backup validation passed (full)" in done.out
    assert site.one("restore_point_*.json")
    assert "restore.proven" in {s["id"] for s in journal(site)[-1]["steps"]}


@pytest.mark.promise("P9")
def test_a_night_proves_its_backup_by_a_load_once_and_again_after_a_change_of_the_schema(site):
    assert "passed (full)" in site.korrigo("nightly").out
    assert "passed (content)" in site.korrigo("nightly").out
    site.sql("ALTER TABLE exam ADD room text")
    changed = site.korrigo("nightly").out
    assert "the schema has changed since a backup was last loaded and proven" in changed
    assert "passed (full)" in changed


@contextmanager
def no_place(site):
    """Neither beside the live database nor on this machine can a backup be loaded."""
    site.sql(f"ALTER ROLE {site.user} NOCREATEDB", superuser=True)
    site.backups.mkdir(exist_ok=True)
    (site.backups / ".drill-server").write_text("in the way of the directory")
    try:
        yield
    finally:
        site.sql(f"ALTER ROLE {site.user} CREATEDB", superuser=True)


def test_nightly_warns_if_its_default_drill_is_impossible(site):
    with no_place(site):
        done = site.korrigo("nightly")
    assert "⚠️ not proven by a load: " in done.out
    assert "may not create databases, and no server could be started here: " in done.out
    assert "passed (content)" in done.out


def nothing_changes_but_backups(site):
    class Same:
        def __enter__(self):
            self.before = site.content(), site.databases(), site.tree()

        def __exit__(self, *_):
            assert (site.content(), site.databases(), site.tree()) == self.before

    return Same()


@pytest.mark.promise("P1")
def test_what_fails_after_the_backup_never_hides_that_it_is_good(site):
    site.backup()
    (site.backups / ".holds.json").write_text("[{")
    done = site.korrigo("nightly", code=3)
    assert "prune: the holds" in done.err
    assert "is good" in done.err
    assert len(list(site.backups.glob("db_backup_2*.sql.gz"))) == 2
    assert journal(site)[-1]["outcome"] == "partly"


def test_a_failed_backup_removes_nothing(site):
    old = site.aged(site.backup(), 31)
    site.aged(old, 5)
    site.korrigo("nightly", code=8, env={"POSTGRES_PASSWORD": "wrong"})
    assert old.exists()


def test_nightly_waits_for_another_run_and_reports_the_wait(site):
    site.backup()
    with site.wired().catalog.exclusive("a long restore"):
        assert "a long restore" in site.korrigo("nightly", "--wait", "0", code=7).err
        assert "a long restore" in site.korrigo("nightly", "--wait", "1s", code=7).out
        with site.started("nightly", "--wait", "5m") as night:
            until(lambda: b"waiting" in (night.stdout.readline() or b"waiting"))
            night.terminate()
            assert night.wait(20) == 130
    site.korrigo("nightly", "--wait", "never", code=2)


@pytest.mark.contract("B11")
def test_every_single_bit_and_every_cut_is_found_at_the_first_depth(site):
    site.korrigo("backup", "full")
    files = [
        path for path in site.backups.iterdir() if path.is_file() and path.name[0] != "." and not path.is_symlink()
    ]
    assert len(files) == 6
    wired, chance = site.wired(), random.Random(7)
    point = str(site.one("restore_point_*.json"))

    def passes():
        found = verify(wired.catalog, wired.catalog.find(point), now=local_now(), depth=Depth.STRUCTURE)
        return not [finding for finding in found if finding.level == "error"]

    assert passes()
    for path in files:
        raw = path.read_bytes()
        for bit in [*range(40), *(chance.randrange(len(raw) * 8) for _ in range(60))]:
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            assert not passes(), f"{path.name}: bit {bit}"
        for length in (0, 1, len(raw) // 2, len(raw) - 2):
            path.write_bytes(raw[:length])
            assert not passes(), f"{path.name}: cut to {length}"
        path.write_bytes(raw)
    assert passes()


@pytest.mark.contract("B11")
@pytest.mark.promise("P1")
def test_every_bit_of_a_signed_manifest_counts_with_the_key_and_without(site):
    path = site.backup()
    manifest = path.with_name(path.name + ".manifest.json")
    raw, ring = manifest.read_bytes(), keyring.read(site.home / ".config" / "korrigo-backup" / "key").by_id
    assert check(raw, ring) == Authenticity.AUTHENTIC
    assert check(raw, {}) == Authenticity.UNKNOWN_KEY
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        for known in (ring, {}):
            try:
                decode(bytes(changed), "x")
                assert check(bytes(changed), known) == Authenticity.FORGED, (bit, raw[bit // 8 - 30 : bit // 8 + 30])
            except (ValueError, ProofFailed):
                pass  # no JSON, or no manifest any more


@pytest.mark.promise("P1")
def test_nightly_interrupted_after_its_backup_reports_the_backup(site):
    def stop(step):
        if step.id == "nightly.prune":
            raise Interrupted("nothing was changed")

    wired = site.wired()
    night = Night(full=False, policy=wired.policy(), now=local_now(), listen=stop)
    with pytest.raises(
        Interrupted, match=r"the backup \S+/db_backup_\S+\.sql\.gz is made, but not all steps after it are done"
    ):
        nightly(wired.site(), wired.catalog, night)
    assert site.one("db_backup_2*.sql.gz").exists()
    done = site.korrigo("status", code=(0, 10))
    assert "backup db failed once (never good so far): it was interrupted" in done.out


@pytest.mark.promise("P1")
def test_where_no_backup_is_none_was_verified(site):
    assert "to verify" in site.korrigo("verify", "all", code=6).err
    assert "to verify" in site.korrigo("verify", "all", "--json", code=6).err


@pytest.mark.parametrize("depth", ["structure", "content", "full"])
def test_all_are_verified_and_the_bad_one_is_named(site, depth):
    good = site.backup()
    assert "✅ 1 backup verified" in site.korrigo("verify", "all", "--depth", depth).out
    bad = site.aged(good, 3)
    raw = bad.read_bytes()
    bad.write_bytes(raw[: len(raw) // 2])
    done = site.korrigo("verify", "all", "--depth", depth, code=9)
    assert f"✅ {good.name}" in done.out
    assert f"❌ {bad.name}" in done.out
    assert f"1 of 2 backups are not good: {bad.name}" in done.err
    items = site.json("verify", "all", "--depth", depth, code=9)["items"]
    assert {one["path"]: one["passed"] for one in items} == {str(good): True, str(bad): False}


def test_a_drill_loads_next_to_the_live_site_and_removes_its_copy(site):
    site.korrigo("backup", "full")
    site.wreck()
    with nothing_changes(site):
        done = site.korrigo("verify", "latest-point", "--depth", "full")
    assert "loaded next to the live site, proven, and removed again" in done.out
    record = journal(site)[-1]
    assert (record["verb"], record["why"], record["outcome"]) == ("verify", {"depth": "full"}, "done")


def test_a_backup_that_cannot_be_proven_fails_its_drill(site):
    path = site.backup()
    manifest = path.with_name(path.name + ".manifest.json")
    document = json.loads(manifest.read_text())
    document["database"]["tables"][0]["digest"] = "0" * 32
    manifest.write_text(json.dumps(document))
    site.seal(manifest)
    assert site.korrigo("verify", path, "--depth", "content")
    with nothing_changes(site):
        site.korrigo("verify", path, "--depth", "full", code=9)
    assert journal(site)[-1]["outcome"] == "failed"


def test_a_drill_without_the_database_exits_with_8(site):
    path = site.backup()
    assert site.korrigo("verify", path, "--depth", "full", code=8, env={"POSTGRES_PASSWORD": "wrong"}).err


def test_a_backup_on_a_medium_that_is_only_read_is_verified_all_the_same(site):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    path = site.backup()
    (site.backups / ".journal.jsonl").chmod(0o400)
    site.korrigo("verify", path)


@pytest.mark.contract("B6")
def test_backup_check_reports_each_obstacle_before_a_backup(site):
    ready = site.korrigo("backup", "--check")
    for line in ("database", "media in", "bytes free for backups", "backups go to", "no other run is at work"):
        assert re.search(f"✅ .*{line}", ready.out)
    assert not site.published()
    site.backup()
    with site.wired().catalog.exclusive("a restore"):
        assert "❌ another run is at work: a restore" in site.korrigo("backup", "--check", code=4).out
    (site.backups / ".lock").unlink()
    (site.backups / ".lock").mkdir()
    done = site.korrigo("backup", "--check", code=4)
    assert "❌ cannot use the backup directory" in done.out
    assert "✅ database" in done.out
    (site.backups / ".lock").rmdir()
    refused = site.korrigo("backup", "--check", code=4, env={"POSTGRES_PASSWORD": "wrong"})
    assert "password authentication failed" in refused.err


@pytest.mark.promise("P1")
@pytest.mark.promise("P4")
def test_nightly_with_a_failed_drill_keeps_old_backups_and_reports_the_new_backup_as_bad(site):
    old = site.aged(site.backup(), 31)
    for days in (5, 14, 23):
        site.aged(old, days)
    no_dump_of_it_loads(site)
    done = site.korrigo("nightly", "--depth", "full", code=9)
    assert "was made and cannot be restored" in done.err
    assert "is good" not in done.output
    assert "validation passed" not in done.out
    assert old.exists()
    assert site.json("status", code=10)["good"][0]["name"] == old.with_name(newest_but_one(site)).name
    newest = max(path.name for path in site.backups.glob("db_backup_2*.sql.gz"))
    assert "does not load" in site.korrigo("verify", newest, "--depth", "full", code=9).err
    assert (site.backups / "db_backup_latest.sql.gz").readlink().name != newest


def no_dump_of_it_loads(site):
    """Let a generated column depend on a function that fails by now: COPY computes the column for each row."""
    site.sql("CREATE FUNCTION fee(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END'")
    site.sql(
        "ALTER TABLE nothing_yet ADD due int GENERATED ALWAYS AS (fee(id)) STORED; INSERT INTO nothing_yet VALUES (1)"
    )
    body = "BEGIN RAISE EXCEPTION ''no fees any more''; END"
    site.sql(f"CREATE OR REPLACE FUNCTION fee(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS '{body}'")


def newest_but_one(site):
    return sorted(path.name for path in site.backups.glob("db_backup_2*.sql.gz"))[-2]


def test_a_drill_that_cannot_be_made_is_not_said_to_have_passed(site):
    with no_place(site):
        done = site.korrigo("nightly", "--depth", "full", code=3)
    assert "✅ Backup validation passed (content)" in done.out
    assert "drill: " in done.err


def test_a_night_that_waited_is_of_the_time_at_which_it_began_to_work(site):
    wired, typed = site.wired(), local_now() - timedelta(hours=2)
    with ExitStack() as restore:
        restore.enter_context(wired.catalog.exclusive("a long restore"))

        def end_it(step):
            if step.id == "lock.waiting":
                restore.close()

        night = Night(full=False, policy=wired.policy(), now=typed, wait=1, listen=end_it)
        done = nightly(wired.site(), wired.catalog, night)
    assert done.artifact
    assert done.artifact.created > typed


def test_a_night_leaves_the_status_for_the_admin_page_and_the_metrics_for_node_exporter_however_it_went(site):
    (site.home / "shown").mkdir()
    (site.home / "korrigo-backup.toml").write_text(
        '[status]\npublish = "shown/backups.json"\ntextfile = "shown/korrigo.prom"\n'
    )
    site.korrigo("nightly", code=8, env={"POSTGRES_PASSWORD": "wrong"})
    assert (site.home / "shown" / "korrigo.prom").exists()
    site.korrigo("nightly")
    published = json.loads((site.home / "shown" / "backups.json").read_text())
    assert site.one("db_backup_2*.sql.gz").name in json.dumps(published)
    assert (site.home / "shown" / "backups.json").stat().st_mode & 0o777 == 0o644
    assert "korrigo_backup_last_success" in (site.home / "shown" / "korrigo.prom").read_text()
    (site.home / "shown" / "backups.json").unlink()
    (site.home / "shown" / "backups.json").mkdir()
    assert "the run is done, but its status is not published: " in site.korrigo("nightly", code=3).err


@pytest.mark.promise("P1")
def test_nightly_interrupted_during_pruning_reports_the_completed_steps(site):
    newest = site.backup()
    old = [site.aged(newest, days) for days in (31, 35)]
    for days in (5, 10, 15, 20, 25):
        site.aged(newest, days)

    def end_it(step):
        if step.id == "prune.removed":
            raise Interrupted("nothing was changed")

    wired = site.wired()
    night = Night(full=False, policy=wired.policy(), now=local_now(), listen=end_it)
    with pytest.raises(Interrupted) as caught:
        nightly(wired.site(), wired.catalog, night)
    assert "is made, but not all steps after it are done; 1 old backups and copies are removed" in str(caught.value)
    assert sum(path.exists() for path in old) == 1
