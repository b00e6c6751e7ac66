"""The media store without a database: saved from this machine and through a channel, loaded, written to the end."""

import gzip
import hashlib
import io
import os
import sys

import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.media.remote.tree import RemoteTree
from korrigo_backup.media.store import listing, save
from korrigo_backup.media.store.load import load
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.media.walk import TreeEntry
from korrigo_backup.system.run import Command
from korrigo_backup.system.streams import HashingWriter

LONG_AGO = 1_600_000_000
STAMP = "20260204_030000"
NAMES = ("a b", "tab\there", "line\nbreak", "back\\slash", "\udce9", "+target x", " blank ", "é")


def remote(root):
    return RemoteTree(root, lambda *words: Command((sys.executable, *words)))


@pytest.fixture(params=[MediaTree, remote], ids=["here", "remote"])
def tree_at(request):
    """Make a tree of a root: on this machine, or behind a channel."""
    return request.param


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "media"
    root.mkdir()
    for number, name in enumerate(NAMES):
        (root / name).mkdir()
        (root / name / "file").write_bytes(b"%d" % number)
    for number in range(450):  # more than two batches
        (root / "a b" / f"{number:03}").write_bytes(b"page %d" % number)
    (root / "large").write_bytes(os.urandom(9 * 1024 * 1024))
    (root / "dangling").symlink_to("/nowhere\nat all")
    os.link(root / "large", root / "second name")
    os.setxattr(root / "large", "user.odd % name", b"\0")
    for path in root.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def store(tmp_path):
    (tmp_path / "backups").mkdir()
    return MediaStore(tmp_path / "backups")


def saved(tree, store, former=None, *, began_ns=10**19):
    """Save a tree; return the text of the listing, and the proof."""
    before = save.FormerListing(listing.blocks([former], "former"), store, began_ns=began_ns) if former else None
    target = io.BytesIO()
    with store.writing() as writer:
        proof = save.save(tree, writer, HashingWriter(target), root="app/media", name="l", former=before)
    return gzip.decompress(target.getvalue()), proof


def entries(text):
    return [listing.parse(block, "listing") for block in listing.blocks([text], "listing")]


