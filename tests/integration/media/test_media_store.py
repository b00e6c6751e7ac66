"""Backups whose media files are in the media store: made, verified, restored."""

import gzip
import hashlib
import os
import shutil
import time

import pytest

from korrigo_backup.media.store import save
from korrigo_backup.verify import media_source
from sandbox import MEDIA, PROJECT, nothing_changes, tree


@pytest.fixture
def stored(site):
    """A site whose media go to the store, and whose files count as at rest at once."""
    (site.home / "korrigo-backup.toml").write_text("[media]\nstore = true\n")
    return site


@pytest.fixture
def _at_rest(monkeypatch):
    """Let files count as unchanged although they were written a moment before the last backup began."""
    monkeypatch.setattr(save, "REST_NS", -10_000_000_000)


def contents(site):
    return {path.name: path.read_bytes() for path in (site.backups / "media-store").glob("??/*")}


def manifest_of(site, path):
    return site.wired().catalog.find(str(path)).manifest


def lines(path):
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def test_every_content_is_stored_once_under_its_checksum(stored):
    stored.write("copies/again.pdf", MEDIA["pages/p1.jpg"])
    path = stored.backup_media()
    assert path.name.endswith(".files.gz")
    found = contents(stored)
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in found.items())
    assert sorted(found.values()) == sorted(MEDIA.values())
    assert {file.stat().st_mode & 0o777 for file in (stored.backups / "media-store").glob("??/*")} == {0o400}


def test_a_listing_is_read_by_zcat_and_read(stored):
    path = stored.backup_media()
    script = f'zcat {path} | while read -r sha size mtime mode owner state file; do echo "$sha|$size|$file"; done'
    out = stored.run(["bash", "-c", script]).out.splitlines()
    expected = {f"{hashlib.sha256(body).hexdigest()}|{len(body)}|{name}" for name, body in MEDIA.items()}
    assert expected <= set(out)


def test_a_restore_gives_back_the_tree(stored):
    (stored.media / "link.pdf").symlink_to("copies/2026/scan 1.pdf")
    os.link(stored.media / "pages/p1.jpg", stored.media / "pages/p2.jpg")
    stored.write("odd\nname \\ é.pdf", b"odd")
    os.setxattr(stored.media / "pages/p1.jpg", "user.of site", b"\0value")
    (stored.media / "pages").chmod(0o2770)
    before = tree(stored.media)
    path = stored.backup_media()
    shutil.rmtree(stored.media / "pages")
    stored.write("copies/2026/scan 1.pdf", b"other")
    stored.restore(path)
    assert tree(stored.media) == before
    assert os.getxattr(stored.media / "pages/p1.jpg", "user.of site") == b"\0value"
    assert os.path.samefile(stored.media / "pages/p1.jpg", stored.media / "pages/p2.jpg")
    stored.korrigo("rollback", "--yes", "--media-only")
    assert (stored.media / "copies/2026/scan 1.pdf").read_bytes() == b"other"


@pytest.mark.usefixtures("_at_rest")
def test_an_unchanged_file_is_not_read_again(stored):
    first = stored.backup_media()
    stored.write("pages/new.jpg", b"new")
    second = stored.backup_media()
    assert manifest_of(stored, second).media.store.taken_over == len(MEDIA)
    assert manifest_of(stored, second).media.store.new_files == 1
    assert set(lines(first)) - set(lines(second)) <= {line for line in lines(first) if line.startswith("directory")}


def test_a_file_that_changed_a_moment_before_the_last_backup_is_read_again(stored):
    stored.backup_media()
    assert manifest_of(stored, stored.backup_media()).media.store.taken_over == 0


def test_a_file_at_rest_is_taken_over(stored):
    time.sleep(save.REST_NS / 1e9 + 1.1)
    stored.backup_media()
    assert manifest_of(stored, stored.backup_media()).media.store.taken_over == len(MEDIA)


@pytest.mark.usefixtures("_at_rest")
@pytest.mark.parametrize("change", ["content", "mode", "gone", "moved"])
def test_a_change_is_in_the_next_backup(stored, change):
    stored.backup_media()
    file = stored.media / "pages/p1.jpg"
    old = file.stat()
    if change == "content":  # of the same size and mtime: only ctime shows it
        file.write_bytes(bytes(len(MEDIA["pages/p1.jpg"])))
        os.utime(file, ns=(old.st_mtime_ns, old.st_mtime_ns))
    elif change == "mode":
        file.chmod(0o600)
    elif change == "gone":
        file.unlink()
    else:
        file.rename(stored.media / "a first one.jpg")
    before = tree(stored.media)
    path = stored.backup_media()
    shutil.rmtree(stored.media / "copies")
    stored.restore(path)
    assert tree(stored.media) == before


@pytest.mark.usefixtures("_at_rest")
def test_a_stored_file_that_is_missing_is_found_and_stored_anew(stored):
    path = stored.backup_media()
    victim = next((stored.backups / "media-store").glob("??/*"))
    content = victim.read_bytes()
    victim.unlink()
    stored.korrigo("verify", path, code=9)
    stored.backup_media()
    assert victim.read_bytes() == content
    stored.korrigo("verify", path)


