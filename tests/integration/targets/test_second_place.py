"""Copies on other places by the command: made, listed, read back, fetched; what goes wrong there harms nothing here."""

import os
import re
import shutil
from pathlib import Path

import pyrage
import pytest

from sandbox import kill_all, nothing_changes, until
from targetservers import free_port
from targetsite import cloud, configure, objects


@pytest.fixture
def key(tmp_path):
    """A private key in a file, and its public key."""
    made = pyrage.x25519.Identity.generate()
    path = tmp_path / "holder.key"
    path.write_text(f"{made}\n")
    return path, str(made.to_public())


@pytest.mark.contract("B9")
def test_a_backup_is_copied_once_listed_read_back_and_restored_from_there(site, s3):
    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    site.korrigo("backup", "full")
    point = site.one("restore_point_*.json").name
    done = site.korrigo("copy")
    assert f"cloud: {point} copied" in done.out
    assert "not sealed" in done.out
    assert "✅ cloud: 3 copied" in done.out
    (place,) = (s3.data / site.database).iterdir()
    there = objects(place)
    for name in site.published() - {"db_backup_latest.sql.gz"}:
        assert (place / name).read_bytes() == (site.backups / name).read_bytes()
    assert len(there) == len(site.published()) - 1 + 3  # the receipts
    times = {name: (place / name).stat().st_mtime_ns for name in there}

    again = site.korrigo("copy")
    assert "0 copied (0B), 3 there already" in again.out
    assert {name: (place / name).stat().st_mtime_ns for name in objects(place)} == times

    listed = site.json("list", "--on", "cloud")
    assert {one["name"] for one in listed["items"]} >= {point}
    assert all(one["read"] is None and not one["sealed"] and not one["missing"] for one in listed["items"])
    assert "3 copies read back from cloud" in site.korrigo("verify", "--on", "cloud", "all").out
    assert all(one["read"] for one in site.json("list", "--on", "cloud")["items"])

    before = site.content(), site.tree()
    shutil.rmtree(site.backups)
    site.wreck()
    site.korrigo("restore", "--from", "cloud", "--yes", code=2)
    site.korrigo("restore", "--from", "cloud", "latest-point", "--yes")
    assert (site.content(), site.tree()) == before
    site.korrigo("verify", "latest-point")


def test_a_file_comes_back_from_a_sealed_copy(site, s3, key):
    private, public = key
    configure(site, f'[kit]\nrecipients = ["{public}"]', cloud(site, s3), s3=s3)
    media = site.backup_media()
    site.korrigo("copy")
    before = site.tree()
    shutil.rmtree(site.backups)
    (site.media / "pages/p1.jpg").unlink()
    given = ("restore", "--file", "pages/p1.jpg", "--from", "cloud", media.name, "--yes")
    assert "private key" in site.korrigo(*given, code=4).err
    site.korrigo(*given, "--identity", private)
    assert site.tree() == before


@pytest.mark.contract("B9")
def test_a_copy_is_sealed_unless_that_is_switched_off(site, s3, key):
    private, public = key
    configure(site, f'[kit]\nrecipients = ["{public}"]', cloud(site, s3), s3=s3)
    dump = site.backup()
    assert "sealed)" in site.korrigo("copy").out
    (place,) = (s3.data / site.database).iterdir()
    sealed = place / f"{dump.name}.age"
    assert sealed.read_bytes().startswith(b"age-encryption.org/v1\n")
    assert not (place / dump.name).exists()
    opened = site.home / "opened"
    with sealed.open("rb") as source, opened.open("wb") as to:
        pyrage.decrypt_io(source, to, [pyrage.x25519.Identity.from_str(private.read_text().strip())])
    assert opened.read_bytes() == dump.read_bytes()

    output = site.korrigo("verify", "--on", "cloud").out
    assert "sealed, as its header says" in output
    assert "opened and held against its manifest" in site.korrigo("verify", "--on", "cloud", "--identity", private).out
    dump.unlink()
    refused = site.korrigo("fetch", "cloud", dump.name, code=4)
    assert "has only the public keys" in refused.err
    site.korrigo("fetch", "cloud", dump.name, "--identity", private)
    site.korrigo("verify", dump.name)
    other = pyrage.x25519.Identity.generate()
    (site.home / "other.key").write_text(f"{other}\n")
    dump.unlink()
    site.korrigo("fetch", "cloud", dump.name, "--identity", "other.key", code=4)
    assert not dump.exists()


def test_copy_without_a_recipient_is_refused(site, s3):
    configure(site, cloud(site, s3), s3=s3)
    site.backup()
    assert "what leaves this host is sealed" in site.korrigo("copy", code=2).err
    assert not (s3.data / site.database).exists()


