"""What is bad or missing on a target is sent again, whatever has killed the attempts before."""

import json
import os

import pyrage
import pytest

from sandbox import kill_all, until
from targetservers import client_of
from targetsite import cloud, configure


@pytest.fixture
def key(tmp_path):
    """A private key in a file, and its public key."""
    made = pyrage.x25519.Identity.generate()
    path = tmp_path / "holder.key"
    path.write_text(f"{made}\n")
    return path, str(made.to_public())


def configured(site, s3, more="seal = false", *rest):
    configure(site, "[media]\nstore = true", *rest, cloud(site, s3, more=f"may_delete = true\n{more}"), s3=s3)


def stored_on(site, s3):
    (place,) = (s3.data / site.database).iterdir()
    return [path for path in sorted((place / "media-store").glob("*/*")) if path.stat().st_size]


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def delete(s3, path):
    client_of(s3).delete_object(Bucket=s3.bucket, Key=str(path.relative_to(s3.data)))


def begun(site):
    """The last state of each object in the ledger that is being sent."""
    lines = map(json.loads, (site.backups / ".copies-cloud.jsonl").read_text().splitlines())
    return [line["object"] for line in {line["object"]: line for line in lines}.values() if "sent" not in line]


def test_a_stored_file_that_is_bad_there_is_sent_again(site, s3):
    configured(site, s3)
    listing = site.backup_media()
    site.korrigo("copy")
    victim = stored_on(site, s3)[0]
    good = victim.read_bytes()
    damage(victim)
    site.korrigo("verify", "--on", "cloud", listing.name, code=9)
    site.korrigo("copy")
    assert victim.read_bytes() == good
    site.korrigo("verify", "--on", "cloud", listing.name)


def test_a_stored_file_is_sent_again_after_the_second_sending_was_killed(site, s3):
    for number in range(2):
        site.write(f"large{number}.bin", os.urandom(50_000))
    configured(site, s3)
    listing = site.backup_media()
    site.korrigo("copy")
    gone = [path for path in stored_on(site, s3) if path.stat().st_size == 50_000]
    for path in gone:
        delete(s3, path)
    configured(site, s3, "seal = false\nlimit = 1")
    with site.started("copy") as child:
        until(lambda: any(path.exists() for path in gone) and len(begun(site)) == 1)
        kill_all(child)
    assert not all(path.exists() for path in gone)
    configured(site, s3)
    listed = {one["name"]: one["missing"] for one in site.json("list", "--on", "cloud")["items"]}
    assert listed[listing.name]
    site.korrigo("copy")
    assert all(path.exists() for path in gone)
    site.korrigo("verify", "--on", "cloud", listing.name)


def test_each_copy_that_lists_a_file_which_was_sealed_anew_gets_a_new_receipt(site, s3, key):
    private, public = key
    configured(site, s3, "", f'[kit]\nrecipients = ["{public}"]')
    first, second = site.backup_media(), site.backup_media()
    site.korrigo("copy")
    delete(s3, stored_on(site, s3)[0])
    site.korrigo("copy")
    for listing in (first, second):
        site.korrigo("verify", "--on", "cloud", listing.name, "--identity", private)
    assert "0 copied" in site.korrigo("copy").out


def test_a_file_that_only_a_copy_there_needs_is_named_when_it_is_gone(site, s3):
    configured(site, s3)
    site.write("old.bin", b"only the first backup has it")
    first = site.backup_media()
    (site.media / "old.bin").unlink()
    site.backup_media()
    site.korrigo("copy")
    for path in (first, first.with_name(f"{first.name}.manifest.json")):
        path.unlink()
    gone = next(path for path in stored_on(site, s3) if path.read_bytes() == b"only the first backup has it")
    delete(s3, gone)
    for path in (site.backups / "media-store").glob(f"*/{gone.name}"):
        path.unlink()
    for _ in range(2):
        done = site.korrigo("copy", code=3)
        assert first.name in done.output
    site.korrigo("verify", "--on", "cloud", first.name, code=9)


def test_a_host_without_a_ledger_knows_sealed_files_by_the_receipts_there(site, s3, key):
    private, public = key
    sections = ("[media]\nstore = true", f'[kit]\nrecipients = ["{public}"]', cloud(site, s3))
    configure(site, *sections, s3=s3)
    first = site.backup_media()
    site.korrigo("copy")
    before = {path: path.stat().st_mtime_ns for path in stored_on(site, s3)}
    second = site.backup_media()  # beside the first, which keeps it from taking its name within the same second
    for path in (first, first.with_name(f"{first.name}.manifest.json"), site.backups / ".copies-cloud.jsonl"):
        path.unlink()
    assert "1 copied" in site.korrigo("copy").out
    assert {path: path.stat().st_mtime_ns for path in stored_on(site, s3)} == before
    for listing in (first, second):
        site.korrigo("verify", "--on", "cloud", listing.name, "--identity", private)