@pytest.mark.promise("P1")
def test_a_flipped_bit_is_found_by_reading(stored):
    path = stored.backup_media()
    victim = next(file for file in (stored.backups / "media-store").glob("??/*") if file.stat().st_size)
    victim.chmod(0o600)
    body = bytearray(victim.read_bytes())
    body[0] ^= 1
    victim.write_bytes(body)
    done = stored.korrigo("verify", path, "--depth", "content", code=9)
    assert victim.name in done.output
    with nothing_changes(stored):
        stored.korrigo("restore", path, "--yes", code=9)


@pytest.mark.usefixtures("_at_rest")
@pytest.mark.parametrize("still_there", [True, False])
def test_a_damaged_file_is_healed_from_the_site_or_named(stored, still_there):
    (stored.home / "korrigo-backup.toml").write_text("[media]\nstore = true\nreread_nights = 1\n")
    first = stored.backup_media()
    name = hashlib.sha256(MEDIA["pages/p1.jpg"]).hexdigest()
    victim = stored.backups / "media-store" / name[:2] / name
    victim.chmod(0o600)
    victim.write_bytes(bytes(victim.stat().st_size))
    if not still_there:
        (stored.media / "pages/p1.jpg").unlink()
    done = stored.korrigo("backup", "media", code=0 if still_there else 3)
    assert (name in done.output) is not still_there
    assert victim.exists() is still_there
    assert (stored.backups / "media-store" / "damaged" / name).exists()
    stored.korrigo("verify", first, "--depth", "content", code=0 if still_there else 9)


def test_a_listing_that_was_changed_is_refused(stored):
    path = stored.backup_media()
    path.write_bytes(gzip.compress("\n".join(lines(path)).replace("pages", "Pages").encode() + b"\n"))
    with nothing_changes(stored):
        stored.korrigo("restore", path, "--yes", code=9)


def test_a_restore_point_restores_from_the_store(stored):
    stored.korrigo("backup", "full")
    before = stored.content(), tree(stored.media)
    stored.wreck()
    shutil.rmtree(stored.media / "pages")
    stored.korrigo("plan", "latest-point")
    stored.korrigo("restore", "latest-point", "--yes")
    assert (stored.content(), tree(stored.media)) == before
    assert "same" in stored.korrigo("compare", "--media", "latest-media").output
    stored.korrigo("validate", "latest-point")


def test_the_store_is_no_stranger(stored):
    stored.backup_media()
    assert "media-store" not in stored.korrigo("list").output


def test_a_small_tree_stays_in_an_archive(site):
    assert site.backup_media().name.endswith(".tar.gz")


def test_a_site_with_a_listing_goes_on_with_the_store(stored):
    stored.backup_media()
    (stored.home / "korrigo-backup.toml").unlink()
    assert stored.backup_media().name.endswith(".files.gz")


def aged_listing(site, days):
    """A media backup of so many days ago with a file that only it names; returns its path and that file's checksum."""
    site.write("pages/only then.jpg", b"%d" % days)
    path = site.backup_media()
    (site.media / "pages/only then.jpg").unlink()
    old = site.aged(path, days)
    for one in (path, path.with_name(path.name + ".manifest.json")):
        one.unlink()
    return old, hashlib.sha256(b"%d" % days).hexdigest()


def test_prune_removes_stored_files_without_a_backup_that_refers_to_them(stored):
    old, only = aged_listing(stored, 40)
    new = stored.backup_media()
    assert only in contents(stored)
    stored.korrigo("prune", "--apply", "--clock-is-right")
    assert not old.exists()
    assert sorted(contents(stored).values()) == sorted(MEDIA.values())
    stored.korrigo("verify", new, "--depth", "content")


def test_a_hold_keeps_the_files_of_a_backup(stored):
    old, only = aged_listing(stored, 40)
    stored.backup_media()
    stored.korrigo("hold", "add", old.name, "--reason", "the inspector asked")
    stored.korrigo("prune", "--apply", "--clock-is-right")
    assert only in contents(stored)


def test_nothing_is_swept_while_a_listing_cannot_be_read(stored):
    aged_listing(stored, 40)
    stored.backup_media()
    foreign = stored.backups / "of another site.files.gz"
    foreign.write_bytes(b"not gzip")
    before = contents(stored)
    done = stored.korrigo("prune", "--apply", "--clock-is-right", code=3)
    assert foreign.name in done.output
    assert contents(stored) == before
    foreign.unlink()
    stored.korrigo("prune", "--apply", "--clock-is-right")
    assert len(contents(stored)) == len(before) - 1


def test_a_lost_listing_does_not_empty_the_store(stored):
    for number in range(60):
        stored.write(f"pages/{number}.jpg", b"page %d" % number)
    path = stored.backup_media()
    away = path.rename(stored.home / path.name)
    stored.korrigo("prune", "--apply", "--clock-is-right", code=3)
    assert len(contents(stored)) == 60 + len(MEDIA)
    away.rename(path)
    stored.korrigo("prune", "--apply", "--clock-is-right")
    assert len(contents(stored)) == 60 + len(MEDIA)


