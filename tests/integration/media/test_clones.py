"""Unchanged live files in a restore: on a file system that can share blocks they are cloned, and proven by reading."""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from korrigo_backup.media.remote.tree import RemoteTree
from korrigo_backup.media.reuse import LiveFile
from korrigo_backup.media.store import listing, save
from korrigo_backup.media.store.load import load
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.system.run import Command
from korrigo_backup.system.streams import HashingWriter
from korrigo_backup.verify import media_source
from sandbox import tree

STAMP = "20260204_030000"
ALL_AT_REST = 10**19
SIZE = 400 * 1024 * 1024
"""Bytes of an image: XFS refuses less than 300 MB."""


@pytest.fixture(params=["xfs", "btrfs"])
def place(request, tmp_path):
    """A directory on a file system that shares blocks."""
    make = f"mkfs.{request.param}"
    if os.geteuid() or not shutil.which(make):
        pytest.skip(f"needs root and {make} (apt-get install xfsprogs btrfs-progs)")
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    with image.open("wb") as file:
        file.truncate(SIZE)
    mounted.mkdir()
    subprocess.run([make, "-q", image], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", image, mounted], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no {request.param} can be mounted here: {done.stderr.strip()}")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)


@pytest.fixture(
    params=[MediaTree, lambda root: RemoteTree(root, lambda *words: Command((sys.executable, *words)))],
    ids=["here", "remote"],
)
def live(request, place):
    """A tree of which the store holds all files."""
    root = place / "media"
    (root / "a").mkdir(parents=True)
    for number in range(5):
        (root / "a" / f"{number}").write_bytes(os.urandom(200_000))
    (root / "a" / "0").chmod(0o640)
    os.chown(root / "a" / "1", 1234, 1235)
    os.setxattr(root / "a" / "2", "user.of the site", b"\0value")
    return request.param(root)


@pytest.fixture
def saved(live, tmp_path):
    """The entries of a backup of the tree, and its store."""
    (tmp_path / "backups").mkdir()
    store = MediaStore(tmp_path / "backups")
    target = io.BytesIO()
    with store.writing() as writer:
        save.save(live, writer, HashingWriter(target), root="media", name="l")
    pieces = [gzip.decompress(target.getvalue())]
    return [listing.parse(block, "l") for block in listing.blocks(pieces, "l")], store


def is_shared(path):
    return "shared" in subprocess.run(["filefrag", "-v", path], check=True, capture_output=True, text=True).stdout


def staged(live, entries, store):
    stage = live.stage(STAMP)
    done = load(entries, store, stage, trusted=True, at_rest_before_ns=ALL_AT_REST)
    assert not stage.finish().counts
    return live.root / f".stage-{STAMP}", done


def test_unchanged_files_share_their_blocks_and_keep_their_properties(live, saved):
    before = tree(live.root)
    (live.root / "a" / "4").write_bytes(b"damaged")
    new, done = staged(live, *saved)
    assert tree(new) == before
    assert [is_shared(new / "a" / f"{number}") for number in range(5)] == [True] * 4 + [False]
    assert (done.files, done.unread) == (5, 0)
    assert (new / "a" / "0").stat().st_mode & 0o7777 == 0o640
    assert ((new / "a" / "1").stat().st_uid, (new / "a" / "1").stat().st_gid) == (1234, 1235)
    assert os.getxattr(new / "a" / "2", "user.of the site") == b"\0value"


def test_a_write_to_a_restored_file_does_not_change_the_file_of_before(live, saved):
    new, _ = staged(live, *saved)
    before = (live.root / "a" / "3").read_bytes()
    with (new / "a" / "3").open("r+b") as file:
        file.write(b"written in place")
    assert (live.root / "a" / "3").read_bytes() == before


def test_a_file_damaged_on_the_disk_is_written_from_the_store(live, saved):
    entries, store = saved
    before = (live.root / "a" / "3").read_bytes()
    (live.root / "a" / "3").write_bytes(bytes(len(before)))
    info = (live.root / "a" / "3").stat()
    seen = {"state": (info.st_ctime_ns, info.st_ino), "mtime_ns": info.st_mtime_ns}
    entries = [replace(entry, **seen) if entry.path == "a/3" else entry for entry in entries]
    new, _ = staged(live, entries, store)
    assert (new / "a" / "3").read_bytes() == before
    assert not is_shared(new / "a" / "3")
    assert is_shared(new / "a" / "2")


def test_a_path_through_a_link_is_never_taken_over(live, place):
    (place / "outside").mkdir()
    (place / "outside" / "file").write_bytes(b"outside")
    (live.root / "link").symlink_to(place / "outside")
    info = (place / "outside" / "file").stat()
    digest = hashlib.sha256(b"outside").hexdigest()
    file = LiveFile("link/file", info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, digest)
    stage = live.stage(STAMP)
    assert stage.take_over([file], link=False) == [False]
    assert stage.take_over([file], link=True) == [False]
    stage.close()


def test_a_restore_clones_by_itself(site, place, monkeypatch):
    monkeypatch.setattr(save, "REST_NS", -10_000_000_000)
    monkeypatch.setattr(media_source, "REST_NS", -10_000_000_000)
    shutil.copytree(site.media, place / "media", copy_function=shutil.copy2)
    shutil.rmtree(site.media)
    site.media.symlink_to(place / "media")
    (site.home / "korrigo-backup.toml").write_text("[media]\nstore = true\n")
    before = tree(place / "media")
    path = site.backup_media()
    site.write("pages/p1.jpg", b"damaged")
    site.restore(path)
    assert tree(place / "media") == before
    assert is_shared(place / "media" / "copies/2026/scan 2.pdf")
