"""A media tree behind a container is read and written as one on this machine; here the way to it is a process alone."""

import hashlib
import io
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from korrigo_backup.artifact.manifest import MediaLink
from korrigo_backup.compose.media import interpreter
from korrigo_backup.errors import KorrigoBackupError, Locked, NotFound, ProofFailed, Refused, Unreachable
from korrigo_backup.media import archive as media_format
from korrigo_backup.media.remote import agent as media_agent
from korrigo_backup.media.remote.channel import WORDS, text
from korrigo_backup.media.remote.frames import send_value
from korrigo_backup.media.remote.tree import RemoteTree
from korrigo_backup.media.single_files import ABSENT, IRREGULAR, OTHER, SAME, PutChange, PutFile, WantedFile
from korrigo_backup.media.staging import GivenProperties
from korrigo_backup.media.tree import RESTORE, MediaTree
from korrigo_backup.system.run import Command
from korrigo_backup.system.streams import HashingWriter

STAMP = "20260204_030000"
LARGE = 9 * 1024 * 1024
"""More than what is read at once, and than what pipes hold."""

LONG_AGO = 1_600_000_000


def python(*words):
    return Command((sys.executable, *words))


def through(script):
    """Return a way whose command goes through a line of shell, "$@" being it."""
    return lambda *words: Command(("sh", "-c", script, "sh", sys.executable, *words))


