"""A connection that went silent ends a run with an error; work that takes long does not."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from korrigo_backup.errors import TimedOut, Unreachable
from korrigo_backup.postgres import client as postgres
from korrigo_backup.postgres import silent_backend
from korrigo_backup.postgres.dump.load import load_shared
from korrigo_backup.postgres.silent_backend import judge
from korrigo_backup.system import silence
from korrigo_backup.system.silence import Limits
from sandbox import connect, quoted

OURS = "application_name ~ '^korrigo-backup .'"
PATIENCE = 30
"""Seconds after which a run that should have ended has not."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(silence, "LIMITS", Limits(silent=0.2, between=0.1, hopeless=0.5))
    # A process that is stopped while it writes its line of pg_stat_activity keeps every reader of that view waiting.
    monkeypatch.setattr(silent_backend, "SECONDS", 3)


class Stopper:
    """Stops processes of the server, and lets them go on at the end."""

    def __init__(self, server):
        self.server = server
        self.stopped = []

    def stop(self, pid):
        self.stopped.append(pid)
        os.kill(pid, signal.SIGSTOP)

    def stop_when(self, condition):
        """Stop the backend for which an SQL condition over pg_stat_activity comes true."""
        deadline = time.monotonic() + PATIENCE
        with connect(self.server) as admin:
            while time.monotonic() < deadline:
                found = admin.execute(f"SELECT pid FROM pg_stat_activity WHERE {OURS} AND {condition}").fetchone()
                if found:
                    self.stop(found[0])
                    if self.others_can_look():
                        return
                    os.kill(found[0], signal.SIGCONT)
                time.sleep(0.005)
        raise AssertionError(f"no session with {condition}")

    def others_can_look(self):
        """Whether the stopped process was not in the middle of its line of pg_stat_activity: readers wait for its end."""
        with connect(self.server) as another:
            another.execute("SET statement_timeout = '1s'")
            try:
                another.execute("SELECT count(*) FROM pg_stat_activity")
            except psycopg.errors.QueryCanceled:
                return False
        return True


@pytest.fixture
def stopper(server):
    stopper = Stopper(server)
    yield stopper
    for pid in stopper.stopped:
        os.kill(pid, signal.SIGCONT)


def within(work):
    """Return what `work` gives, or fail when it does not come to an end."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(work).result(PATIENCE)
    finally:
        pool.shutdown(wait=False)


def test_a_question_to_a_backend_that_is_stopped_ends(site, stopper):
    with site.wired().site().postgres.session() as session:
        stopper.stop(session.ask("SELECT pg_backend_pid()", int))
        with pytest.raises(Unreachable, match=r"went silent: the process \d+ .* is stopped"):
            within(lambda: session.run("SELECT 1"))


def test_a_question_that_takes_long_is_waited_for(site):
    with site.wired().site().postgres.session() as session:
        assert session.ask("SELECT to_json(1) FROM pg_sleep(2)", int) == 1


def test_a_session_with_another_name_is_waited_for(site):
    """The session of the site's lock has the name of the run."""
    with site.wired().site().postgres.session() as session:
        assert session.rename("backup (process 1 on host)") == session.ask("SELECT pg_backend_pid()", int)
        assert session.ask("SELECT to_json(1) FROM pg_sleep(2)", int) == 1


def test_a_session_may_be_idle_between_queries(site):
    with site.wired().site().postgres.session() as session:
        time.sleep(1.5)
        assert session.ask("SELECT to_json(1)", int) == 1


WAITS = "wait_event_type = 'Lock'"
DUMPS = f"pid IN (SELECT pid FROM pg_stat_activity WHERE {OURS} ORDER BY backend_start OFFSET 1)"
"""The session that reads the snapshot is there before that of pg_dump."""


@pytest.mark.promise("P1")
@pytest.mark.parametrize("which", [WAITS, DUMPS], ids=["digests", "pg_dump"])
def test_a_backup_whose_backend_is_stopped_ends_and_gives_the_lock_back(site, stopper, which):
    with site.connect() as other, ThreadPoolExecutor(1) as pool, other.transaction():
        other.execute("LOCK TABLE exam IN ACCESS EXCLUSIVE MODE" if which == WAITS else "SELECT 1")
        backup = pool.submit(site.backup)
        stopper.stop_when(which)
        problem = backup.exception(PATIENCE)
    assert isinstance(problem, Unreachable)
    assert problem.exit_code == 8
    assert site.backup().exists()


def test_a_load_whose_backend_is_stopped_ends(empty_site, stopper):
    server = empty_site.wired().site().postgres

    def dump():
        yield b"CREATE TABLE t (body text);\nCOPY public.t (body) FROM stdin;\n"
        yield b"x\n" * 100_000
        stopper.stop_when(f"datname = '{empty_site.database}' AND query LIKE 'COPY%'")
        for _ in range(100):
            yield (b"x" * 1000 + b"\n") * 1000

    with pytest.raises(Unreachable, match="went silent"):
        within(lambda: load_shared(server, dump(), "a dump", database=empty_site.database))


def test_a_server_that_takes_no_connection_is_given_up(site, stopper, monkeypatch):
    monkeypatch.setattr(silent_backend, "SECONDS", 0.5)
    with site.wired().site().postgres.session() as session:
        pid = session.ask("SELECT pg_backend_pid()", int)
        postmaster = int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
        stopper.stop(postmaster)
        stopper.stop(pid)
        with pytest.raises(Unreachable, match="second connection"):
            within(lambda: session.run("SELECT 1"))


JUDGED = "application_name = 'korrigo-backup judged'"


def test_judge_reports_a_waiting_or_ended_session_and_ignores_a_working_session(site):
    server = site.wired().site().postgres
    with site.connect() as other:
        other.execute("SET application_name = 'korrigo-backup judged'")
        waits = judge(server, site.database, JUDGED)
        assert waits
        assert "waits for us" in waits
        assert judge(server, site.database, JUDGED) == waits
        other.execute("SELECT 1")
        assert judge(server, site.database, JUDGED) != waits
        working = threading.Thread(target=lambda: other.execute("SELECT pg_sleep(3)"))
        working.start()
        time.sleep(0.5)
        assert judge(server, site.database, JUDGED) is None
        working.join()
    ended = judge(server, site.database, JUDGED)
    assert ended
    assert "has ended on the server" in ended


def test_judge_returns_none_if_the_database_accepts_no_connections(site):
    server = site.wired().site().postgres
    with connect(site.server) as admin:
        admin.execute(f"ALTER DATABASE {quoted(site.database)} ALLOW_CONNECTIONS false")
        try:
            assert judge(server, site.database, JUDGED) is None
        finally:
            admin.execute(f"ALTER DATABASE {quoted(site.database)} ALLOW_CONNECTIONS true")


def test_a_change_that_the_server_does_not_answer_ends(site, monkeypatch):
    monkeypatch.setattr(postgres, "QUESTION_SECONDS", 1)
    with pytest.raises(TimedOut):
        within(lambda: site.wired().site().postgres.change("SELECT pg_sleep(20)"))
