"""Conditions of SQL that an operator types: they choose rows of a temporary table, and can only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.errors import UsageError
from korrigo_backup.postgres.server_error import NotPermitted, StatementFailed
from korrigo_backup.postgres.site_path import SITES, TO_SITE_PATH
from korrigo_backup.postgres.sql import literal

if TYPE_CHECKING:
    from korrigo_backup.postgres.client import Session

_SETTINGS = f"""
SELECT to_json(coalesce(string_agg(name || '=' || setting, ',' ORDER BY name), '') || ' ' || current_user
    || ' ' || session_user || ' ' || coalesce(current_setting({SITES}, true), ''))
FROM pg_catalog.pg_settings WHERE source = 'session' AND name !~ '^transaction_'
"""


def require_condition(where: str | None, table: str) -> None:
    """Raise UsageError for a condition without a table, and for an empty condition, as of an empty shell variable."""
    if where is None:
        return
    if not where.strip():
        raise UsageError("the condition of --where is empty", hint="leave --where out to choose all rows")
    if not table:
        raise UsageError("--where goes with --table", hint="name the table: --table exams_exam --where …")


def run_condition(session: Session, update: str, condition: str, table: str) -> None:
    """Run `update`, a statement on a temporary table, for the rows for which the condition of the operator holds.

    Raises UsageError for a condition that is no SQL, that writes, or that changes a setting of the session. A text that
    is no condition by itself, as `id = 1) OR (true`, is none in brackets either. Its names are found with the site's
    path, as in the operator's own session of psql.
    """
    before = session.ask(_SETTINGS, str)
    alone = literal(f"EXPLAIN {update} WHERE {condition}")
    marked = literal(f"{update} WHERE ({condition}\n)")
    try:
        both = literal(f"BEGIN EXECUTE {alone}; EXECUTE {marked}; END")
        session.run(f"BEGIN READ ONLY; SELECT {TO_SITE_PATH}; DO {both}; COMMIT")
    except (StatementFailed, NotPermitted) as problem:
        raise UsageError(
            f"the condition is not understood: {problem.message}",
            hint=f"write it in SQL about the columns of {table}: --where \"name = 'x'\"",
        ) from None
    if session.ask(_SETTINGS, str) != before:
        raise UsageError(
            "the condition changes a setting of its session", hint="use a condition that only reads columns"
        )
