"""The copies on a target are removed by the archive policy, never the newest good one, and read back as gone."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from korrigo_backup.artifact.keyring import read as read_keyring
from korrigo_backup.artifact.signature import Authenticity, check
from korrigo_backup.system import lock
from targetservers import client_of, locking_s3_server, s3_server, ssh_server


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def locking(tmp_path_factory):
    with locking_s3_server(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="module")
def ssh(tmp_path_factory):
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


def configure(site, server, more="may_delete = true", *, rest=""):
    (site.home / "korrigo-backup.toml").write_text(
        f'{rest}\n[targets.cloud]\nurl = "s3://{server.bucket}/{site.database}"\nendpoint = "{server.endpoint}"\n'
        f"seal = false\n{more}\n"
    )
    lines = [f"{name}={value}\n" for name, value in server.env.items()]
    (site.home / "korrigo-backup.env").write_text("".join(lines))


def aged(site, *days):
    """Return the names of a new backup, and of backups so many days old, with runs of the journal in between."""
    newest = site.backup()
    found = [newest.name, *(site.aged(newest, number).name for number in days)]
    with (site.backups / ".journal.jsonl").open("a") as journal:
        for day in range(0, max(days, default=0), 5):
            started = (datetime.now(UTC) - timedelta(days=day, hours=1)).isoformat()
            journal.write(
                json.dumps({"id": f"r{day}", "verb": "verify", "subject": "x", "site": "korrigo", "by": "test",
                            "outcome": "done", "started": started, "exit_code": 0}) + "\n"
            )  # fmt: skip
    return found


def there(site, server):
    (place,) = (server.data / site.database).iterdir()
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


def plan(site):
    return {one["name"]: (one["remove"], one["reason"]) for one in site.json("prune", "--on", "cloud")["artifacts"]}


def mark_earlier(site, days=3):
    """Move the marks of objects that no receipt names to an earlier day."""
    path = site.backups / ".unnamed-cloud.json"
    marks = json.loads(path.read_text())
    past = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    path.write_text(json.dumps(marks | {"unnamed": dict.fromkeys(marks["unnamed"], past)}))


@pytest.mark.contract("K1")
def test_a_copy_is_kept_for_the_archive_column_of_the_runbook_and_then_removed(site, s3):
    configure(site, s3)
    new, young, old = aged(site, 40, 100)
    site.korrigo("copy")
    assert {name: remove for name, (remove, _) in plan(site).items()} == {new: False, young: False, old: True}
    assert "1 would be removed from cloud" in site.korrigo("prune", "--on", "cloud", "--dry-run").out
    assert old in there(site, s3)

    done = site.korrigo("prune", "--on", "cloud", "--apply")
    assert f"cloud: {old}" in done.out
    assert "1 copy and 0 objects removed, read back as gone" in done.out
    assert not [name for name in there(site, s3) if old in name]
    assert {one["name"] for one in site.json("list", "--on", "cloud")["items"]} == {new, young}
    (site.backups / old).stat()  # the backups here have their own retention

    (line,) = (site.backups / ".pruned-cloud.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert ([one["name"] for one in record["removed"]], bool(record["read_back"])) == ([old], True)
    assert (
        check(line.encode(), read_keyring(site.home / ".config" / "korrigo-backup" / "key").by_id)
        is Authenticity.AUTHENTIC
    )
    journal = (site.backups / ".journal.jsonl").read_text()
    assert '"prune copies"' in journal
    assert site.json("status", code=(0, 10))["targets"][0]["copies"][0]["name"] in {new, young}

    assert "0 copied" in site.korrigo("copy").out  # what the policy has removed is not sent again
    assert "1 copied" in site.korrigo("copy", old).out  # unless a person names it


@pytest.mark.contract("K1")
def test_without_the_right_to_delete_the_plan_is_shown_and_nothing_is_removed(site, s3):
    configure(site, s3, "")
    aged(site, 100)
    site.korrigo("copy")
    before = there(site, s3)
    assert "this host may not: may_delete is false" in site.korrigo("prune", "--on", "cloud").out
    assert "may_delete is false" in site.korrigo("prune", "--on", "cloud", "--apply", code=4).err
    assert there(site, s3) == before
    assert site.json("prune", "--on", "cloud")["may_delete"] is False
    site.korrigo("prune", "--on", "cloud", "--apply", "--dry-run", code=2)


def test_the_retention_of_a_target_has_the_words_of_the_local_one(site, s3):
    configure(site, s3, "may_delete = true\n[targets.cloud.retention.database]\ndays = 5\nmonthly = 2")
    new, *others = aged(site, 3, 9, 70, 71)
    site.korrigo("copy")
    found = plan(site)
    assert not found[new][0]
    assert not found[others[0]][0]
    assert found[others[3]][0]
    assert "unknown key" in _error_of(site, s3, "[targets.cloud.retention.databse]\ndays = 5")


def _error_of(site, s3, more):
    configure(site, s3, more)
    return site.korrigo("prune", "--on", "cloud", code=2).err


@pytest.mark.contract("T7")
def test_the_newest_good_copy_stays_whatever_its_age_and_a_cut_one_is_not_good(site, s3):
    configure(site, s3)
    first, old, older = aged(site, 100, 200)
    site.korrigo("copy")
    (site.backups / first).unlink()
    (site.backups / f"{first}.manifest.json").unlink()
    found = plan(site)
    assert found[older] == (True, "200 days old, kept: 90 days")
    assert found[old] == (True, "100 days old, kept: 90 days")
    (place,) = (s3.data / site.database).iterdir()
    (place / first).write_bytes(b"cut")
    found = plan(site)
    assert found[old] == (False, "the newest good backup")
    assert found[older][0]


def test_a_hold_keeps_a_copy_and_so_does_the_newest_reading_back(site, s3):
    configure(site, s3)
    _, old, older, oldest = aged(site, 100, 110, 120)
    site.korrigo("copy")
    site.korrigo("hold", "add", older, "--reason", "appeal", "--by", "dpo")
    site.korrigo("verify", "--on", "cloud", old)
    found = plan(site)
    assert found[older][1].startswith("held by dpo")
    assert found[old] == (False, "the newest copy that was read back")
    assert found[oldest][0]
    (site.backups / ".holds.json").write_text("")
    assert "the holds" in site.korrigo("prune", "--on", "cloud", "--apply", code=4).err


def test_more_than_half_and_a_clock_that_jumped_are_refused(site, s3):
    configure(site, s3)
    aged(site, 100, 101, 102, 103, 104)
    site.korrigo("copy")
    refused = site.korrigo("prune", "--on", "cloud", "--apply", code=4)
    assert "5 of 6 backups of a kind would go at once" in refused.err
    assert "korrigo-backup prune --on cloud --apply --allow-many" in refused.err
    journal = site.backups / ".journal.jsonl"
    lines = [line for line in journal.read_text().splitlines() if '"x"' not in line]
    journal.write_text("\n".join(lines) + "\n")
    jumped = site.korrigo("prune", "--on", "cloud", "--apply", "--allow-many", code=4)
    assert "the clock has jumped" in jumped.err
    done = site.korrigo("prune", "--on", "cloud", "--apply", "--allow-many", "--clock-is-right")
    assert "5 copies and 0 objects removed" in done.out


def test_a_copy_that_was_altered_there_or_signed_elsewhere_is_not_removed(site, s3):
    configure(site, s3)
    _, old = aged(site, 100)
    site.korrigo("copy")
    (place,) = (s3.data / site.database).iterdir()
    receipt = place / f"{old}.receipt.json"
    receipt.write_text(receipt.read_text().replace('"sealed": false', '"sealed": true'))
    (site.backups / ".copies-cloud.jsonl").unlink()  # else the ledger is believed for the plan
    assert "not ours to remove" in plan(site)[old][1]
    site.korrigo("prune", "--on", "cloud", "--apply")
    assert old in there(site, s3)


def test_prune_waits_for_no_copy_under_way(site, s3):
    configure(site, s3)
    aged(site, 100)
    site.korrigo("copy")
    with lock.exclusive(site.backups / ".copying", "copy"):
        assert "another run is at work" in site.korrigo("prune", "--on", "cloud", "--apply", code=7).err


@pytest.fixture
def stored(site, s3):
    """A site with two media backups in the store of the target, the older of which is two years old."""
    configure(site, s3, rest="[media]\nstore = true")
    site.write("old.pdf", b"only the old backup has this")
    site.korrigo("backup", "media")
    first = site.one("media_backup_*.files.gz")
    old = site.aged(first, 700)
    for path in (first, first.with_name(first.name + ".manifest.json")):
        path.unlink()
    (site.media / "old.pdf").unlink()
    site.write("new.pdf", b"a new file")
    site.korrigo("backup", "media")
    site.korrigo("copy")
    return old.name


PRUNE = ("prune", "--on", "cloud", "--apply", "--clock-is-right")


def test_stored_files_that_no_copy_there_names_go_some_days_later(site, s3, stored):
    before = there(site, s3)
    done = site.korrigo(*PRUNE)
    assert "1 copy and 0 objects removed" in done.out
    assert "waiting: 1 object" in done.out
    assert {name for name in before - there(site, s3) if "media-store" in name} == set()
    mark_earlier(site)
    assert "0 copies and 1 object removed, read back as gone" in site.korrigo(*PRUNE).out
    (gone,) = {name for name in before - there(site, s3) if "media-store" in name}
    assert gone.startswith("media-store/")
    site.korrigo("verify", "--on", "cloud", "all")
    site.korrigo("prune", "--apply", "--clock-is-right")
    assert "0 copied" in site.korrigo("copy").out
    site.write("old.pdf", b"only the old backup has this")  # the same content comes again
    site.korrigo("backup", "media")
    site.korrigo("copy")
    assert gone in there(site, s3)
    site.korrigo("verify", "--on", "cloud", "all")


def test_a_marked_file_that_a_new_copy_names_stays(site, s3, stored):
    site.korrigo(*PRUNE)
    site.write("again.pdf", b"only the old backup has this")
    site.korrigo("backup", "media")
    site.korrigo("copy")
    mark_earlier(site)
    assert "no old copies to remove" in site.korrigo(*PRUNE).out
    site.korrigo("verify", "--on", "cloud", "all")


def test_no_stored_file_is_removed_while_a_receipt_cannot_be_read(site, s3, stored):
    site.korrigo(*PRUNE)
    mark_earlier(site)
    (place,) = (s3.data / site.database).iterdir()
    receipt = next(place.glob("media_backup_*.receipt.json"))
    receipt.write_text("{")
    before = there(site, s3)
    assert "cannot be read" in site.korrigo(*PRUNE, code=3).err
    assert there(site, s3) == before


def test_files_that_another_host_names_with_a_key_that_is_not_here_stay(site, s3, stored):
    site.korrigo(*PRUNE)
    mark_earlier(site)
    (place,) = (s3.data / site.database).iterdir()
    mine = json.loads(next(place.glob("media_backup_*.receipt.json")).read_text())
    marked = next(iter(json.loads((site.backups / ".unnamed-cloud.json").read_text())["unnamed"]))
    mine["objects"].append({"name": marked, "size": 1, "sha256": "0" * 64})
    other = f"{site.database}/{place.name}/media_backup_20200101_000000.files.gz.receipt.json"
    client_of(s3).put_object(Bucket=s3.bucket, Key=other, Body=json.dumps(mine).encode())
    before = there(site, s3)
    site.korrigo(*PRUNE)
    assert there(site, s3) == before


def test_a_file_of_another_program_on_the_target_stays(site, s3):
    configure(site, s3)
    aged(site, 100)
    site.korrigo("copy")
    (place,) = (s3.data / site.database).iterdir()
    for name in ("notes.txt", "media-store-of-mine/x", "photos/db_backup.jpg"):
        key = f"{site.database}/{place.name}/{name}"
        client_of(s3).put_object(Bucket=s3.bucket, Key=key, Body=b"not ours")
    site.korrigo("prune", "--on", "cloud", "--apply")
    mark_earlier(site)
    assert json.loads((site.backups / ".unnamed-cloud.json").read_text())["unnamed"] == {}
    site.korrigo("prune", "--on", "cloud", "--apply")
    assert (place / "photos/db_backup.jpg").exists()
    assert (place / "notes.txt").exists()


def test_a_target_behind_ssh_is_pruned_too(site, ssh):
    words = json.dumps(list(ssh.words))
    (site.home / "korrigo-backup.toml").write_text(
        f'[targets.cloud]\nurl = "ssh://127.0.0.1:{ssh.port}{ssh.data}/{site.database}"\nssh = {words}\n'
        "seal = false\nmay_delete = true\n"
    )
    *_, old = aged(site, 100)
    site.korrigo("copy")
    assert old in there(site, ssh)
    assert "1 copy and 0 objects removed" in site.korrigo("prune", "--on", "cloud", "--apply").out
    assert not [name for name in there(site, ssh) if old in name]


def test_a_night_prunes_the_targets_that_it_may_delete_on(site, s3):
    configure(site, s3, rest="[retention.database]\ndays = 400")
    *_, old = aged(site, 100)
    site.korrigo("copy")
    assert "🧹 cloud: 1 copy and 0 objects removed" in site.korrigo("nightly").out
    assert old not in there(site, s3)
    configure(site, s3, "", rest="[retention.database]\ndays = 400")
    site.korrigo("nightly")


def test_a_locked_copy_stays_until_its_lock_ends_and_its_versions_go_then(site, locking):
    configure(site, locking, "may_delete = true\nlock_days = 5")
    _, old = aged(site, 100)
    site.korrigo("copy")
    assert plan(site)[old][1].startswith("locked there until")
    listed = site.json("list", "--on", "cloud")["items"]
    assert all(one["locked_until"] for one in listed)
    found = site.json("status", code=(0, 10))
    assert found["copies"]["immutable"] == 1
    assert "immutable until" in site.korrigo("status", code=(0, 10)).out

    ledger = site.backups / ".copies-cloud.jsonl"  # a ledger that was lost does not unlock anything
    shutil.move(ledger, site.home / "lost")
    assert "is locked until" in site.korrigo("prune", "--on", "cloud", "--apply", code=3).err
    shutil.move(site.home / "lost", ledger)
    site.korrigo("verify", "--on", "cloud", "all")
    assert site.json("status", code=(0, 10))["copies"]["immutable"] == 1


def test_the_versions_of_a_pruned_copy_are_gone_and_hidden_copies_are_named(site, locking):
    configure(site, locking, "may_delete = true")
    new, old = aged(site, 100)
    site.korrigo("copy")
    site.korrigo("prune", "--on", "cloud", "--apply")
    client = client_of(locking)
    listed = client.list_object_versions(Bucket=locking.bucket, Prefix=f"{site.database}/")
    assert not [one for one in listed.get("Versions", ()) if old in one["Key"]]
    (key,) = {one["Key"] for one in listed["Versions"] if one["Key"].endswith(new)}
    client.delete_object(Bucket=locking.bucket, Key=key)
    shown = site.korrigo("list", "--on", "cloud").out
    assert "deleted by somebody" in shown
    assert "the version below is there" in site.korrigo("verify", "--on", "cloud", new, code=3).out
    assert "somebody has deleted" in site.korrigo("copy", code=3).err


def test_a_hold_is_a_legal_hold_there_until_it_is_released(site, locking):
    configure(site, locking, "may_delete = true\nlegal_hold = true")
    _, old = aged(site, 100)
    site.korrigo("hold", "add", old, "--reason", "appeal", "--by", "dpo")
    site.korrigo("copy")
    client = client_of(locking)

    def held():
        listed = client.list_object_versions(Bucket=locking.bucket, Prefix=f"{site.database}/")["Versions"]
        found = set()
        for one in listed:
            at = {"Bucket": locking.bucket, "Key": one["Key"], "VersionId": one["VersionId"]}
            head = client.head_object(**at)
            if head.get("ObjectLockLegalHoldStatus") == "ON":
                found.add(one["Key"].rpartition("/")[2])
        return found

    assert held() == {old, f"{old}.manifest.json", f"{old}.receipt.json"}
    site.korrigo("hold", "release", old)
    site.korrigo("copy")
    assert held() == set()
    assert "1 copy and 0 objects removed" in site.korrigo("prune", "--on", "cloud", "--apply").out


@pytest.mark.promise("P4")
def test_a_receipt_that_somebody_has_replaced_ends_no_legal_hold(site, locking):
    configure(site, locking, "legal_hold = true")
    (new,) = aged(site)
    site.korrigo("hold", "add", new, "--reason", "appeal", "--by", "dpo")
    site.korrigo("copy")
    client = client_of(locking)
    listed = client.list_objects_v2(Bucket=locking.bucket, Prefix=f"{site.database}/")["Contents"]
    keys = {one["Key"].rpartition("/")[2]: one["Key"] for one in listed}
    at = {"Bucket": locking.bucket, "Key": keys[f"{new}.receipt.json"]}
    receipt = json.loads(client.get_object(**at)["Body"].read())
    receipt = {name: value for name, value in receipt.items() if name != "auth"} | {"objects": []}
    client.put_object(**at, Body=json.dumps(receipt).encode())
    done = site.korrigo("copy", code=3)
    assert "no legal hold is ended" in done.err
    head = client.head_object(Bucket=locking.bucket, Key=keys[new])
    assert head["ObjectLockLegalHoldStatus"] == "ON"
