"""Questions about the server through one session: answered as before, whatever becomes of the session."""

import threading

import pytest

from korrigo_backup.errors import KorrigoBackupError

PID = "SELECT to_json(pg_backend_pid())"


def asked(server):
    return server.ask_server(PID, int)


def test_questions_of_a_block_share_a_session_that_ends_with_it(site):
    server = site.wired().site().postgres
    with server.asking():
        pid = asked(server)
        assert asked(server) == pid
    assert asked(server) != pid
    assert site.sql(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}") == [(0,)]


def test_a_failed_query_reports_its_cause_and_the_next_query_opens_a_new_session(site):
    server = site.wired().site().postgres
    with server.asking():
        pid = asked(server)
        with pytest.raises(KorrigoBackupError, match='relation "nowhere" does not exist'):
            server.ask_server("SELECT to_json(count(*)) FROM nowhere", int)
        assert asked(server) != pid


def test_a_session_that_is_ended_by_the_server_is_not_missed(site):
    server = site.wired().site().postgres
    with server.asking():
        pid = asked(server)
        site.sql(f"SELECT pg_terminate_backend({pid})", superuser=True)
        assert asked(server) != pid


def test_another_thread_is_not_made_to_wait(site):
    server, found = site.wired().site().postgres, []
    with server.asking():
        slow = threading.Thread(target=lambda: server.ask_server("SELECT to_json(1) FROM pg_sleep(2)", int))
        slow.start()
        while not server._askers[server.common]._busy.locked():
            pass
        found.append(asked(server))
        assert slow.is_alive()
        slow.join()
    assert found