def shape(root):
    return {
        os.fsencode(path.relative_to(root)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(root.rglob("*"))
        if not path.is_fifo() and not path.relative_to(root).parts[0].startswith(".")
    }


def test_both_ways_to_a_tree_write_the_same_listing(root, store):
    assert saved(MediaTree(root), store)[0] == saved(remote(root), store)[0]


def test_names_sizes_links_and_attributes_are_read_back(root, store):
    found = {entry.path: entry for entry in entries(saved(MediaTree(root), store)[0])}
    assert {f"{name}/file" for name in NAMES} <= found.keys()
    assert found["dangling"].target == "/nowhere\nat all"
    assert found["second name"].same_as == "large"
    assert found["large"].extended == {"user.odd % name": b"\0"}
    assert found["large"].links == 2
    assert found["a b/000"].sha256 == hashlib.sha256(b"page 0").hexdigest()
    assert found["a b/000"].mtime_ns == LONG_AGO * 10**9


def test_entries_that_are_no_regular_files_are_named(root, store):
    proof = saved(MediaTree(root), store)[1]
    assert proof.notes == ("pipe left out: pipe",)
    assert [link.path for link in proof.outside] == ["dangling"]


def test_unchanged_files_are_taken_over(root, store, tree_at):
    first, proof = saved(tree_at(root), store)
    again, second = saved(tree_at(root), store, first)
    assert again == first
    assert second.store.taken_over == proof.files - 1  # the second name of a file is none of its own
    assert (second.files, second.bytes) == (proof.files, proof.bytes)


def test_a_changed_file_is_read(root, store, tree_at):
    first, _ = saved(tree_at(root), store)
    (root / "a b" / "100").write_bytes(b"PAGE 100")
    (root / "a b" / "101").unlink()
    (root / "a b" / "100a").write_bytes(b"new")
    text, proof = saved(tree_at(root), store, first)
    assert proof.store.new_files == 2
    found = {entry.path: entry for entry in entries(text)}
    assert found["a b/100"].sha256 == hashlib.sha256(b"PAGE 100").hexdigest()
    assert "a b/101" not in found
    assert store.path(found["a b/100a"].word).read_bytes() == b"new"


def test_a_file_that_changed_shortly_before_the_last_backup_is_read(root, store):
    first, _ = saved(MediaTree(root), store)
    newest = max(path.lstat().st_ctime_ns for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    all_at_rest, not_all = newest + save.REST_NS + 1, newest + save.REST_NS
    assert saved(MediaTree(root), store, first, began_ns=all_at_rest)[1].store.taken_over == 459
    assert saved(MediaTree(root), store, first, began_ns=not_all)[1].store.taken_over < 459


def test_a_restore_writes_the_tree(root, store, tree_at, tmp_path):
    text, _ = saved(MediaTree(root), store)
    tree = tree_at(tmp_path / "new")
    stage = tree.stage(STAMP)
    done = load(entries(text), store, stage, trusted=True)
    stage.finish()
    assert done.files == 460
    assert shape(tmp_path / "new" / f".stage-{STAMP}") == shape(root)


def test_unchanged_live_files_are_linked_if_that_is_allowed(root, store, tree_at):
    text, _ = saved(MediaTree(root), store)
    (root / "a b" / "100").write_bytes(b"damaged.")
    (root / "a b" / "101").unlink()
    stage = tree_at(root).stage(STAMP)
    load(entries(text), store, stage, trusted=True, at_rest_before_ns=10**19, link=True)
    stage.finish()
    new = root / f".stage-{STAMP}" / "a b"
    assert (new / "100").read_bytes() == b"page 100"
    assert (new / "101").read_bytes() == b"page 101"
    assert (new / "102").stat().st_ino == (root / "a b" / "102").stat().st_ino
    assert (new / "100").stat().st_ino != (root / "a b" / "100").stat().st_ino


def test_a_live_file_that_changed_too_late_is_written(root, store):
    text, _ = saved(MediaTree(root), store)
    stage = MediaTree(root).stage(STAMP)
    oldest = min(path.lstat().st_ctime_ns for path in root.rglob("*"))
    load(entries(text), store, stage, trusted=True, at_rest_before_ns=oldest, link=True)
    stage.finish()
    assert (root / f".stage-{STAMP}" / "a b" / "102").stat().st_ino != (root / "a b" / "102").stat().st_ino


def test_digests_of_unchanged_files_are_those_of_the_listing(root, store, tree_at):
    text, _ = saved(MediaTree(root), store)
    (root / "a b" / "100").write_bytes(b"other")
    name = "a b/102"
    store.path(hashlib.sha256(b"page 101").hexdigest()).unlink()  # then the listing alone is no proof
    known = save.FormerListing(listing.blocks([text], "l"), store, began_ns=10**19)
    asked = []

    def knows(entry):
        found = known.digest(entry)
        asked.append((entry.path, found))
        return found

    found = dict(tree_at(root).digests(knows))
    assert found == dict(MediaTree(root).digests())
    assert dict(asked)[name] == hashlib.sha256(b"page 102").hexdigest()
    assert {path for path, digest in asked if digest is None} >= {"a b/100", "a b/101", "second name"}


def test_no_file_of_an_untrusted_listing_is_linked(root, store):
    text, _ = saved(MediaTree(root), store)
    stage = MediaTree(root).stage(STAMP)
    load(entries(text), store, stage, trusted=False, at_rest_before_ns=10**19, link=True)
    stage.finish()
    staged = root / f".stage-{STAMP}"
    assert (staged / "large").stat().st_ino != (root / "large").stat().st_ino
    assert not (staged / "dangling").is_symlink()  # it leads out


def test_stored_files_never_change(root, store):
    saved(MediaTree(root), store)
    before = {path: path.stat().st_mtime_ns for path in store.directory.glob("??/*")}
    (root / "again").write_bytes(b"page 0")
    saved(MediaTree(root), store)
    after = {path: path.stat().st_mtime_ns for path in store.directory.glob("??/*")}
    assert before == after


def test_leftovers_of_a_killed_run_are_removed(root, store):
    (store.directory / ".partial").mkdir(parents=True)
    (store.directory / ".partial" / "7").write_bytes(b"half")
    saved(MediaTree(root), store)
    assert not (store.directory / ".partial").exists()


@pytest.mark.parametrize(
    "text",
    [
        b"0" * 64 + b" 3 1.0 644 0:0 - a",
        b"0" * 63 + b"g 3 1.0 644 0:0 - a\n",
        b"directory 0 1.0 644 0:0 a\n",
        b"link 0 1.0 777 0:0 - a\n",
        b"directory 0 1.0 777 0:0 - a\n+target b\n",
        b"0" * 64 + b" -3 1.0 644 0:0 - a\n",
        b"0" * 64 + b" 3 1.0 644 0:0 - a\n+xattr user.a ?\n",
        b"0" * 64 + b" 3 1.0 644 0:0 - a\n+more b\n",
    ],
)
def test_an_invalid_line_is_refused(text):
    with pytest.raises(ProofFailed, match="not of a media listing"):
        entries(text)


def test_a_listing_out_of_order_is_refused():
    text = b"".join(b"%064d 3 1.0 644 0:0 - %s\n" % (0, name) for name in (b"b", b"a"))
    with pytest.raises(ProofFailed):
        list(listing.read(io.BytesIO(gzip.compress(text)), "listing"))


def test_a_path_of_a_listing_that_leads_out_is_refused(store, tmp_path):
    (tmp_path / "new").mkdir()
    name = hashlib.sha256(b"x").hexdigest()
    store.path(name).parent.mkdir(parents=True)
    store.path(name).write_bytes(b"x")
    stage = MediaTree(tmp_path / "new").stage(STAMP)
    block = name.encode() + b" 1 1.0 644 0:0 - ../out\n"
    with pytest.raises(Exception, match="not a path inside"):
        load(entries(block), store, stage, trusted=True)
    assert not (tmp_path / "out").exists()
    stage.close()


def test_a_file_that_is_read_while_it_goes_is_left_out(root, store, monkeypatch):
    opened = TreeEntry.open

    def gone(entry):
        if entry.path == "large":
            (root / "large").unlink()
        return opened(entry)

    monkeypatch.setattr(TreeEntry, "open", gone)
    text, proof = saved(MediaTree(root), store)
    assert "large" not in {entry.path for entry in entries(text)}
    assert "second name" in {entry.path for entry in entries(text)}
    assert not proof.unstable
