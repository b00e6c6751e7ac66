"""The site's own search path in a session of ours, which otherwise finds its names in pg_catalog alone.

An operator or a function of the site's schemas could be taken for one of PostgreSQL's in a statement of ours, and would
run with our rights. The site's code (triggers, checks of domains, functions of indexes) needs the site's path. So a
statement that runs such code is parsed with our path, and sets the site's path as the first thing that it does.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.schema_details import COMPUTES
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.postgres.client import Session

_OURS = "pg_catalog, pg_temp"
SITES = literal("korrigo_backup.site_path")
"""A setting of our own that keeps the site's path for the session."""

_SET = "pg_catalog.set_config('search_path', coalesce(pg_catalog.current_setting({}, true), ''), {})"

TO_SITE_PATH = f"{_SET.format(SITES, 'true')} IS NOT NULL"
"""Always true; from its evaluation on, the site's path holds, to the end of the transaction or until `FROM_SITE_PATH`.

All names of the statement were found before, when it was parsed."""

FROM_SITE_PATH = f"SET LOCAL search_path = {_OURS}"

CHECK_CONSTRAINTS = f"SELECT {TO_SITE_PATH}; SET CONSTRAINTS ALL IMMEDIATE; {FROM_SITE_PATH}"
"""Statements that run the checks and triggers that were put off; they print a line."""

# The planner evaluates the functions of indexes and statistics. The server keeps those of indexes once they are known.
_COMPUTING = f"""
SELECT coalesce(json_agg(json_build_array(n.nspname, c.relname)), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND ({COMPUTES})
"""


def role_path(database: str = "") -> str:
    """Return the expression of the role's own search path in a database, by default in that of the session.

    The nearest setting counts, and the default where there is none. A copy of a database has no settings of its own.
    """
    named = literal(database) if database else "current_database()"
    return f"""coalesce((
    SELECT substr(entry, length('search_path=') + 1)
    FROM pg_db_role_setting s, unnest(s.setconfig) entry
    WHERE entry LIKE 'search\\_path=%'
      AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
      AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = {named}))
    ORDER BY (s.setrole <> 0) DESC, (s.setdatabase <> 0) DESC LIMIT 1),
  (SELECT boot_val FROM pg_settings WHERE name = 'search_path'))"""


def use_own_path(session: Session) -> None:
    """Leave the site's path, which the session has, for ours, and keep it for `TO_SITE_PATH`."""
    schemas = session.ask("SELECT pg_catalog.to_json(pg_catalog.current_schemas(false))", tuple[str, ...])
    path = ", ".join(map(identifier, schemas))
    session.run(f"SET korrigo_backup.site_path = {literal(path)}; SET search_path = {_OURS}")
    if computing := session.ask(_COMPUTING, list[tuple[str, str]]):
        session.precede(partial(_planned, path, [".".join(map(identifier, name)) for name in computing]))


def _planned(path: str, computing: Sequence[str], sql: str) -> str:
    """Return the statements by which the server knows the indexes of the tables that a question names.

    Others are left alone: somebody may have locked them.
    """
    named = [f"SELECT FROM ONLY {name} LIMIT 0;" for name in computing if name in sql or normal_name(name) in sql]
    return f"SET search_path = {path or literal('')}; {' '.join(named)} SET search_path = {_OURS};" if named else ""


def use_role_path(session: Session, database: str = "") -> None:
    """Keep the role's path for `TO_SITE_PATH` in a session that was begun with ours.

    `database` is that whose path counts, if the session is on a copy of it.
    """
    session.run(f"SELECT set_config('search_path', {role_path(database)}, false)")
    use_own_path(session)


def explicit_type(kind: str) -> str:
    """Return the name of a type, as the server writes it with our path, for a statement with the site's path."""
    first = kind.partition("(")[0].partition("[")[0].partition(" ")[0]
    return kind if "." in kind or first in _GRAMMAR else f"pg_catalog.{kind}"


_GRAMMAR = frozenset(
    {"bigint", "bit", "boolean", "character", "double", "integer", "interval", "numeric", "real", "smallint", "time"}
    | {"timestamp"}
)
"""Types with names of the grammar, which stand for PostgreSQL's own with any path."""


@contextmanager
def site_path(session: Session) -> Iterator[None]:
    """Give the session the site's path for the block, whose statements name no operator and no function of ours."""
    former = session.precede(lambda _: "")
    session.run(f"SELECT {_SET.format(SITES, 'false')}")
    yield
    session.run(f"SET search_path = {_OURS}")
    session.precede(former)


def lines_with_site_path(change: str, line: str) -> str:
    """Return a statement that carries out a change with the site's path, and prints the JSON of each row changed."""
    return (
        f"WITH changed AS ({change} RETURNING {line} AS line)"
        f" SELECT NULL::json WHERE NOT ({TO_SITE_PATH}) UNION ALL SELECT line FROM changed"
    )
