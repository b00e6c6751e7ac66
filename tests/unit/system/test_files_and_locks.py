"""Private files, complete renames, one run at a time, and the system's errors in words."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from korrigo_backup.errors import KorrigoBackupError, Locked, Refused
from korrigo_backup.run import journal
from korrigo_backup.run.step import silent
from korrigo_backup.system import files, lock

HOLD = """
import sys, time
from pathlib import Path
from korrigo_backup.system import lock
with lock.exclusive(Path(sys.argv[1]), "backup of the database"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    argv = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"held\n"
        yield child
        child.kill()


def test_the_lock_names_its_holder_and_since_when_to_a_second_process(holder, tmp_path):
    words = rf"another run is at work: backup of the database \(process {holder.pid}\) since \d{{4}}-\d\d-\d\dT"
    with pytest.raises(Locked, match=words) as caught, lock.exclusive(tmp_path / "lock", "restore"):
        pass
    assert caught.value.exit_code == 7


@pytest.mark.promise("P2")
def test_a_lock_dies_with_its_process(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock.exclusive(tmp_path / "lock", "restore"):
        assert b"restore" in (tmp_path / "lock").read_bytes()


def test_a_lock_is_free_again_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), lock.exclusive(tmp_path / "lock", "one"):
        raise ZeroDivisionError
    with lock.exclusive(tmp_path / "lock", "a much longer description than before"):
        pass
    with lock.exclusive(tmp_path / "lock", "x"):
        assert (tmp_path / "lock").read_text().startswith("x (process")
        assert "longer" not in (tmp_path / "lock").read_text()


@pytest.mark.promise("P5")
def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "victim").write_text("safe")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(KorrigoBackupError), lock.exclusive(tmp_path / "lock", "x"):
        pass
    assert (tmp_path / "victim").read_text() == "safe"


@pytest.mark.promise("P6")
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_directory_in_place_of_the_lock_or_journal_is_refused_at_once(tmp_path, make):
    make(tmp_path / "lock")
    make(tmp_path / journal.FILE)
    with pytest.raises(KorrigoBackupError) as caught, lock.exclusive(tmp_path / "lock", "backup"):
        pass
    assert "move away the entry of that name" in caught.value.hint
    begun = journal.recorded(tmp_path, journal.SiteName("korrigo"), "backup", "db", listener=silent)
    with pytest.raises(KorrigoBackupError) as caught, begun:
        pass
    assert "move away the entry of that name" in caught.value.hint


@pytest.mark.contract("B8")
@pytest.mark.promise("P7")
@pytest.mark.parametrize("umask", [0, 0o777, 0o022])
def test_files_and_directories_are_private_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        files.private_directory(tmp_path / "a" / "b")
        files.write_private(tmp_path / "a" / "b" / "f", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b" / "f").stat().st_mode) & 0o077 == 0


def test_a_private_file_never_replaces_another_nor_follows_a_link(tmp_path):
    (tmp_path / "f").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("f", "link"):
        with pytest.raises(FileExistsError):
            files.write_private(tmp_path / name, b"new")
    assert (tmp_path / "f").read_text() == "old"
    assert not (tmp_path / "nowhere").exists()


def test_a_rename_never_replaces(tmp_path):
    (tmp_path / "one").write_text("1")
    (tmp_path / "d1").mkdir()
    for target in ("there", "directory", "link"):
        (tmp_path / "there").write_text("2")
        (tmp_path / "directory").mkdir(exist_ok=True)
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to("nowhere")
        for source in ("one", "d1"):
            with pytest.raises(FileExistsError):
                files.rename_new(tmp_path / source, tmp_path / target)
    files.rename_new(tmp_path / "one", tmp_path / "new")
    files.rename_new(tmp_path / "d1", tmp_path / "d2")
    assert (tmp_path / "new").read_text() == "1"
    assert not (tmp_path / "one").exists()


def test_a_link_is_replaced_and_a_file_of_its_name_is_not(tmp_path):
    files.point_link(tmp_path / "latest", "a")
    files.point_link(tmp_path / "latest", "b")
    assert (tmp_path / "latest").readlink().name == "b"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(Refused, match="is not a link") as caught:
        files.point_link(tmp_path / "file", "b")
    assert caught.value.hint == f"move it away: mv {tmp_path}/file {tmp_path}/file.former"
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.promise("P5")
def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="not a regular file"):
        files.open_plain(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        files.open_plain(tmp_path)
    with pytest.raises(OSError, match="symbolic links"):
        files.open_plain(tmp_path / "link")


def test_a_tree_is_removed_without_following_links(tmp_path):
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "f").write_text("safe")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "keep")
    (tmp_path / "link").symlink_to(tmp_path / "keep")
    for name in ("tree", "link", "absent"):
        files.remove_tree(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["keep"]
    assert (tmp_path / "keep" / "f").exists()


@pytest.mark.promise("P8")
@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.ENOSPC, KorrigoBackupError, "make room"),
        (errno.EDQUOT, KorrigoBackupError, "make room"),
        (errno.EFBIG, KorrigoBackupError, "make room"),
        (errno.EACCES, Refused, "run as the user who owns it"),
        (errno.EROFS, Refused, "mount that file system for writing"),
        (errno.EIO, KorrigoBackupError, "disk's health"),
    ],
)
def test_a_system_error_is_reported_with_its_path_and_a_hint(number, kind, hint):
    with pytest.raises(KorrigoBackupError) as caught, files.explained("write the backup", lambda: "as before"):
        raise OSError(number, os.strerror(number), "/backups/x")
    problem = caught.value
    assert type(problem) is kind
    assert problem.message == f"cannot write the backup: {os.strerror(number)}: /backups/x"
    assert hint in problem.hint
    assert problem.state == "as before"


def test_our_own_errors_pass_unchanged():
    with pytest.raises(Locked, match="held"), files.explained("x"):
        raise Locked("held", hint="wait")


def test_a_missing_path_is_removed_also_on_a_read_only_file_system(tmp_path, monkeypatch):
    def read_only(path, *, missing_ok=False):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(type(tmp_path), "unlink", read_only)
    files.remove_tree(tmp_path / "missing")