@pytest.mark.promise("P7")
def test_the_secret_of_a_target_is_in_no_output_and_no_file(site, s3):
    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    (site.home / "korrigo-backup.env").write_text(
        "AWS_ACCESS_KEY_ID=AKIAKORRIGOTESTS\nAWS_SECRET_ACCESS_KEY=wrong-s3cr3t-value\n"
    )
    site.backup()
    done = site.korrigo("copy", code=3)
    assert "cloud" in done.err
    assert "wrong-s3cr3t-value" not in done.output
    assert "wrong-s3cr3t-value" not in (site.backups / ".journal.jsonl").read_text()


@pytest.mark.contract("B9")
def test_a_night_copies_and_a_target_that_is_down_harms_neither_the_backup_nor_the_other_target(site, s3):
    down = f'[targets.down]\nurl = "s3://b/p"\nendpoint = "http://127.0.0.1:{free_port()}"\nseal = false\ntimeout = 1'
    configure(site, cloud(site, s3, more="seal = false"), down, "[nightly]\ndrill = false", s3=s3)
    done = site.korrigo("nightly", code=3, timeout=120)
    dump = site.one("db_backup_2*.sql.gz")
    assert "copy: down: s3://b/p does not answer" in done.err
    assert f"the backup {dump.relative_to(site.home)} is good" in done.err or "is good" in done.err
    (place,) = (s3.data / site.database).iterdir()
    assert (place / dump.name).read_bytes() == dump.read_bytes()
    assert f"{dump.name}.receipt.json" in objects(place)
    site.korrigo("verify", dump)
    verbs = {(one["verb"], one["outcome"]) for one in site.journal()}
    assert verbs >= {("nightly", "done"), ("copy", "partly")}


def test_a_copy_that_is_killed_is_finished_by_the_next_one(site, s3, key):
    _, public = key
    configure(site, f'[kit]\nrecipients = ["{public}"]', cloud(site, s3, more="limit = 300"), s3=s3)
    site.write("large.bin", os.urandom(3_000_000))
    site.korrigo("backup", "media")
    with nothing_changes(site):
        with site.started("copy") as child:
            until(lambda: list(site.backups.glob(".copying-cloud/*.tar.gz.age")))
            kill_all(child)
        assert not list((s3.data / site.database).rglob("*.receipt.json"))
        configure(site, f'[kit]\nrecipients = ["{public}"]', cloud(site, s3), s3=s3)
        assert "✅ cloud: 1 copied" in site.korrigo("copy").out
    site.korrigo("verify", "--on", "cloud", "all")
    assert not list(site.backups.glob(".copying-cloud"))


def test_a_bit_that_flips_there_is_found_and_healed_with_the_right_to_delete(site, s3):
    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    dump = site.backup()
    site.korrigo("copy")
    (place,) = (s3.data / site.database).iterdir()
    content = bytearray((place / dump.name).read_bytes())
    content[500] ^= 1
    (place / dump.name).write_bytes(content)
    found = site.korrigo("verify", "--on", "cloud", code=9)
    assert f"{dump.name} has another content than was sent" in found.output
    refused = site.korrigo("copy", code=3)
    assert "has another content" in refused.err
    configure(site, cloud(site, s3, more="seal = false\nmay_delete = true"), s3=s3)
    site.korrigo("copy")
    assert (place / dump.name).read_bytes() == dump.read_bytes()
    site.korrigo("verify", "--on", "cloud")


def test_a_restore_point_there_is_as_good_as_its_components(site, s3):
    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    site.korrigo("backup", "full")
    site.korrigo("copy")
    assert "3 copies read back from cloud" in site.korrigo("verify", "--on", "cloud", "latest-point").out
    (place,) = (s3.data / site.database).iterdir()
    media = place / site.one("media_backup_*.tar.gz").name
    content = bytearray(media.read_bytes())
    content[500] ^= 1
    media.write_bytes(content)
    found = site.korrigo("verify", "--on", "cloud", "latest-point", code=9)
    assert f"{media.name} has another content than was sent" in found.output


@pytest.mark.contract("T13")
def test_backups_that_are_gone_here_stay_there(site, ssh):
    root = ssh.data / site.database
    words = str(list(ssh.words)).replace("'", '"')
    configure(site, f'[targets.nas]\nurl = "ssh://root@127.0.0.1:{ssh.port}{root}"\nssh = {words}\nseal = false')
    first = site.backup()
    site.korrigo("copy")
    content = first.read_bytes()
    for path in site.backups.glob("*"):
        path.unlink()
    site.backup()
    assert "✅ nas: 1 copied" in site.korrigo("copy").out
    (place,) = root.iterdir()
    assert (place / first.name).read_bytes() == content
    site.korrigo("fetch", "nas", first.name)
    assert first.read_bytes() == content
    site.korrigo("verify", first.name)


def test_a_backup_that_rotted_here_is_not_copied(site, s3):
    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    dump = site.backup()
    content = bytearray(dump.read_bytes())
    content[-20] ^= 1
    dump.write_bytes(content)
    done = site.korrigo("copy", code=3)
    assert "differs from its manifest, so it is not copied" in done.err
    assert not [path for path in (s3.data / site.database).rglob("*") if path.is_file()]


