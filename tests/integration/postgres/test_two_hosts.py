"""Two hosts with backup directories of their own on one database; and a client that outlives its run."""

import os
import signal
import threading

import pytest

from korrigo_backup.errors import KorrigoBackupError, Unreachable
from korrigo_backup.postgres import fence
from sandbox import until


@pytest.fixture
def elsewhere(site):
    """The environment of another host: nothing of the first one's files, the same server."""
    place = site.home / "other host"
    place.mkdir()
    return {"HOME": str(place), "BACKUP_DIR": str(place / "backups")}


@pytest.mark.parametrize(
    "verb", [("backup", "db"), ("backup", "full"), ("backup", "media"), ("rollback", "--yes")], ids=" ".join
)
def test_a_second_host_is_refused_with_the_process_and_start_of_the_first_run(site, elsewhere, verb):
    with site.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE copy IN ACCESS EXCLUSIVE MODE")
        with site.started("backup", "db", "--no-digests") as first:
            until(lambda: site.backups.is_dir() and site.hidden())
            done = site.korrigo(*verb, env=elsewhere, code=7)
            output = f"another run is at work on this database: backup of the database (process {first.pid} on "
            assert output in done.err
            assert " since 20" in done.err
            first.terminate()
            first.communicate(timeout=30)
    site.korrigo("backup", "db", env=elsewhere)


def test_a_killed_run_holds_nothing(site, elsewhere):
    with site.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE copy IN ACCESS EXCLUSIVE MODE")
        with site.started("backup", "db", "--no-digests") as first:
            until(lambda: site.backups.is_dir() and site.hidden())
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
    site.korrigo("backup", "db", env=elsewhere)


@pytest.mark.promise("P2")
def test_a_change_of_a_dead_run_that_comes_late_is_refused_by_the_server(site):
    """A client of a killed run connects only after the next run has begun: it must not rename anything then."""
    server = site.wired().site().postgres
    with fence.held(server, "the first") as first:
        assert first._fence
        words = first._fence()
        first.change("SELECT 1")
    with pytest.raises(KorrigoBackupError, match="holds the lock of its site no more"):
        server.script(f"{words} CREATE DATABASE {site.database}_late", database="postgres")
    with fence.held(server, "the second"), pytest.raises(KorrigoBackupError, match="no more"):
        server.script(f"{words} CREATE DATABASE {site.database}_late", database="postgres")
    assert f"{site.database}_late" not in site.databases()


@pytest.mark.promise("P2")
def test_the_next_run_waits_for_a_change_that_a_dead_one_has_begun(site):
    server = site.wired().site().postgres
    begun = threading.Event()

    def next_run():
        with fence.held(server, "the second"):
            begun.set()

    with server.session(database="postgres") as orphan:
        with fence.held(server, "the first") as first:
            assert first._fence
            orphan.run(first._fence())
        thread = threading.Thread(target=next_run)
        thread.start()
        assert not begun.wait(1)
    thread.join(30)
    assert begun.is_set()


def test_a_lost_lock_fails_the_next_statement_and_is_then_taken_again(site):
    server = site.wired().site().postgres
    with fence.held(server, "a run") as held:
        site.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'a run (process %'",
            "postgres",
            superuser=True,
        )
        with pytest.raises(Unreachable, match="was lost"):
            held.change("SELECT 1")
        held.change("SELECT 1")
