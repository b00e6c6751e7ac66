"""The throw-away server: without root's powers however the machine forbids them, and nothing left behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from korrigo_backup.errors import UsageError
from korrigo_backup.postgres import throwaway
from korrigo_backup.postgres.throwaway import OTHER_USER, ThrowawayServer, embedded_bindir
from sandbox import connect
from servers import bindir

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user needs no way around root")
KEPT = """
import sys, time
from pathlib import Path
from korrigo_backup.postgres.throwaway import ThrowawayServer
with ThrowawayServer(Path(sys.argv[1]), home=Path(sys.argv[2])):
    print("up", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def temporary(monkeypatch):
    """A directory for temporary files of this test alone; its path is short, for sockets."""
    with tempfile.TemporaryDirectory(prefix="k") as directory:
        monkeypatch.setenv("TMPDIR", directory)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(directory)
        monkeypatch.setattr(tempfile, "tempdir", None)


@as_root
def test_root_needs_no_user_namespace(tmp_path):
    """Docker's default allows root none, and a chroot never does; programs and data may be below /root."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = embedded_bindir().parents[1]
    for directory in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(directory, closed / directory.name)
    programs = closed / embedded_bindir().relative_to(package.parent)
    with ThrowawayServer(programs, home=closed / "server", ways=(OTHER_USER,)) as server, connect(server) as link:
        assert link.execute("SELECT 1").fetchone() == (1,)
        processes = [Path(f"/proc/{pid}") for pid in _servers_of(server.home)]
        assert processes
        assert all(process.stat().st_uid != 0 for process in processes)
    assert closed.stat().st_mode & 0o777 == 0o700
    assert not _servers_of(server.home)


def test_a_deep_directory_for_temporary_files_is_not_too_long_for_sockets(temporary, monkeypatch):
    deep = temporary / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with ThrowawayServer(bindir()) as server, connect(server) as link:
        assert link.execute("SELECT 1").fetchone() == (1,)
        sockets = Path(server.access().host)
    assert not list(deep.iterdir())
    assert not sockets.exists()


@as_root
def test_a_throwaway_server_that_cannot_change_user_is_refused_and_leaves_no_files(temporary):
    with pytest.raises(UsageError) as refused:
        ThrowawayServer(bindir(), ways=(("false",), ("no-such-program",)))
    assert "ordinary user" in refused.value.hint
    assert not list(temporary.iterdir())


def test_what_a_killed_run_left_is_ended_by_the_next(tmp_path, temporary):
    home = tmp_path / "server"
    argv = [sys.executable, "-c", KEPT, str(bindir()), str(home)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    (left,) = _servers_of(home)
    with ThrowawayServer(bindir(), home=home) as server:
        assert left not in _servers_of(home)
        assert len(list(temporary.iterdir())) == 1, "the sockets of the killed run are still there"
        with connect(server) as link:
            link.execute("SELECT 1")
    assert not list(temporary.iterdir())
    assert not _servers_of(home)


@pytest.mark.parametrize("program", [["sleep", "60"], [sys.executable, "-c", KEPT]])
def test_another_process_with_the_number_that_a_power_cut_left_is_not_touched(tmp_path, temporary, program):
    """A stranger, or the throw-away server of somebody else."""
    home, other = tmp_path / "server", tmp_path / "other"
    (home / "data").mkdir(parents=True)
    (home / "data" / "PG_VERSION").write_text("15\n")
    arguments = [str(bindir()), str(other)] if program[0] == sys.executable else []
    with subprocess.Popen([*program, *arguments], stdout=subprocess.PIPE) as child:
        if arguments:
            assert child.stdout
            child.stdout.readline()
        pid = _servers_of(other)[0] if arguments else child.pid
        note = home / "data" / "postmaster.pid"
        note.write_text(f"{pid}\n{home / 'data'}\n1700000000\n5432\n/nowhere/kpg-left\n\n  1 2\nready   \n")
        ThrowawayServer(bindir(), home=home).end_left()
        time.sleep(0.2)  # a signal would have reached it
        assert child.poll() is None
        assert Path(f"/proc/{pid}").exists()
        assert not note.exists(), "a server could not start beside the note"
        child.kill()
    if arguments:
        ThrowawayServer(bindir(), home=other).end_left()
        assert not _servers_of(other)


@as_root
def test_the_left_server_of_another_user_is_recognised_where_root_may_not_look(tmp_path, monkeypatch):
    """As in a container, which has no right to trace the processes of other users."""
    home = tmp_path / "server"

    def closed(path):
        raise PermissionError(13, "not permitted", path)

    with ThrowawayServer(bindir(), home=home, ways=(OTHER_USER,)):
        assert _servers_of(home)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "readlink", closed)
            ThrowawayServer(bindir(), home=home, ways=(OTHER_USER,)).end_left()
        assert not _servers_of(home)


def test_a_socket_directory_of_a_run_that_was_killed_before_its_server_began_is_removed(tmp_path, monkeypatch):
    home = tmp_path / "server"
    monkeypatch.setattr(throwaway, "_parent_of_sockets", lambda: tmp_path)

    def killed(_server):
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(ThrowawayServer, "_create", killed)
        for undo in ("_remove", "end_left"):
            patched.setattr(ThrowawayServer, undo, lambda _server: None)
        with pytest.raises(SystemExit):
            ThrowawayServer(bindir(), home=home).__enter__()
    assert list(tmp_path.glob("kpg-*"))
    ThrowawayServer(bindir(), home=home).end_left()
    assert not list(tmp_path.glob("kpg-*"))


def test_an_interrupt_while_the_server_starts_leaves_no_server(tmp_path, monkeypatch):
    home, plain = tmp_path / "server", ThrowawayServer._run

    def interrupted(server, program, *arguments, **options):
        plain(server, program, *arguments, **options)
        if arguments[-1] == "start":
            raise KeyboardInterrupt

    monkeypatch.setattr(ThrowawayServer, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ThrowawayServer(bindir(), home=home).__enter__()
    assert not _servers_of(home)


def _servers_of(home):
    """The postmasters whose data is below `home`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/postgres") and os.fsencode(home / "data") in words:
            found.append(int(process.name))
    return found
