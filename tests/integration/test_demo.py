"""The demonstration as a newcomer meets it: cut short, started twice, started again."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from sandbox import PROJECT, children, until
from targetservers import free_port

LEFT_OUT = ("POSTGRES_", "PG", "BACKUP_", "MEDIA_", "DEMO_")


@pytest.fixture
def home():
    """A place whose path is short, so that the server's sockets are made in it and are seen to be removed."""
    with TemporaryDirectory(prefix="kd-", dir="/tmp") as place:
        yield Path(place) / "demo"


@contextmanager
def started(home, program="run.py", **environment):
    """Start a program of the demonstration on a small site, with its output in a file, and yield the process."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    env |= {"DEMO_HOME": str(home), "DEMO_COPIES": "3", "TMPDIR": str(home.parent), "LANG": "C.UTF-8", **environment}
    with (home.parent / "output").open("wb") as output:
        argv = [sys.executable, str(PROJECT / "demo" / program)]
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
    """The postmasters whose data is below `home`, and the web services that run in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            is_web = b"runserver" in words and (process / "cwd").readlink() == home
        except OSError:
            continue
        if is_web or (re.search(rb"^\S*/postgres\0", words) and os.fsencode(home) in words):
            found.append(int(process.name))
    return found


def test_the_demo_is_five_acts_without_a_warning_on_one_long_screen(home):
    with started(home) as child:
        assert child.wait(120) == 0, output(home)
    lines = output(home).splitlines()
    assert 50 <= len(lines) <= 70
    assert [line.strip("─ ") for line in lines if line.startswith("──")] == [
        "1. Back up", "2. Plan", "3. Disaster", "4. Restore", "5. Roll back", "Keep this screen",
    ]  # fmt: skip
    assert [line for line in lines if re.search("⚠|❌|warning|error", line)] == []
    assert [line.split()[0] for line in lines if "IDENTICAL" in line] == ["proven", "undone"]
    assert re.search(
        r"^seconds   back up \d+\.\d, plan \d+\.\d, restore \d+\.\d, roll back", output(home), re.MULTILINE
    )
    assert not servers(home)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_its_server_and_reports_the_interrupt(home, ending):
    with started(home) as child:
        wait_for(home, "The site is filled", child)
        until(lambda: servers(home), seconds=60)
        child.send_signal(ending)
        assert child.wait(30) == 130
    assert "error: interrupted" in output(home)
    assert "hint: make demo starts afresh" in output(home)
    assert not servers(home)
    assert not list(home.parent.glob("kpg-*"))


def test_one_that_is_killed_is_made_good_by_the_next_and_a_second_at_once_does_no_harm(home):
    with started(home) as child:
        wait_for(home, "1. Back up", child)
        below = set(children(child.pid)) - set(servers(home))
        child.kill()
        for pid in below:
            os.kill(pid, signal.SIGKILL)
    left = servers(home)
    assert len(left) == 2
    with started(home, LANG="fr_FR.UTF-8") as child:
        wait_for(home, "1. Sauvegarder", child)
        assert not set(left) & set(servers(home))
        refused = second(home)
        assert child.wait(120) == 0, output(home)
    assert refused.returncode == 7
    assert "another run is at work" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert output(home).count("IDENTIQUE") == 2
    assert not servers(home)
    assert not list(home.parent.glob("kpg-*"))


def second(home):
    """Run another one, which must be refused."""
    argv = [sys.executable, str(PROJECT / "demo" / "run.py")]
    env = os.environ | {"DEMO_HOME": str(home), "DEMO_COPIES": "3"}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=30)


def test_the_site_on_the_web_shows_its_backups_after_the_login_and_ends_with_ctrl_c(home):
    port = free_port()
    with started(home, "web.py", DEMO_PORT=str(port)) as child:
        wait_for(home, "Ctrl-C ends it.", child)
        page = backups_page(output(home))
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 0
    assert "restore_point_" in page
    assert "Ended: nothing is left running." in output(home)
    assert not servers(home)
    with socket.socket() as one:
        assert one.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def backups_page(told):
    """Log in with what the program prints, and return the page of the backups."""
    shown = dict(line.split(None, 1) for line in told.splitlines() if line.startswith("  ") and "cd " not in line)
    browser = build_opener(HTTPCookieProcessor())
    form = browser.open(shown["backups"], timeout=30).read().decode()
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    fields = {"csrfmiddlewaretoken": token, "username": shown["login"], "password": shown["password"]}
    login = f"{shown['site']}admin/login/?next=/admin/korrigo_backup/backups/"
    browser.addheaders = [("Referer", login)]
    answer = browser.open(login, urlencode(fields).encode(), timeout=30)
    assert answer.url == shown["backups"]
    return answer.read().decode()


def test_the_site_on_the_web_refuses_a_port_in_use_before_it_makes_anything(home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with started(home, "web.py", DEMO_PORT=str(port)) as child:
            assert child.wait(30) == 4
    assert output(home).splitlines() == [
        f"error: port {port} of this machine cannot be used: Address already in use",
        f"hint: take another: DEMO_PORT={port % 65535 + 1} make demo-web",
        "state: nothing was changed",
    ]
    assert not home.exists()
