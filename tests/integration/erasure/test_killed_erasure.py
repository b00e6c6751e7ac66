"""A restore by Django in place that is killed before its erasure: the next command erases, before the services start."""

import os
import signal
import subprocess
import sys

import pytest

from wreckedsite import left

DIES = """
import os, signal, sys
from korrigo_backup.cli import main
from korrigo_backup.recovery import erasure
from korrigo_backup.site import erasing
from korrigo_backup.media import tree

owner, method, when = sys.argv[1:4]
kind = {"erasing": erasing.Erasing, "record": erasure.ErasureRecord, "tree": tree.MediaTree}[owner]
real = getattr(kind, method)

def dies(*arguments, **options):
    if when == "after":
        real(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(kind, method, dies)
sys.argv = ["korrigo-backup", *sys.argv[4:]]
main.run()
"""


ALL = bool(os.environ.get("KORRIGO_TEST_FAULTS"))


@pytest.fixture
def forgotten(in_place):
    """A site in place whose backup has a copy of an exam that was erased on request since, and its files."""
    site = in_place
    site.key = site.sql("SELECT copy_id FROM exams_booklet ORDER BY copy_id LIMIT 1")[0][0]
    site.pdf = site.sql(f"SELECT pdf FROM exams_copy WHERE id = '{site.key}'")[0][0]
    site.korrigo("forget", f"exams.Copy:{site.key}")
    site.sql(f"DELETE FROM exams_booklet WHERE copy_id = '{site.key}'")
    (site.home / "services").write_text("started\n")
    return site


def killed(site, owner, method, when):
    argv = [sys.executable, "-c", DIES, owner, method, when, "restore", str(site.made), "--yes"]
    done = subprocess.run(argv, env=site.env, cwd=site.home, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, (owner, method, when, done.stderr)
    assert (site.home / "services").read_text() == "stopped\n"


def erased(site):
    """Whether the copy and its file are gone, and the rest of the backup is live."""
    assert site.sql("SELECT count(*) FROM exams_exam WHERE name = 'lost'") == [(0,)]
    copies = site.sql(f"SELECT count(*) FROM exams_copy WHERE id = '{site.key}'")[0][0]
    return copies == 0 and not (site.media / site.pdf).exists()


@pytest.mark.promise("P2")
def test_the_next_command_erases_what_a_killed_restore_had_not_erased_yet(forgotten):
    site = forgotten
    site.toml(
        (site.home / "korrigo-backup.toml")
        .read_text()
        .replace("echo started", f"test -e {site.media / site.pdf} || echo started")
    )
    killed(site, "erasing", "erase_loaded", "before")
    assert not erased(site)
    planned = site.korrigo("restore", site.made, "--dry-run", code=4)
    assert "erase again what was erased on request" in planned.err
    assert not erased(site)
    record = next(site.backups.glob(".erasing-*"))
    content = record.read_bytes()
    record.write_bytes(content[:-9])
    failed = site.korrigo("backup", "db", code=9)
    assert f"{record} of an interrupted restore cannot be read" in failed.err
    record.write_bytes(content)
    done = site.korrigo("backup", "db")
    assert "erased again what was erased on request" in done.out
    assert erased(site)
    assert (site.home / "services").read_text() == "started\n"
    assert set(left(site)) <= {".erasures"}  # the ledger for the admin
    assert list(site.backups.glob(".erasing-*")) == []
    known = next(one for one in reversed(site.journal()) if one["verb"] == "restore by Django")
    assert known["erased"]["public.exams_copy"] == 1
    assert known["erased_files"]
    site.korrigo("rollback", "--yes")


CASES = [("tree", "remove_files", "after"), *([("record", "remove", "before")] if ALL else [])]


@pytest.mark.promise("P2")
@pytest.mark.parametrize("at", CASES)
def test_an_erasure_that_was_cut_off_is_done_again_as_a_whole(forgotten, at):
    site = forgotten
    killed(site, *at)
    site.korrigo("backup", "db")
    assert erased(site)
    known = next(one for one in reversed(site.journal()) if one["verb"] == "restore by Django")
    assert known["erased"]["public.exams_copy"] == 1
    assert known["erased_files"]


@pytest.mark.promise("P8")
@pytest.mark.skipif(not ALL, reason="set KORRIGO_TEST_FAULTS=1")
def test_a_record_that_cannot_be_read_stops_with_a_next_step_that_works(forgotten):
    site = forgotten
    killed(site, "erasing", "erase_loaded", "before")
    record = next(site.backups.glob(".erasing-*"))
    record.write_bytes(b"{")
    failed = site.korrigo("backup", "db", code=9)
    assert str(record) in failed.err
    assert "restore the same backup again" in failed.err
    assert (site.home / "services").read_text() == "stopped\n"
    record.unlink()
    site.korrigo("restore", site.made, "--yes")
    assert erased(site)