def test_an_unknown_target_and_none_at_all_are_usage_errors(site, s3):
    site.backup()
    assert "no target is configured" in site.korrigo("copy", code=2).err
    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    assert "there is no target 'clod'" in site.korrigo("copy", "--to", "clod", code=2).err
    assert "there is no target 'clod'" in site.korrigo("list", "--on", "clod", code=2).err
    assert "has no whole copy of" in site.korrigo("fetch", "cloud", "db_backup_20260101_000000.sql.gz", code=6).err


def test_a_django_backup_is_copied_as_a_directory(site, s3):
    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    golden = Path(__file__).parents[2] / "golden" / "format-1" / "korrigo_backup_20261125_024539"
    site.backup()
    shutil.copytree(golden, site.backups / golden.name)
    site.korrigo("copy", golden.name)
    (place,) = (s3.data / site.database).iterdir()
    assert sorted(path.name for path in golden.iterdir()) == sorted(p.name for p in (place / golden.name).iterdir())
    shutil.rmtree(site.backups / golden.name)
    site.korrigo("fetch", "cloud", golden.name)
    assert objects(site.backups / golden.name) == objects(golden)


@pytest.mark.parametrize("seals", [False, True])
def test_a_listing_of_the_media_store_is_copied_with_its_files_and_only_new_ones_are_sent(site, s3, key, seals):
    private, public = key
    more = "" if seals else "seal = false"
    configure(site, f'[kit]\nrecipients = ["{public}"]', "[media]\nstore = true", cloud(site, s3, more=more), s3=s3)
    site.korrigo("backup", "full")
    site.korrigo("copy")
    (place,) = (s3.data / site.database).iterdir()
    stored = {path.name for path in (place / "media-store").rglob("*") if path.is_file()}
    here = {path.name for path in (site.backups / "media-store").rglob("*") if path.is_file()}
    assert len(stored) == len(here)
    assert stored.isdisjoint(here) if seals else stored == here
    site.write("new.pdf", b"a new file")
    site.korrigo("backup", "full")
    site.korrigo("copy")
    assert len([path for path in (place / "media-store").rglob("*") if path.is_file()]) == len(here) + 1
    site.korrigo("verify", "--on", "cloud", "latest-point", "--identity", private)

    before = site.content(), site.tree()
    shutil.rmtree(site.backups)
    site.wreck()
    shutil.rmtree(site.media / "copies")
    site.korrigo("fetch", "cloud", "latest-point", "--identity", private)
    site.korrigo("restore", "latest-point", "--yes")
    assert (site.content(), site.tree()) == before


@pytest.mark.contract("B10")
def test_status_counts_off_site_copies_and_shows_their_last_read_back(site, s3):
    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    site.backup()
    before = site.json("status", code=(0, 10))
    assert (before["copies"]["places"], before["copies"]["off_site"]) == (2, 0)
    assert "status.target_behind" in {one["id"] for one in before["attention"]}
    site.korrigo("copy")
    copied = site.json("status", code=(0, 10))
    assert (copied["copies"]["places"], copied["copies"]["off_site"], copied["copies"]["immutable"]) == (3, 1, 0)
    assert "status.target_unread" in {one["id"] for one in copied["attention"]}
    site.korrigo("verify", "--on", "cloud")
    shown = site.korrigo("status", code=(0, 10)).out
    assert "3 places (the live site counts)" in shown
    assert "last read back from there" in shown
    read = site.json("status", code=(0, 10))
    assert not {one["id"] for one in read["attention"]} & {"status.target_behind", "status.target_unread"}
    assert read["targets"][0]["copies"][0]["read"]
    assert "korrigo_backup_target_last_read_timestamp_seconds{" in site.korrigo("metrics").out


def test_a_key_is_made_for_its_holder_and_proven(site, tmp_path):
    assert "needs a terminal" in site.korrigo("seal", "init", code=2).err
    stick = tmp_path / "stick"
    done = site.korrigo("seal", "init", "--to", stick)
    assert stick.stat().st_mode & 0o777 == 0o600
    assert "AGE-SECRET-KEY" not in done.output
    (public,) = re.findall(r'recipients = \["(age1\w+)"\]', done.out)
    configure(site, f'[kit]\nrecipients = ["{public}"]')
    assert "opens what is sealed to [kit] recipients" in site.korrigo("seal", "check", "--identity", stick).out
    other = tmp_path / "other"
    site.korrigo("seal", "init", "--to", other)
    site.korrigo("seal", "check", "--identity", other, code=4)
    site.backups.mkdir(exist_ok=True)
    assert "lies in the backup directory" in site.korrigo("seal", "init", "--to", site.backups / "key", code=4).err
