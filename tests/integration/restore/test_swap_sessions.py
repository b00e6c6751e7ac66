"""A session of the live database that does not end at once: waited for, or named, and then nothing is changed.

The server's own rename waits five seconds for such a session, so each of these tests takes that long.
"""

import os
import signal
import threading
from contextlib import contextmanager

import pytest

from korrigo_backup.errors import Refused
from korrigo_backup.postgres import databases

RENAME_WAITS = 5.0


@pytest.fixture
def saved(site):
    made = site.backup()
    site.wreck()
    return site, made


@contextmanager
def _stopped_session(site):
    """Yield the process of a session of the site's database that obeys no signal for some seconds."""
    with site.connect() as session:
        pid = session.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        goes_on = threading.Timer(RENAME_WAITS + 3, os.kill, (pid, signal.SIGCONT))
        goes_on.start()
        try:
            yield pid
        finally:
            goes_on.join()


@pytest.mark.promise("P2")
def test_a_session_that_does_not_end_is_named_and_the_database_takes_connections_as_before(saved, monkeypatch):
    site, made = saved
    before = site.content()
    monkeypatch.setattr(databases, "TERMINATE_SECONDS", 0.5)
    with _stopped_session(site) as pid, pytest.raises(Refused, match=f"process {pid} "):
        site.restore(made)
    assert site.content() == before
    assert not site.previous_databases()


def test_a_session_that_ends_later_than_a_rename_waits_is_waited_for(saved):
    site, made = saved
    with _stopped_session(site):
        site.restore(made)
    assert len(site.previous_databases()) == 1