def test_an_exported_archive_is_the_archive_of_a_direct_backup(stored):
    (stored.media / "link.pdf").symlink_to("copies/2026/scan 1.pdf")
    os.link(stored.media / "pages/p1.jpg", stored.media / "pages/p2.jpg")
    os.setxattr(stored.media / "pages/p1.jpg", "user.of site", b"\0value")
    listing = stored.backup_media()
    (stored.home / "korrigo-backup.toml").write_text("[media]\nstore = false\n")
    direct = stored.backup_media()
    assert direct.name.endswith(".tar.gz")
    stored.korrigo("media", "export", listing, stored.home / "out.tar.gz")
    assert gzip.decompress((stored.home / "out.tar.gz").read_bytes()) == gzip.decompress(direct.read_bytes())
    assert (stored.home / "out.tar.gz").read_bytes() == direct.read_bytes()
    sums = stored.home / "out.tar.gz.sha256"
    assert sums.read_bytes() == direct.with_name(direct.name + ".sha256").read_bytes()
    stored.run(["bash", "-c", f"mkdir plain && tar -xzf out.tar.gz -C plain && cd plain && sha256sum -c {sums}"])
    stored.korrigo("media", "export", listing, stored.home / "out.tar.gz", code=2)


def test_an_imported_archive_restores_as_it_did(site):
    (site.media / "link.pdf").symlink_to("copies/2026/scan 1.pdf")
    os.link(site.media / "pages/p1.jpg", site.media / "pages/p2.jpg")
    before = tree(site.media)
    archive = site.backup_media()
    site.korrigo("media", "import", archive.name)
    listing = site.one("media_backup_*.files.gz")
    assert manifest_of(site, listing).created == manifest_of(site, archive).created
    for name in (archive.name, archive.name + ".sha256", archive.name + ".manifest.json"):
        (site.backups / name).unlink()
    shutil.rmtree(site.media / "pages")
    site.restore(listing)
    assert tree(site.media) == before
    assert os.path.samefile(site.media / "pages/p1.jpg", site.media / "pages/p2.jpg")


def test_an_archive_that_this_site_has_not_signed_is_not_taken_in(site):
    archive = site.backup_media()
    archive.with_name(archive.name + ".manifest.json").unlink()
    done = site.korrigo("media", "import", archive.name, code=4)
    assert "not signed" in done.err
    assert not (site.backups / "media-store").exists()


def test_the_lines_of_the_documentation_restore_a_tree_without_this_program(stored):
    page = (PROJECT / "docs" / "how-to" / "media-store.md").read_text()
    block = page.split("## Without this program")[1].split("```console\n")[1].split("```")[0]
    name = stored.backup_media().name
    commands = block.replace("$ ", "", 1).replace("\n$ ", "\n").replace("media_backup_20260204_030000.files.gz", name)
    stored.run(["bash", "-ec", commands])
    for path, content in MEDIA.items():
        assert (stored.backups / "out" / path).read_bytes() == content


def test_a_night_reads_new_files_and_a_share_of_the_store(stored):
    stored.korrigo("nightly", "--full")
    victim = next(file for file in (stored.backups / "media-store").glob("??/*") if file.stat().st_size)
    victim.chmod(0o600)
    victim.write_bytes(bytes(victim.stat().st_size))
    (stored.home / "korrigo-backup.toml").write_text("[media]\nstore = true\nreread_nights = 0\n")
    stored.korrigo("nightly", "--full")  # none is read: the size is that of before
    stored.korrigo("verify", "latest-point", code=9)
    (stored.home / "korrigo-backup.toml").write_text("[media]\nstore = true\nreread_nights = 1\n")
    stored.korrigo("nightly", "--full")
    stored.korrigo("verify", "latest-point")


@pytest.mark.usefixtures("_at_rest")
def test_a_restore_may_link_unchanged_files(stored, monkeypatch):
    monkeypatch.setattr(media_source, "REST_NS", -10_000_000_000)
    (stored.home / "korrigo-backup.toml").write_text("[media]\nstore = true\nlink_unchanged = true\n")
    before = tree(stored.media)
    path = stored.backup_media()
    stored.write("pages/p1.jpg", b"damaged")
    same = (stored.media / "copies/2026/scan 1.pdf").stat().st_ino
    done = stored.restore(path)
    assert tree(stored.media) == before
    assert (stored.media / "copies/2026/scan 1.pdf").stat().st_ino == same
    change = done.plan.media
    assert (change.same, change.changed.count) == (len(MEDIA) - 1, 1)


def test_a_restore_links_no_file_without_the_setting(stored):
    path = stored.backup_media()
    same = (stored.media / "copies/2026/scan 1.pdf").stat().st_ino
    stored.restore(path)
    assert (stored.media / "copies/2026/scan 1.pdf").stat().st_ino != same
