"""Borders of file systems, and file systems that lack links or modes."""

import errno
import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from korrigo_backup.errors import Refused
from korrigo_backup.media.staging import GivenProperties
from korrigo_backup.media.tree import REDO, RESTORE, MediaTree
from korrigo_backup.system import files
from korrigo_backup.system.abilities import try_out
from korrigo_backup.system.mounts import file_system_of, is_mount, mounts_below

STAMP = "20260204_030000"


@contextmanager
def mounted(*words):
    """Mount something at the last of `words` while the block runs."""
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", words[-1]], check=True)


@pytest.fixture(params=["tmpfs", "bind"])
def mount(request, tmp_path):
    """A directory with another file system mounted two levels down, under a name with a space."""
    point = tmp_path / "tree" / "sub" / "a b"
    point.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = ["-t", "tmpfs", "tmpfs"] if request.param == "tmpfs" else ["--bind", elsewhere]
    with mounted(*words, point):
        (point / "precious").write_bytes(b"x")
        yield point


@pytest.mark.promise("P10")
def test_remove_tree_refuses_a_tree_with_a_mount_inside(mount, tmp_path):
    assert mounts_below(tmp_path / "tree") == ["sub/a b"]
    assert is_mount(mount)
    (tmp_path / "tree" / "file").write_bytes(b"ours")
    with pytest.raises(Refused, match=r"mounted at .*a b") as caught:
        files.remove_tree(tmp_path / "tree")
    assert f"umount {mount}" in caught.value.hint
    assert (mount / "precious").exists()
    assert (tmp_path / "tree" / "file").exists()


@pytest.mark.promise("P10")
def test_a_removal_stops_at_a_device_that_is_not_in_the_table_of_mounts(mount, tmp_path, monkeypatch):
    if file_system_of(mount) == file_system_of(tmp_path):
        return  # a bind mount of one device is known by the table alone
    monkeypatch.setattr(files, "mounts_below", lambda _: [])
    with pytest.raises(OSError, match="another file system"):
        files.remove_tree(tmp_path / "tree")
    assert (mount / "precious").exists()


@pytest.mark.promise("P10")
def test_a_live_tree_with_a_mount_is_not_swapped_nor_a_kept_one_removed(mount, tmp_path):
    tree = MediaTree(tmp_path / "tree")
    tree.stage(STAMP).finish()
    for change in (lambda: tree.announce(STAMP, RESTORE), lambda: tree.swap(STAMP), lambda: tree.swap(STAMP, REDO)):
        before = sorted(tree.names())
        with pytest.raises(Refused, match="mounted inside the media tree"):
            change()
        assert sorted(tree.names()) == before
    previous = tmp_path / "tree" / f".before-{STAMP}"
    (tmp_path / "tree" / "sub").rename(previous)
    try:
        assert tree.facts().live_mounts == ()
        with pytest.raises(Refused, match="mounted at"):
            tree.discard_kept("before", STAMP)
        assert (previous / "a b" / "precious").exists()
    finally:
        previous.rename(tmp_path / "tree" / "sub")


def test_a_root_that_is_a_mount_itself_is_no_border(mount):
    tree = MediaTree(mount)
    assert tree.facts().mounts == ()
    staging = tree.stage(STAMP)
    with staging.create("new") as file:
        staging.settle(file, GivenProperties(0o644, 0))
    staging.finish()
    tree.swap(STAMP)
    assert (mount / f".before-{STAMP}" / "precious").exists()
    tree.discard_kept("before", STAMP)
    assert [path.name for path in mount.iterdir()] == ["new"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_hard_links_a_rename_gives_the_name_and_never_replaces(number, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "new").write_bytes(b"new")
    files.rename_new(tmp_path / "new", tmp_path / "name")
    assert (tmp_path / "name").read_bytes() == b"new"
    (tmp_path / "later").write_bytes(b"later")
    with pytest.raises(FileExistsError):
        files.rename_new(tmp_path / "later", tmp_path / "name")
    assert (tmp_path / "name").read_bytes() == b"new"
    assert (tmp_path / "later").read_bytes() == b"later"


def test_rename_new_does_not_replace_a_directory_created_after_its_check(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with pytest.raises(FileExistsError):
        files.rename_new(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "one").is_dir()


def test_the_abilities_of_a_file_system_are_found_by_trying(tmp_path):
    found = try_out(tmp_path, ".partial-doctor")
    assert (found.hard_links, found.symbolic_links, found.modes) == (True, True, True)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def exfat(tmp_path):
    """A real exFAT, by FUSE."""
    for program in ("mkfs.exfat", "mount.exfat-fuse", "losetup"):
        if not shutil.which(program):
            pytest.skip(f"there is no {program} (apt-get install exfat-fuse exfatprogs)")
    image, place = tmp_path / "image", tmp_path / "usb"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(16 * 1024 * 1024)
    subprocess.run(["mkfs.exfat", image], check=True, capture_output=True)
    loop = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=False)
    if loop.returncode:
        pytest.skip(f"no loop devices here: {loop.stderr.strip()}")
    device = loop.stdout.strip()
    try:
        done = subprocess.run(["mount.exfat-fuse", device, place], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no FUSE here: {done.stderr.strip()}")
        yield place
        subprocess.run(["umount", place], check=True)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def test_a_file_is_published_on_a_file_system_without_links_and_modes(exfat):
    found = try_out(exfat, ".partial-doctor")
    assert (found.hard_links, found.symbolic_links, found.modes) == (False, False, False)
    files.write_private(exfat / "draft", b"whole")
    files.rename_new(exfat / "draft", exfat / "backup")
    assert not files.point_link(exfat / "latest", "backup")
    files.write_private(exfat / "draft", b"other")
    with pytest.raises(FileExistsError):
        files.rename_new(exfat / "draft", exfat / "backup")
    assert (exfat / "backup").read_bytes() == b"whole"
