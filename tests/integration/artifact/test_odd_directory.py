"""A backup directory in which people have been: everything odd is named, and never fatal to the rest."""

import json
import os
import shutil

import pytest

from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.errors import ProofFailed
from sandbox import KORRIGO

GARBAGE = {
    "empty": b"",
    "a list": b"[1, 2]",
    "deep": b'{"x": ' * 100_000,
    "deep list": b"[" * 100_000,
    "no text": b"\xff\xfe{}",
    "huge numbers": b'{"timestamp": 1e999999, "members": -0}',
    "other types": b'{"timestamp": "t", "includes_media": 7}',
}
"""Contents of a manifest that none can be."""


@pytest.fixture
def odd(site):
    """A good backup, and beside it what disks, people and attackers leave."""
    site.made = site.backup()
    made, manifest = site.made, site.made.with_name(site.made.name + ".manifest.json")
    put = site.backups.joinpath
    for number, content in enumerate(GARBAGE.values()):
        put(f"db_backup_2020010{number + 1}_030000.sql.gz").write_bytes(b"x")
        put(f"db_backup_2020010{number + 1}_030000.sql.gz.manifest.json").write_bytes(content)
    shutil.copy(made, put(made.name.replace(".sql.gz", "_2.sql.gz")))  # two of one stamp, the second without manifest
    put("db_backup_20200201_030000.sql.gz").symlink_to("/etc/passwd")
    put("media_backup_20200202_030000.tar.gz").mkdir()
    put("db_backup_20209999_999999.sql.gz").write_bytes(b"a date that is none")
    put("db_backup_20200203_030000.sql.gz.manifest.json").write_bytes(b"{}")
    os.mkfifo(put("db_backup_20200204_030000.sql.gz"))
    put("copie de db_backup.sql.gz").write_bytes(b"by hand")
    put(os.fsdecode(b"caf\xe9\n.txt")).write_bytes(b"no UTF-8, two lines")
    shut = put("korrigo_backup_20200205_030000")
    shut.mkdir(mode=0o000)
    forged = json.loads(manifest.read_text())
    forged["site"] = "another"
    put("db_backup_20200206_030000.sql.gz").write_bytes(b"x")
    put("db_backup_20200206_030000.sql.gz.manifest.json").write_text(json.dumps(forged))
    yield site
    shut.chmod(0o700)


def plain(site, *arguments, code):
    """Run the command without the right to look past modes, which root has otherwise."""
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    return site.run([*bare, str(KORRIGO), *arguments], code=code)


def test_list_shows_foreign_files_with_their_reason(odd):
    found = json.loads(plain(odd, "list", "--json", code=0).out)
    items = {item["name"]: item for item in found["items"]}
    assert items[odd.made.name]["proof"] == "rows"
    assert items[odd.made.name.replace(".sql.gz", "_2.sql.gz")]["proof"] == "none"
    assert all(items[f"db_backup_2020010{n + 1}_030000.sql.gz"]["proof"] == "broken" for n in range(len(GARBAGE)))
    strangers = {stranger["name"]: stranger["why"] for stranger in found["strangers"]}
    assert set(strangers) == {
        "caf\\xe9\\n.txt",
        "copie de db_backup.sql.gz",
        "db_backup_20200201_030000.sql.gz",
        "db_backup_20200203_030000.sql.gz.manifest.json",
        "db_backup_20200204_030000.sql.gz",
        "db_backup_20209999_999999.sql.gz",
        "korrigo_backup_20200205_030000",
        "media_backup_20200202_030000.tar.gz",
    }
    assert "permission denied" in strangers["korrigo_backup_20200205_030000"]
    assert strangers["db_backup_20200203_030000.sql.gz.manifest.json"] == "its backup is not here"
    out = plain(odd, "list", code=0).out
    assert "copie de db_backup.sql.gz" in out
    assert "caf\\xe9\\n.txt" in out


