"""Backing up and restoring the media tree."""

import os
import shutil
import subprocess
import tarfile

import pytest

from korrigo_backup.media.tree import MediaTree
from korrigo_backup.site import unfinished
from sandbox import nothing_changes, tree

LARGE = 9 * 1024 * 1024


@pytest.fixture
def odd_site(empty_site):
    """A site with every kind of file and name that a file system allows."""
    site = empty_site
    site.write("sp ace/na me.pdf", b"spaces")
    site.write("line\nbreak\r/back\\slash.pdf", b"control characters")
    site.write("élève/ﬁn ✅.jpg", b"unicode")
    site.write("-rf", b"a name like an option")
    site.write("large.bin", os.urandom(1024) * (LARGE // 1024))
    site.write("a" * 200 + "/" + "b" * 200, b"long names")
    site.write("private.pdf", b"mode").chmod(0o640)
    (site.media / "empty directory").mkdir()
    (site.media / "closed").mkdir(mode=0o750)
    with open(os.fsencode(site.media) + b"/caf\xe9.pdf", "wb") as file:
        file.write(b"latin 1")
    return site


@pytest.mark.contract("B4")
@pytest.mark.contract("R5")
def test_after_a_restore_the_tree_equals_the_backup_byte_by_byte(odd_site):
    before = odd_site.tree()
    made = odd_site.backup_media()
    shutil.rmtree(odd_site.media / "élève")
    (odd_site.media / "large.bin").write_bytes(b"damaged")
    (odd_site.media / "private.pdf").unlink()
    odd_site.korrigo("restore", made, "--yes")
    assert odd_site.tree() == before


@pytest.mark.contract("T6")
def test_a_restore_moves_files_added_after_the_backup_to_the_previous_copy(site):
    before = site.tree()
    made = site.backup_media()
    site.write("copies/new.pdf", b"added later")
    site.write("other/deep/new.pdf", b"added later")
    changed = site.tree()
    done = site.korrigo("restore", made, "--yes")
    assert site.tree() == before
    (previous,) = site.media.glob(".before-*")
    assert f"the replaced media is kept as {previous}" in done.out
    assert (previous / "other/deep/new.pdf").read_bytes() == b"added later"
    assert {p.name for p in previous.iterdir()} == {os.fsdecode(p) for p in changed if b"/" not in p}


@pytest.mark.contract("B4")
@pytest.mark.contract("T5")
def test_the_archive_is_one_that_tar_reads_below_the_documented_root(odd_site, tmp_path):
    made = odd_site.backup_media()
    target = tmp_path / "unpacked"
    target.mkdir()
    subprocess.run(["tar", "-xzf", made, "-C", target], check=True)
    from_tar = {k: v[-1] for k, v in tree(target / "app" / "media").items()}
    assert from_tar == {k: v[-1] for k, v in tree(odd_site.media).items()}


def test_sha256sum_confirms_the_members_file(odd_site, tmp_path):
    made = odd_site.backup_media()
    subprocess.run(["tar", "-xzf", made, "-C", tmp_path], check=True)
    listing = made.with_name(made.name + ".sha256")
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", listing], cwd=tmp_path, check=True)
    assert listing.read_bytes().count(b"\n") == sum(1 for v in odd_site.tree().values() if len(v) == 4)


@pytest.mark.promise("P5")
def test_links_are_reported_and_never_followed(site, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("private")
    (site.media / "link to file").symlink_to(secret / "key")
    (site.media / "link to directory").symlink_to(secret)
    (site.media / "nowhere").symlink_to("gone")
    os.mkfifo(site.media / "pipe")
    made = site.backup_media()
    with tarfile.open(made) as archive:
        found = {member.name: member.linkname for member in archive if member.issym()}
        names = archive.getnames()
    assert found == {
        "app/media/link to directory": str(secret),
        "app/media/link to file": str(secret / "key"),
        "app/media/nowhere": "gone",
    }
    assert not [name for name in names if name.endswith("/key") or "pipe" in name]
    media = site.json("show", made)["manifest"]["media"]
    assert media["notes"] == ["pipe left out: pipe"]
    assert [link["path"] for link in media["outside"]] == ["link to directory", "link to file", "nowhere"]


def test_an_absent_tree_is_an_error_and_never_an_empty_backup(site):
    shutil.rmtree(site.media)
    done = site.korrigo("backup", "media", code=6)
    assert f"the media directory {site.media} does not exist" in done.err
    assert site.published() == set()


def test_an_empty_tree_is_saved_and_restored_as_empty(site):
    shutil.rmtree(site.media)
    site.media.mkdir()
    made = site.backup_media()
    site.write("late.pdf", b"late")
    site.korrigo("restore", made, "--yes")
    assert site.tree() == {}


def test_a_tree_that_is_gone_is_made_anew(site):
    before = site.tree()
    made = site.backup_media()
    shutil.rmtree(site.media)
    site.korrigo("restore", made, "--yes")
    assert site.tree() == before


def test_a_media_restore_can_be_cancelled(site):
    made = site.backup_media()
    site.write("late.pdf", b"late")
    with nothing_changes(site):
        site.korrigo("restore", made, stdin="no\n", code=5)


def test_plan_counts_the_files_that_vanish_and_come_back_and_change_and_stay(site):
    made = site.backup_media()
    site.write("late.pdf", b"late")
    site.write("pages/p1.jpg", b"changed")
    (site.media / "pages" / "empty.jpg").unlink()
    with nothing_changes(site):
        done = site.korrigo("plan", made)
    assert "1 vanish, 1 come back, 1 change, 2 stay" in done.out


def keep_copies(site, where):
    """Previous copies as restores leave them: ours inside the tree, and beside it the habit of the site's own script."""
    for name in (".before-20260204_030000", ".after-20260204_030001"):
        site.write(f"{where}{name}/copies/old.pdf", b"previous")
    shutil.copytree(site.media, f"{site.media}.pre-restore.1770000000")
    site.write(f"{where}copies/.before-the-exam/kept.pdf", b"an upload")
    site.write(f"{where}copies/.before-20260204_030000", b"a file of this name is an upload")


@pytest.mark.parametrize("where", ["", "inner/"])
def test_previous_copies_are_in_no_backup(site, where):
    """Also where a restore of another media root, a directory of this one, has left them."""
    keep_copies(site, where)
    site.write("pages/new.pdf", b"new")
    with tarfile.open(site.backup_media()) as tar:
        names = tar.getnames()
    assert not [
        name
        for name in names
        if "20260204_03000" in name.rpartition("/")[0] or "pre-restore" in name or "old.pdf" in name
    ]
    archived = {
        f"app/media/{where}copies/.before-the-exam/kept.pdf",
        f"app/media/{where}copies/.before-20260204_030000",
    }
    assert archived | {"app/media/pages/new.pdf"} <= set(names)


def to_the_second(found):
    """The files of a tree as GNU tar's own format keeps them."""
    return {path: (*one[:2], one[2] // 10**9, *one[3:]) for path, one in found.items() if len(one) == 4}


@pytest.mark.contract("T5")
@pytest.mark.parametrize("root", ["app/media", "data", "media", "."])
def test_archives_of_the_former_recipes_restore_too(site, root):
    before = site.tree()
    old = site.home / "media_backup_20260101_030000.tar.gz"
    flags = ["--transform", f"s,^\\.,{root},"] if root != "." else []
    subprocess.run(["tar", "-czf", old, "-C", site.media, *flags, "."], check=True)
    site.write("late.pdf", b"late")
    done = site.korrigo("restore", old, "--yes", "--allow-unsigned")
    assert "cannot be proven" in done.out
    assert "⚠️ Counted: 4 files" in done.out
    assert to_the_second(site.tree()) == to_the_second(before)


@pytest.mark.promise("P2")
def test_an_interrupted_django_restore_is_left_to_the_django_that_can_ask_its_transaction(site):
    made = site.backup_media()
    tree = MediaTree(site.media)
    unfinished.write(tree, unfinished.DjangoRestoreRecord("20260204_030000", "default", site.database, marker="749"))
    (site.media / ".stage-20260204_030000.moving").mkdir()
    with nothing_changes(site):
        done = site.korrigo("restore", made, "--yes", code=4)
        site.korrigo("backup", "db", code=4)
    assert "the Django restore of 20260204_030000 was interrupted" in done.err
    assert "python manage.py restore --recover" in done.err
    with unfinished.alone(tree, "restore"):
        assert "another run is at work on the media" in site.korrigo("backup", "db", code=7).err
    unfinished.remove(tree, "20260204_030000")
    site.korrigo("backup", "db")
    assert not list(site.media.glob(".stage*moving"))