@pytest.fixture
def root(tmp_path):
    """A tree with what file systems allow."""
    root = tmp_path / "media"
    (root / "scans").mkdir(parents=True)
    (root / "empty").mkdir(mode=0o750)
    (root / "scans" / "1.jpg").write_bytes(b"one")
    (root / "scans" / "2 é\n.jpg").write_bytes(b"")
    (root / "private").write_bytes(b"mode")
    (root / "private").chmod(0o640)
    (root / "large").write_bytes(os.urandom(LARGE))
    for path in root.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    with open(os.fsencode(root) + b"/caf\xe9", "wb") as file:
        file.write(b"latin 1")
    (root / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def tree(root):
    return RemoteTree(root, python)


def archived(tree):
    archive, listing = io.BytesIO(), io.BytesIO()
    proof = media_format.create(
        tree, HashingWriter(archive), HashingWriter(listing), root="app/media", members_name="m.sha256"
    )
    return archive, listing, proof


def shape(root):
    """Everything about a tree that a restore keeps."""
    return {
        os.fsencode(path): (
            path.lstat().st_mode,
            path.lstat().st_uid,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(root.rglob("*"))
        if not path.is_symlink() and not path.is_fifo() and not path.relative_to(root).parts[0].startswith(".")
    }


def test_the_archive_is_the_same_to_the_byte(root, tree):
    near, far = archived(MediaTree(root)), archived(tree)
    assert far[0].getvalue() == near[0].getvalue()
    assert far[1].getvalue() == near[1].getvalue()
    assert far[2] == near[2]
    assert far[2].files == 5
    assert far[2].notes == ("pipe left out: pipe",)
    assert far[2].outside == (MediaLink("link", "/etc/passwd"),)


def test_questions_have_the_same_answers(root, tree):
    near = MediaTree(root)
    assert list(tree.digests()) == list(near.digests())
    assert list(tree.opened()) == list(near.opened())
    assert [(e.path, e.odd, e.is_file) for e in tree.walk()] == [(e.path, e.odd, e.is_file) for e in near.walk()]
    assert sorted(tree.names()) == sorted(near.names())
    assert tree.exists()
    assert not tree.is_held()
    with near.held():
        assert tree.is_held()
    with pytest.raises(NotFound, match="does not exist"):
        RemoteTree(root / "nothing", python).require()
    with pytest.raises(FileNotFoundError):
        list(RemoteTree(root / "nothing", python).walk())
    (root / f".journal-{STAMP}").write_bytes(b"\xff record")
    assert tree.record(STAMP) == b"\xff record"


@pytest.mark.parametrize("make", [MediaTree, lambda root: RemoteTree(root, python)])
def test_files_are_removed_and_their_directories_keep_their_times(root, make):
    before = (root / "scans").stat().st_mtime_ns
    tree = make(root)
    gone = ["scans/1.jpg", "scans/never there", "nowhere/1.jpg", "link", os.fsdecode(b"caf\xe9")]
    assert tree.remove_files(gone) == 3
    left = {entry.path for entry in tree.walk() if not entry.is_directory}
    assert left == {"scans/2 é\n.jpg", "private", "large", "pipe"}
    assert (root / "scans").stat().st_mtime_ns == before
    with pytest.raises(Refused):
        tree.remove_files(["../outside"])
    (root / "inside").symlink_to(root / "scans")
    assert tree.remove_files(["inside/2 é\n.jpg"]) == 0
    assert (root / "scans" / "2 é\n.jpg").exists()


@pytest.mark.parametrize("where", ["", "inner/"])
def test_previous_copies_do_not_come_out_of_the_container(root, tree, where):
    previous = root / f"{where}.before-{STAMP}"
    previous.mkdir(parents=True)
    (previous / "old.pdf").write_bytes(b"previous")
    _, listing, _ = archived(tree)
    assert b"private" in listing.getvalue()
    assert b"old.pdf" not in listing.getvalue()
    assert not [entry.path for entry in tree.walk() if ".before-" in entry.path]


def test_staged_and_swapped_media_equal_the_archive_and_can_be_undone(root, tree):
    saved = shape(root)
    archive, listing, _ = archived(tree)
    (root / "private").unlink()
    (root / "later").write_bytes(b"later")
    (root / "large").write_bytes(b"damaged")
    changed = shape(root)
    archive.seek(0)
    listing.seek(0)
    staging = tree.stage(STAMP)
    reading = media_format.Reading("app/media", trusted=True, owners=True)
    media_format.load(archive, listing, "archive", reading=reading, staging=staging)
    staging.finish()
    assert shape(root) == changed
    assert tree.unfinished() == [(STAMP, RESTORE)]
    previous = tree.swap(STAMP)
    assert shape(root) == saved
    assert previous == root / f".before-{STAMP}"
    assert tree.kept("before") == [STAMP]
    assert dict(tree.aside("before", STAMP).digests())["later"] == hashlib.sha256(b"later").hexdigest()
    tree.undo_swap(STAMP)
    assert shape(root) == changed
    tree.swap(STAMP)
    previous.rename(previous.with_name(f"{previous.name}.partial"))
    assert tree.half_discarded() == [("before", STAMP)]
    tree.discard_kept("before", STAMP)
    assert shape(root) == saved
    tree.stage(STAMP).finish()
    tree.discard_stage(STAMP)
    assert not [name for name in tree.names() if name.startswith(".")]


@pytest.mark.promise("P5")
@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", f".before-{STAMP}/x", ""])
def test_a_path_that_leads_out_is_refused_there(root, tree, path):
    staging = tree.stage(STAMP)
    with pytest.raises(Refused, match="not a path inside the media tree"):
        write(staging, path)
    staging.close()
    assert {child.name for child in root.parent.iterdir()} == {"media"}


def test_an_error_of_the_remote_program_is_raised_with_its_local_type(root, tree):
    staging = tree.stage(STAMP)
    with pytest.raises(FileExistsError):
        write(staging, "twice", "twice")
    staging.close()
    with pytest.raises(FileExistsError):
        tree.stage(STAMP).finish()


def write(staging, *paths):
    for path in paths:
        with staging.create(path) as file:
            file.write(b"content")
            staging.settle(file, GivenProperties(0o644, 0))
    staging.finish()


@pytest.mark.promise("P1")
def test_a_large_file_that_grows_while_it_streams_is_noticed(root, tree):
    for entry, file in tree.contents():
        if entry.path == "large":
            size = len(file.read(1000))
            with (root / "large").open("ab") as growing:
                growing.write(b"more")
            while piece := file.read(100_000):
                size += len(piece)
            assert size == file.size == LARGE
            assert file.streamed
            assert not file.is_stable()
        elif file:
            assert file.is_stable()


@pytest.mark.promise("P1")
def test_a_byte_that_is_changed_on_the_way_is_noticed(root):
    (root / "private").write_bytes(b"XXXXXXXXXXXXXXXXX")
    with pytest.raises(ProofFailed, match="differs from the file that was read in the container"):
        archived(RemoteTree(root, through('"$@" | tr X Y')))


def test_a_stream_that_is_left_ends_the_process_there(root):
    mark = f"KORRIGO_TEST_MARK={root}"
    tree = RemoteTree(root, lambda *words: Command(("env", mark, sys.executable, *words)))
    entries: Any = tree.contents()
    next(entries)
    assert running(mark)
    entries.close()
    deadline = time.monotonic() + 20
    while running(mark):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.promise("P2")
def test_the_next_client_removes_the_stage_of_a_killed_client(root, tree):
    before = shape(root)
    staging = tree.stage(STAMP)
    with staging.create("new") as file:
        file.write(bytes(LARGE))
    staging.close()
    assert shape(root) == before
    assert f".stage-{STAMP}" not in tree.names()
    tree.discard_stage(STAMP)
    assert not [name for name in tree.names() if name.startswith(".")]


@pytest.mark.promise("P2")
def test_a_swap_whose_client_is_gone_is_not_made(root, tree):
    write(tree.stage(STAMP), "new")
    before = shape(root)
    request = {"do": "swap", "root": str(root), "stamp": STAMP, "move": {"source": "stage", "kept": "before"}}
    with subprocess.Popen([sys.executable, *WORDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as there:
        assert there.stdin
        assert there.stdout
        with MediaTree(root).held():  # another change is under way
            there.stdin.write(b"%d\n" % len(text()) + text())
            send_value(there.stdin, request)
            there.stdin.close()
        assert there.wait(20) == 1
        assert there.stdout.read() == b""
    assert shape(root) == before


def running(mark):
    """Return the processes that have a mark in their environment."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if mark.encode() in Path("/proc", number, "environ").read_bytes():
                found.append(number)
    return found


def test_another_change_is_waited_for_but_not_for_ever(root, tree, monkeypatch):
    monkeypatch.setattr(media_agent, "PATIENCE", 0.2)
    with MediaTree(root).held(), pytest.raises(Locked, match="another run"), media_agent._held(MediaTree(root)):
        pass


@pytest.mark.promise("P8")
@pytest.mark.parametrize(
    ("way", "error", "words"),
    [
        (lambda *_: Command(("sh", "-c", "echo no such service >&2; exit 1")), Unreachable, "no such service"),
        (lambda *_: Command(("false",)), Unreachable, "ended with status 1"),
        (through('echo hello; exec "$@"'), KorrigoBackupError, "another program there writes"),
    ],
)
def test_a_failing_remote_command_is_reported_with_a_hint(root, way, error, words):
    with pytest.raises(error, match=words) as raised:
        RemoteTree(root, way).exists()
    assert "Python" in raised.value.hint
    with pytest.raises(error, match=words):
        RemoteTree(root, way).stage(STAMP).finish()


def test_python_is_called_there_as_for_manage_py():
    assert interpreter(("python", "manage.py")) == ("python",)
    assert interpreter(("poetry", "run", "python", "-u", "app/manage.py")) == ("poetry", "run", "python", "-u")
    assert interpreter(("./manage.py",)) == ("python3",)
    assert interpreter(("django-admin",)) == ("python3",)


def put_change(single, root, stamp, replaced=()):
    """Stage two files below a new directory, and return the change that puts them in their places."""
    stage = MediaTree(root).stage(stamp)
    for path in ("new/a.pdf", "scans/1.jpg"):
        with stage.create(path) as file:
            file.write(path.encode())
            stage.settle(file, GivenProperties(0o640, LONG_AGO))
    stage.finish()
    stage.close()
    paths = ["new/a.pdf", *replaced]
    sums = [hashlib.sha256(path.encode()).hexdigest() for path in paths]
    files = tuple(map(PutFile, paths, sums, single.staged(stamp, paths)))
    inodes = {path: (root / path).stat().st_ino for path in replaced}
    return PutChange(stamp, files, single.missing_directories(["new/a.pdf"], "hint"), inodes)


def test_single_files_are_compared_there(tree, root):
    one = hashlib.sha256(b"one").hexdigest()
    info = (root / "scans" / "1.jpg").stat()
    wanted = [
        WantedFile("gone.pdf", one),
        WantedFile("scans/1.jpg", one, 3),
        WantedFile("scans/1.jpg", "0" * 64, info.st_size, info.st_mtime_ns, read=False),
        WantedFile("scans/1.jpg", "0" * 64, 3),
        WantedFile("link", one),
    ]
    found = tree.single_files.compare(wanted)
    assert [state for state, _ in found] == [ABSENT, SAME, SAME, OTHER, IRREGULAR]
    assert found == MediaTree(root).single_files.compare(wanted)
    assert found[3][1] == info.st_ino


def test_single_files_are_put_there_and_taken_away(tree, root):
    before = shape(root)
    single = tree.single_files
    change = put_change(single, root, STAMP, replaced=["scans/1.jpg"])
    single.put(change)
    tree.discard_stage(STAMP)
    assert (root / "new" / "a.pdf").read_bytes() == b"new/a.pdf"
    assert (root / "scans" / "1.jpg").read_bytes() == b"scans/1.jpg"
    assert single.changed(change) == []
    assert single.take_away(change) == []
    single.discard_former(STAMP)
    assert shape(root).keys() == before.keys()
    assert (root / "scans" / "1.jpg").read_bytes() == b"one"


def test_a_link_is_compared_put_and_taken_away_there(tree, root):
    single, target = tree.single_files, "../scans/ä 1.jpg"
    wanted = [WantedFile("links/a", "", target=target), WantedFile("links/b", "", target=target)]
    stage = MediaTree(root).stage(STAMP)
    stage.add_directory("links", GivenProperties(0o755, LONG_AGO))
    stage.add_link("links/a", target, mtime_ns=LONG_AGO)
    stage.finish()
    stage.close()
    (inode,) = single.staged(STAMP, ["links/a"])
    change = PutChange(STAMP, (PutFile("links/a", "", inode, target),), single.missing_directories(["links/a"], "hint"))
    assert [found for found, _ in single.compare(wanted)] == [ABSENT, ABSENT]
    single.put(change)
    tree.discard_stage(STAMP)
    (root / "links" / "b").symlink_to("elsewhere")
    assert [found for found, _ in single.compare(wanted)] == [SAME, IRREGULAR]
    assert single.changed(change) == []
    assert single.take_away(change) == []
    assert sorted(path.name for path in (root / "links").iterdir()) == ["b"]


def test_a_tree_is_asked_there_whether_it_can_be_written(tree, root):
    tree.require_writable(["new/a.pdf"], swap=True)
    (root / ".before-20260504_120000").mkdir()
    tree.require_writable(swap=True, kept=".before-20260504_120000")
    tree.require_writable()


def test_a_file_that_was_changed_there_stays(tree, root):
    change = put_change(tree.single_files, root, STAMP)
    tree.single_files.put(change)
    (root / "new" / "a.pdf").write_bytes(b"of the site")
    assert tree.single_files.changed(change) == ["new/a.pdf"]
    assert tree.single_files.take_away(change) == ["new/a.pdf"]
    assert (root / "new" / "a.pdf").read_bytes() == b"of the site"


def test_a_name_that_is_taken_there_is_not_overwritten(tree, root):
    change = put_change(tree.single_files, root, STAMP)
    (root / "new").mkdir()
    (root / "new" / "a.pdf").write_bytes(b"of the site")
    with pytest.raises(FileExistsError):
        tree.single_files.put(change)
    assert (root / "new" / "a.pdf").read_bytes() == b"of the site"


def test_a_change_of_many_files_is_sent_in_parts(tree, root, monkeypatch):
    monkeypatch.setattr("korrigo_backup.media.remote.single_files._BATCH", 1)
    before = shape(root).keys()
    change = put_change(tree.single_files, root, STAMP, replaced=["scans/1.jpg"])
    tree.single_files.put(change)
    assert tree.single_files.take_away(change) == []
    tree.single_files.discard_former(STAMP)
    tree.discard_stage(STAMP)
    assert shape(root).keys() == before
