"""Is it hopeless to wait for a session? Ask the server by a second connection about the session's backend.

A backend that works may be silent for hours. A backend that waits for its client while the client waits for it, a
missing backend, a backend whose process is stopped, and a server that does not even take a connection will never
answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.errors import KorrigoBackupError, TimedOut

if TYPE_CHECKING:
    from korrigo_backup.postgres.client import Postgres

SECONDS = 30.0
"""How long the server has to answer the second connection."""

_ASKED = """
SELECT coalesce((SELECT json_build_object('pid', pid, 'state', state, 'wait', wait_event, 'since', state_change::text)
                 FROM pg_stat_activity WHERE {backend} ORDER BY backend_start LIMIT 1),
                '{{"pid": 0}}')
"""

_WAITS_FOR_US = {"ClientRead", "ClientWrite"}


class _Backend(msgspec.Struct):
    pid: int
    state: str | None = None
    wait: str | None = None
    since: str | None = None


def judge(server: Postgres, database: str, backend: str) -> str | None:
    """Return why a session will not answer any more, None if it works or the state is unknown.

    `backend` is the SQL condition over pg_stat_activity that finds the session. The words hold the time of the last
    change of its state, so that they change each time if the session goes on.
    """
    try:
        found = server.ask(_ASKED.format(backend=backend), _Backend, database=database, timeout=SECONDS)
    except TimedOut:
        return "a second connection to the server gets no answer, and the open connection is silent"
    except KorrigoBackupError:
        return None  # no connection is free, or the database takes none now: the state is unknown
    if not found.pid:
        return "its session has ended on the server, and the connection did not report it"
    if server.access.is_stopped(found.pid):
        return f"the process {found.pid} of its session on the server is stopped"
    if found.state is not None and (found.state != "active" or found.wait in _WAITS_FOR_US):
        return f"its session on the server waits for us since {found.since}, and no data arrives"
    return None
