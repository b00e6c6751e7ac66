"""The restore of a Django backup, killed on either side at its critical moments: both old or both new, and known which."""

import os
import signal
import subprocess
import sys

import pytest

from sandbox import connect, kill_all, until
from wreckedsite import EARLIER, left, now

# The word to go on is eight zero bytes, which no other answer is. The host dies with it on its way, or just before.
HOST_DIES = """
import os, signal, sys
from korrigo_backup.cli import main
from korrigo_backup.system.run import Process

class Dying:
    def __init__(self, file):
        self.file = file
    def write(self, piece):
        if piece != bytes(8):
            return self.file.write(piece)
        if when == "after":
            self.file.write(piece)
            self.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    def __getattr__(self, name):
        return getattr(self.file, name)

real = Process.stdin.fget
Process.stdin = property(lambda self: Dying(real(self)))
when = sys.argv[1]
sys.argv = ["korrigo-backup", *sys.argv[2:]]
main.run()
"""

HOST_DIES_AT = """
import os, signal, sys
from korrigo_backup.cli import main
from korrigo_backup.restore.django import staged as django_staged
from korrigo_backup.restore.django import unheld
from korrigo_backup.postgres import databases
from korrigo_backup.media import tree as media

owner, method, when = sys.argv[1:4]
kind = {"staged": django_staged.StagedDjango, "copied": unheld.Copied, "databases": databases.Databases,
        "media": media.MediaTree}[owner]
real = getattr(kind, method)

def dies(*arguments, **options):
    if when == "after":
        real(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(kind, method, dies)
sys.argv = ["korrigo-backup", *sys.argv[4:]]
main.run()
"""
STEPS = (
    ("staged", "load", "before"),
    ("copied", "renew", "after"),
    ("databases", "swap", "after"),
    ("media", "announce", "after"),
    ("media", "swap", "after"),
)

DJANGO_DIES = """
import os, sys
from korrigo_backup.djangoapp import recovery, served

def dies(real, when):
    def work(*arguments, **options):
        if when == "after":
            real(*arguments, **options)
        os.kill(os.getpid(), 9)
    return work

if "-" in sys.argv and "--stamp" in sys.argv:
    {0}
"""
BEFORE_COMMIT = 'served.Host.wait_for_the_word = dies(served.Host.wait_for_the_word, "after")'
AFTER_COMMIT = 'recovery.close = dies(recovery.close, "before")'

SLEEPS = """
CREATE FUNCTION sleeps() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(9); RETURN true; END $$;
ALTER TABLE exams_annotation ADD CONSTRAINT slow CHECK (sleeps())
"""


@pytest.mark.promise("P2")
@pytest.mark.parametrize("how", ["both killed", "the host killed", "interrupted"])
@pytest.mark.parametrize("settings", ["", EARLIER])
def test_ended_during_the_load_both_are_old(wrecked, how, settings):
    site = wrecked
    site.settings(settings)
    (site.home / "services").write_text("started\n")
    site.sql(SLEEPS)
    with site.started("restore", site.made, "--yes") as child:
        until(lambda: sleeping(site), 60)
        if how == "interrupted":
            child.send_signal(signal.SIGINT)
            assert b"state: rolled back: the site is as it was before" in child.communicate(timeout=60)[1]
        else:
            kill_all(child) if how == "both killed" else os.kill(child.pid, signal.SIGKILL)
    assert ("🔧 started the services again" in site.korrigo("backup").out) == (bool(settings) and how != "interrupted")
    assert (site.home / "services").read_text() == "started\n"
    assert now(site) == site.old
    assert left(site) == []
    site.korrigo("rollback", "--yes", code=6)


@pytest.mark.promise("P2")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_host_that_dies_around_the_word_leaves_both_old_or_both_new_and_the_next_command_knows(in_place, when):
    site = in_place
    argv = [sys.executable, "-c", HOST_DIES, when, "restore", str(site.made), "--yes"]
    done = subprocess.run(argv, env=site.env, cwd=site.home, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    site.korrigo("backup")
    assert (site.home / "services").read_text() == "started\n"
    assert left(site) == []
    if when == "before":
        assert now(site) == site.old
        site.korrigo("rollback", "--yes", code=6)
        return
    assert now(site) == site.new
    assert "Loading the data of before" in site.korrigo("rollback", "--yes").out
    assert now(site) == site.old


@pytest.mark.promise("P1")
@pytest.mark.promise("P2")
def test_a_restore_is_complete_only_if_manage_py_was_killed_after_its_commit(wrecked):
    site = wrecked
    site.settings(EARLIER + DJANGO_DIES.format(BEFORE_COMMIT))
    done = site.korrigo("restore", site.made, "--yes", code=1)
    assert "was ended by SIGKILL" in done.err
    assert "state: rolled back: the site is as it was before" in done.err
    assert now(site) == site.old
    assert left(site) == []
    site.settings(EARLIER + DJANGO_DIES.format(AFTER_COMMIT))
    done = site.korrigo("restore", site.made, "--yes", "--no-validate")
    assert "✅ Restore completed successfully" in done.out
    assert now(site) == site.new
    assert left(site) == []
    site.korrigo("rollback", "--yes")
    assert now(site) == site.old


@pytest.mark.promise("P2")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_host_that_dies_around_the_word_about_a_copy_leaves_both_old(wrecked, when):
    site = wrecked
    (site.home / "services").write_text("started\n")
    argv = [sys.executable, "-c", HOST_DIES, when, "restore", str(site.made), "--yes"]
    done = subprocess.run(argv, env=site.env, cwd=site.home, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (site.home / "services").read_text() == "started\n"
    site.korrigo("backup")
    assert now(site) == site.old
    assert left(site) == []
    site.korrigo("rollback", "--yes", code=6)


@pytest.mark.promise("P2")
def test_a_host_killed_at_any_step_of_a_staged_restore_leaves_both_old_or_both_new(wrecked):
    site = wrecked
    for owner, method, when in STEPS:
        argv = [sys.executable, "-c", HOST_DIES_AT, owner, method, when, "restore", str(site.made), "--yes"]
        done = subprocess.run(argv, env=site.env, cwd=site.home, capture_output=True, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL, (owner, method, when, done.stderr)
        site.korrigo("backup", "db")
        is_new = (owner, method, when) == STEPS[-1]
        assert now(site) == (site.new if is_new else site.old), (owner, method, when)
        assert left(site) == [], (owner, method, when)
        if (site.home / "services").exists():
            assert (site.home / "services").read_text() == "started\n"
    site.korrigo("rollback", "--yes")
    assert now(site) == site.old


@pytest.mark.promise("P2")
@pytest.mark.parametrize("death", [BEFORE_COMMIT, 'unfinished.remove = dies(unfinished.remove, "before")'])
def test_a_manage_py_that_dies_around_the_commit_of_a_copy_changes_nothing(wrecked, death):
    site = wrecked
    site.settings("from korrigo_backup.site import unfinished\n" + DJANGO_DIES.format(death))
    done = site.korrigo("restore", site.made, "--yes", code=1)
    assert "was ended by SIGKILL" in done.err
    assert "state: rolled back: the site is as it was before" in done.err
    assert now(site) == site.old
    assert left(site) == []
    assert not (site.home / "services").exists()


def sleeping(site):
    """Whether a load is in the midst of its constraints, in the live database or in its copy."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname LIKE %s AND state = 'active'"
    )
    with connect(site.server) as admin:
        return admin.execute(asked, [f"{site.database}%"]).fetchone()[0]