def test_status_counts_only_the_good_backup_and_reports_the_bad_files(odd):
    found = json.loads(plain(odd, "status", "--json", code=10).out)
    assert [good["name"] for good in found["good"]] == [odd.made.name]
    assert found["good"][0]["count"] == 1
    assert {"status.forged", "status.broken", "status.unread"} <= {one["id"] for one in found["attention"]}
    assert "Not ours, never touched: " in plain(odd, "status", code=10).out


@pytest.mark.promise("P5")
def test_a_manifest_that_is_changed_after_the_look_is_not_used(site):
    made = site.backup()
    manifest = made.with_name(made.name + ".manifest.json")
    (seen,) = site.wired().catalog.artifacts()
    assert (seen.authenticity, seen.header.rows) == (Authenticity.AUTHENTIC, 620)
    altered = json.loads(manifest.read_text())
    altered["database"]["tables"][0]["rows"] += 1
    manifest.write_text(json.dumps(altered))
    with pytest.raises(ProofFailed, match="changed while it was looked at"):
        _ = seen.manifest


def test_an_altered_or_extended_manifest_is_reported_as_forged(site):
    made = site.backup()
    manifest = made.with_name(made.name + ".manifest.json")
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"seconds": 1e9}))
    assert site.wired().catalog.artifacts()[0].authenticity is Authenticity.FORGED
    manifest.write_text(json.dumps(content | {"nobody reads": "this"}))
    assert site.wired().catalog.find(str(made)).authenticity is Authenticity.FORGED
    content["auth"]["hmac"] = "é" * 64
    manifest.write_text(json.dumps(content))
    assert site.wired().catalog.artifacts()[0].authenticity is Authenticity.FORGED


def test_status_reports_an_unreadable_journal_and_unreadable_holds_and_still_counts_backups(site):
    site.backup()
    (site.backups / ".journal.jsonl").unlink()
    (site.backups / ".journal.jsonl").mkdir()
    (site.backups / ".holds.json").write_text("[{")
    found = site.json("status", code=10)
    assert [one["id"] for one in found["attention"]][:2] == ["status.journal", "status.holds"]
    assert found["good"][0]["rows"] == 620
    assert site.korrigo("metrics").out.count('level="error"} 1') == 2


def test_status_reports_a_backup_directory_that_is_a_file_or_unreadable(site):
    site.backups.write_text("not a directory")
    assert "is a file" in site.korrigo("status", code=10).out
    site.backups.unlink()
    site.backups.mkdir(mode=0o000)
    done = plain(site, "status", code=10)
    assert "cannot read the backup directory" in done.out
    assert "BACKUP UNKNOWN" in plain(site, "status", "--nagios", code=3).out
    site.backups.chmod(0o700)


def test_names_that_are_no_text_are_escaped_in_the_journal_and_in_json(site):
    made = site.backup()
    odd = site.backups / os.fsdecode(b"of \xff.sql.gz")
    shutil.copy(made, odd)
    assert site.json("verify", odd)["path"].endswith("of \\xff.sql.gz")
    assert site.journal()[-1]["subject"] == "of \\xff.sql.gz"


@pytest.mark.promise("P1")
def test_all_are_verified_though_one_cannot_be_read_and_none_is_not_all(site):
    assert "there is no backup in" in site.korrigo("verify", "all", code=6).err
    assert site.json("verify", "all", code=6)["items"] == []
    good = site.backup()
    shut = site.aged(good, 3)
    shut.chmod(0o000)
    link = site.backups / "db_backup_20200201_030000.sql.gz"
    link.symlink_to(good)
    done = plain(site, "verify", "all", code=9)
    assert f"✅ {good.name}" in done.out
    assert f"❌ {shut.name}: cannot" in done.out
    assert f"❌ {link.name}: does not have the content that its name promises" in done.out
    assert "2 of 3 backups are not good" in done.err


def test_doctor_completes_its_checks_if_the_lock_file_is_unreadable(site):
    site.backup()
    (site.backups / ".lock").chmod(0o000)
    done = plain(site, "doctor", code=10)
    assert "✅ database" in done.out
    assert "❌ cannot use the backup directory" in done.out
