"""A run that is ended in the middle: by Ctrl-C, by the system, by a power cut."""

import ctypes
import gzip
import os
import signal
import time
from pathlib import Path

import pytest

from sandbox import KORRIGO, kill_all, nothing_changes, until

SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
SLOW = '#!/bin/sh\n"{real}/pg_dump" "$@"\nstatus=$?\nexec >&-\n: >"$0.done"\nsleep 60 2>&-\nexit $status\n'


@pytest.fixture
def slow_dump(site):
    """A dump that sleeps for a minute in the middle of its load."""
    text = gzip.decompress(site.backup().read_bytes())
    place = site.home / "db_backup_20260101_030000.sql.gz"
    place.write_bytes(gzip.compress(text.replace(b"COPY public.copy", b"SELECT pg_sleep(60);\nCOPY public.copy", 1)))
    return place


def loading(site):
    return site.sql(SLEEPING, "postgres", superuser=True) != [(0,)]


@pytest.fixture
def slow_pg_dump(site, tmp_path):
    """A pg_dump that hesitates a minute at its end."""
    place, real = tmp_path / "clients", site.server.access().client_dir
    place.mkdir()
    (place / "psql").symlink_to(real / "psql")
    (place / "pg_dump").write_text(SLOW.format(real=real))
    (place / "pg_dump").chmod(0o755)
    return {"KORRIGO_BACKUP_CLIENT_DIR": str(place)}


def dumped(clients):
    """Whether the pg_dump that hesitates has written all it writes."""
    return Path(clients["KORRIGO_BACKUP_CLIENT_DIR"], "pg_dump.done").exists()


@pytest.mark.promise("P2")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_restore_that_is_interrupted_is_rolled_back_and_ends_with_130(site, slow_dump, number):
    with nothing_changes(site), site.started("restore", slow_dump, "--yes", "--allow-unsigned") as child:
        until(lambda: loading(site))
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "error: interrupted" in err.decode()
    assert "rolled back: the site is as it was before" in err.decode()
    assert "completed" not in out.decode()
    assert "Traceback" not in err.decode()


@pytest.mark.promise("P2")
def test_an_impatient_second_interrupt_does_not_stop_the_rolling_back(site, slow_dump):
    with nothing_changes(site), site.started("restore", slow_dump, "--yes", "--allow-unsigned") as child:
        until(lambda: loading(site))
        for _ in range(20):
            child.send_signal(signal.SIGINT)
            time.sleep(0.01)
        err = child.communicate(timeout=30)[1].decode()
    assert child.returncode == 130
    assert "rolled back: the site is as it was before" in err


@pytest.mark.promise("P3")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_backup_that_is_interrupted_leaves_nothing(site, slow_pg_dump, number):
    with nothing_changes(site), site.started("backup", "db", env=slow_pg_dump) as child:
        until(lambda: dumped(slow_pg_dump))
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "state: " in err.decode()
    assert "✅" not in out.decode()
    assert site.hidden() == set()


@pytest.mark.promise("P3")
def test_an_interrupt_that_ends_no_wait_of_the_main_thread_is_noticed_all_the_same(site, slow_pg_dump):
    """The system gives a signal to any thread, or just before the wait begins: the wait itself is not ended then."""
    with nothing_changes(site), site.started("backup", "db", env=slow_pg_dump) as child:
        until(lambda: dumped(slow_pg_dump))
        others = {int(task.name) for task in Path(f"/proc/{child.pid}/task").iterdir()} - {child.pid}
        assert ctypes.CDLL(None).tgkill(child.pid, max(others), signal.SIGINT) == 0
        err = child.communicate(timeout=30)[1]
    assert child.returncode == 130
    assert "error: interrupted" in err.decode()
    assert site.hidden() == set()


@pytest.mark.promise("P1")
def test_an_interrupt_after_the_swap_reports_a_completed_restore(site, slow_pg_dump):
    before = site.content()
    made = site.backup()
    site.wreck()
    with site.started("restore", made, "--yes", env=slow_pg_dump) as child:
        until(lambda: dumped(slow_pg_dump))
        child.send_signal(signal.SIGTERM)
        err = child.communicate(timeout=30)[1].decode()
    assert child.returncode == 130
    assert site.content() == before
    assert "nothing was changed" not in err
    assert f"restored; the old data is complete in database {site.previous_databases()[0]}" in err


@pytest.mark.promise("P3")
def test_a_backup_killed_in_the_middle_is_listed_nowhere_and_swept_by_the_next(site, slow_pg_dump):
    with site.started("backup", "db", env=slow_pg_dump) as child:
        until(lambda: dumped(slow_pg_dump))
        kill_all(child)
    assert site.hidden()
    assert site.published() == set()
    assert site.json("list")["items"] == []
    site.korrigo("verify", "latest", code=6)
    site.korrigo("restore", "latest", "--yes", code=6)
    site.backup()
    assert site.hidden() == set()


@pytest.mark.promise("P2")
def test_a_restore_killed_while_its_load_goes_on_is_cleaned_up_by_the_next_command(site, slow_dump):
    """Only the command dies: the client and the server are still at work in the staged database."""
    with nothing_changes(site):
        with site.started("restore", slow_dump, "--yes", "--allow-unsigned") as child:
            until(lambda: loading(site))
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        assert [name for name in site.databases() if "_stage_" in name]
        site.korrigo("doctor", "--fix", code=(0, 10))
    assert not loading(site)


@pytest.mark.promise("P8")
def test_a_reader_that_leaves_gets_no_traceback(site):
    site.backup()
    done = site.run(["bash", "-c", '"$0" list | true; "$0" show latest | head -c 1', str(KORRIGO)])
    assert "BrokenPipe" not in done.output
