"""A single run at a time on a site's database, from any host; and no client of a dead run acts after its end.

A session in the common database (`Postgres.common`) holds an advisory lock while a run lasts; the server releases it
when the process dies, with its host or without. The clients of a killed run can outlive it, so every change is fenced:
it is made only while the lock's own session holds the lock, and the next run waits until those under way have ended.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.errors import KorrigoBackupError, Locked, Unreachable
from korrigo_backup.postgres.databases import RUN_LOCK
from korrigo_backup.system.timings import phase
from korrigo_backup.system.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.postgres.client import Postgres, Session

_CHANGE = RUN_LOCK + 1
"""First number of the lock that changes share, and that the next run waits for."""

_PATIENCE = 3.0
"""Seconds that a dead run's session gets to be noticed by the server before it counts as living."""

_POLL = 0.1

_APPLICATION_NAME_BYTES = 63

# The lock's session must live as long as the run, and end soon after its host has gone without a word.
_SETTINGS = """
SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3
"""

_HOLDER = """
SELECT coalesce(json_agg(json_build_object('pid', l.pid, 'name', coalesce(a.application_name, ''),
                                           'since', coalesce(a.backend_start::timestamptz(0)::text, '?'))), '[]')
FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.granted AND l.pid <> pg_backend_pid() AND {lock}
"""

_COUNT = "SELECT to_json(count(*)) FROM pg_locks l WHERE l.granted AND l.pid <> pg_backend_pid() AND {lock}"

_FENCE = """
SELECT pg_advisory_lock_shared({change}, {key}) \\g /dev/null
DO $fence$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_locks l WHERE l.granted AND l.pid = {pid} AND {lock}) THEN
    RAISE EXCEPTION 'the run that asked for this change holds the lock of its site no more';
  END IF;
END $fence$;
"""


class _Holder(msgspec.Struct):
    pid: int
    name: str
    since: str


@contextmanager
def held(server: Postgres, doing: str) -> Iterator[Postgres]:
    """Hold the lock of the server's site while the block runs; yield the server whose changes are fenced by it.

    Returns when no change of an earlier run is under way any more. Raises Locked with the holder's words (`doing`,
    process, host, since when), Unreachable when neither the maintenance database nor the site's own can be used.
    """
    with ExitStack() as stack:
        fence = _Fence(server, doing, stack)
        fence.take()
        yield server.fenced(fence.words)


class _Fence:
    def __init__(self, server: Postgres, doing: str, stack: ExitStack) -> None:
        self._server = server
        self._stack = stack
        self._name = f"{doing} (process {os.getpid()} on {socket.gethostname()})"
        self._key = int.from_bytes(hashlib.sha256(server.database.encode()).digest()[:4]) & 0x7FFFFFFF
        self._session: Session | None = None
        self._pid = 0

    @phase("lock")
    def take(self) -> None:
        session = self._opened()
        name = self._name.encode()[:_APPLICATION_NAME_BYTES].decode(errors="ignore")
        pid = session.rename(name)
        session.run(_SETTINGS)

        def try_lock() -> bool:
            taken = session.ask(f"SELECT to_json(pg_try_advisory_lock({RUN_LOCK}, {self._key}))", bool)
            return taken and not self._held_elsewhere(session)

        if not wait_until(bool, try_lock, seconds=_PATIENCE, pause=_POLL):
            raise _locked(session.ask(_HOLDER.format(lock=self._lock(RUN_LOCK)), list[_Holder]))
        # A change that a killed run has begun ends now; a change that it would begin later finds the lock gone.
        gate = f"({_CHANGE}, {self._key})"
        session.run(f"SELECT pg_advisory_lock{gate}, pg_advisory_unlock{gate} \\g /dev/null")
        while session.ask(_COUNT.format(lock=self._lock(_CHANGE)), int):
            time.sleep(_POLL)  # a change of a run that was in another database
        self._session, self._pid = session, pid

    def _held_elsewhere(self, session: Session) -> bool:
        """Return whether a run holds the same lock in another database; if so, ours is given back.

        A lock belongs to the database of its session, and not every role is let into the same database.
        """
        if not session.ask(_COUNT.format(lock=self._lock(RUN_LOCK)), int):
            return False
        session.run(f"SELECT pg_advisory_unlock({RUN_LOCK}, {self._key}) \\g /dev/null")
        return True

    def _opened(self) -> Session:
        try:
            return self._stack.enter_context(self._server.session(database=self._server.common))
        except Unreachable as problem:
            if self._pid or not self._server.keep_out(problem):
                raise
        return self._stack.enter_context(self._server.session(database=self._server.common))

    def words(self) -> str:
        """Return the statements before a change that let it happen only while we hold the lock.

        Raises Unreachable once when the lock's session was lost (the server was restarted); it is then held again, so
        that the undo can go on.
        """
        try:
            if self._session:
                self._session.run("SELECT 1 \\g /dev/null")
        except KorrigoBackupError as problem:
            self._session = None
            self.take()
            raise Unreachable(
                f"the session that holds the lock of this site was lost: {problem.message}",
                hint="see the server's log, then run the command again",
                id_="server.ended",
            ) from None
        if self._session is None:
            self.take()
        return _FENCE.format(change=_CHANGE, key=self._key, pid=self._pid, lock=self._lock(RUN_LOCK))

    def _lock(self, number: int) -> str:
        """Return the condition for our lock of that number, in whichever database."""
        return f"l.locktype = 'advisory' AND l.classid = {number} AND l.objid = {self._key} AND l.objsubid = 2"


def _locked(holders: list[_Holder]) -> Locked:
    words = next((f"{h.name or 'a session'}, session {h.pid} since {h.since}" for h in holders), "it has just ended")
    return Locked(
        f"another run is at work on this database: {words}",
        hint="wait for its end, then run this again; a lock ends with its process",
    )
