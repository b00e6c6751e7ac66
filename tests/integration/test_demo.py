"""The demonstration as a newcomer meets it: cut short, started twice, started again."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sandbox import PROJECT, children

LEFT_OUT = ("POSTGRES_", "PG", "BACKUP_", "MEDIA_", "DEMO_")


@pytest.fixture
def home():
    """A place whose path is short, so that the server's sockets are made in it and are seen to be removed."""
    with TemporaryDirectory(prefix="kd-", dir="/tmp") as place:
        yield Path(place) / "demo"


@contextmanager
def started(home):
    """Start the demonstration on a small site, with its output in a file, and yield the process."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    env |= {"DEMO_HOME": str(home), "DEMO_COPIES": "3", "TMPDIR": str(home.parent)}
    with (home.parent / "output").open("wb") as output:
        argv = [sys.executable, str(PROJECT / "demo" / "run.py")]
        with subprocess.Popen(argv, env=env, stdout=output, stderr=output, cwd=home.parent) as child:
            try:
                yield child
            finally:
                if child.poll() is None:
                    child.kill()


def output(home):
    text = (home.parent / "output").read_text()
    assert "Traceback" not in text
    return text


def wait_for(home, words, child):
    deadline = time.monotonic() + 60
    while words not in output(home):
        assert child.poll() is None, output(home)
        assert time.monotonic() < deadline
        time.sleep(0.02)


def servers(home):
    """The postmasters whose data is below `home`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if re.search(rb"^\S*/postgres\0", words) and os.fsencode(home) in words:
            found.append(int(process.name))
    return found


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_its_server_and_reports_the_interrupt(home, ending):
    with started(home) as child:
        wait_for(home, "manage.py migrate", child)
        child.send_signal(ending)
        assert child.wait(30) == 130
    assert "error: interrupted" in output(home)
    assert "hint: make demo starts afresh" in output(home)
    assert not servers(home)
    assert not list(home.parent.glob("kpg-*"))


def test_one_that_is_killed_is_made_good_by_the_next_and_a_second_at_once_does_no_harm(home):
    with started(home) as child:
        wait_for(home, "manage.py seed", child)
        below = children(child.pid)
        child.kill()
        for pid in below:
            os.kill(pid, signal.SIGKILL)
    (left,) = servers(home)
    with started(home) as child:
        wait_for(home, "manage.py migrate", child)
        assert left not in servers(home)
        refused = second(home)
        assert child.wait(120) == 0, output(home)
    assert refused.returncode == 7
    assert "another run is at work" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert output(home).count("IDENTICAL") == 2
    assert not servers(home)
    assert not list(home.parent.glob("kpg-*"))


def second(home):
    """Run another one, which must be refused."""
    argv = [sys.executable, str(PROJECT / "demo" / "run.py")]
    env = os.environ | {"DEMO_HOME": str(home), "DEMO_COPIES": "3"}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=30)
