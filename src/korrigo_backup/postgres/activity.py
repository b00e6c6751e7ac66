"""The activity in the database: connections, sizes, locks (runbook 8.4). Statements are named, not quoted.

The text of a statement may hold names and marks of pupils, and a report is sent to others: only its first word is
shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from korrigo_backup.postgres.client import Postgres

LARGEST_TABLES = 10


class Connection(msgspec.Struct, frozen=True):
    """A session: user, first word of its statement, seconds, and the session that blocks it."""

    pid: int
    user: str | None
    application: str
    state: str | None
    statement: str
    seconds: float | None
    waits: str | None
    blocked_by: tuple[int, ...]


class TableSize(msgspec.Struct, frozen=True):
    """A table with its indexes: bytes on disk, and about how many rows by the last ANALYZE (-1: never)."""

    name: str
    bytes: int
    rows: float


class Activity(msgspec.Struct, frozen=True):
    """The state of a database; sizes are in bytes."""

    version: str
    started: str
    recovering: bool
    connections_allowed: int
    size: int
    connections: tuple[Connection, ...]
    tables: tuple[TableSize, ...]


def activity(server: Postgres) -> Activity:
    """Return the present activity; Unreachable if the database does not answer."""
    return server.ask(_ACTIVITY.format(largest=LARGEST_TABLES), Activity)


_ACTIVITY = """
SELECT json_build_object(
  'version', current_setting('server_version'),
  'started', to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  'recovering', pg_is_in_recovery(),
  'connections_allowed', current_setting('max_connections')::int,
  'size', pg_database_size(current_database()),
  'connections', (
    SELECT coalesce(json_agg(json_build_object(
      'pid', pid, 'user', usename, 'application', application_name, 'state', state,
      'statement', upper(coalesce(substring(query FROM '^\\s*([A-Za-z]+)'), '')),
      'seconds', round(extract(epoch FROM clock_timestamp() - coalesce(query_start, backend_start))::numeric, 1),
      'waits', wait_event_type || ':' || wait_event, 'blocked_by', pg_blocking_pids(pid)) ORDER BY pid), '[]')
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()),
  'tables', (
    SELECT coalesce(json_agg(t), '[]') FROM (
      SELECT c.oid::regclass::text AS name, pg_total_relation_size(c.oid) AS bytes, c.reltuples::float8 AS rows
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      ORDER BY 2 DESC, 1 LIMIT {largest}) t))
"""
