"""The settings of every session of ours, fixed by us: a role, a database or a server may be set to anything.

Settings that each supported server knows travel with the connection (PGOPTIONS), where they win over `ALTER ROLE … SET`
and `ALTER DATABASE … SET`. Newer settings, and those that cannot be given there, are set by the first statement of a
session (`PRELUDE`). pg_dump takes no statement: it sets the newer settings itself and is given the role by `--role`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.postgres.sql import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIMITS = {"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}

_TEXT = {
    "array_nulls": "on",
    "backslash_quote": "safe_encoding",
    "bytea_output": "hex",
    "datestyle": "ISO, MDY",
    "escape_string_warning": "off",
    "extra_float_digits": "1",
    "intervalstyle": "postgres",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "xmlbinary": "base64",
    "xmloption": "content",
}
"""Settings that the text of values, names and expressions depends on, on its way out or in."""

_CONDUCT = {
    "check_function_bodies": "off",
    "client_min_messages": "warning",
    "default_tablespace": "",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "exit_on_error": "off",
    "row_security": "off",
    "synchronous_commit": "local",  # a commit waits for the server's own disk, never for a standby that is away
}

FIXED: Mapping[str, str] = _LIMITS | _TEXT | _CONDUCT
"""Settings of every session; PostgreSQL 13 to 18 know each of them, and any role may set them."""

ARRIVED = "korrigo_backup.options"
"""A setting of our own that proves that the options of a session have reached the server."""

LOCK_WAIT = "60s"
"""A backup waits no longer for a table that someone has locked: a migration under way is named, not waited out."""

_PROVING = {
    "timezone": "UTC",
    "lc_monetary": "C",
    "search_path": "pg_catalog",
    "jit": "off",
}


def options(changes: Mapping[str, str] | None = None) -> str:
    """Return the fixed settings, and `changes` over them, as PGOPTIONS takes them."""
    settings = {**FIXED, ARRIVED: "on", **(changes or {})}
    blank = str.maketrans({"\\": "\\\\", " ": "\\ "})
    return " ".join(f"-c {name}={value.translate(blank)}" for name, value in settings.items())


QUESTION = options({"client_encoding": "UTF8", "search_path": "pg_catalog"})
"""For questions about the catalogue and changes of whole databases."""

MAKING = options({"client_encoding": "UTF8"})
"""To make extensions in a new database: the script of PostGIS topology fails with a search path of pg_catalog alone."""

PATIENT = options({"client_encoding": "UTF8", "search_path": "pg_catalog", "lock_timeout": LOCK_WAIT})
"""For a session that reads tables which another session may have locked."""

DUMPING = options({"timezone": "UTC"})
"""For pg_dump: with these, equal rows have equal text in all our dumps. A dump loads the same with or without them."""

LOADING = options({"synchronous_commit": "off", "maintenance_work_mem": "256MB"})
"""For a load: the staged database has no value until the swap, whose commit forces everything before it to disk."""

PROVING = "; ".join(f"SET {name} = {literal(value)}" for name, value in (_TEXT | _CONDUCT | _PROVING).items()) + ";"
"""Statements that fix the settings again where a session has run statements of others, and those of a proof."""

_UNLIMITED = ("idle_session_timeout", "transaction_timeout")
"""Time limits that came with PostgreSQL 14 and 17."""

_PRIVILEGED = {"session_replication_role": "origin", "lc_messages": "C"}
"""Settings that a superuser alone may change, and that a superuser alone may have given to others."""

PRELUDE = (
    "SET ROLE NONE;"
    " SELECT pg_catalog.set_config(n, '0', false) FROM pg_catalog.unnest(ARRAY["
    + ", ".join(map(literal, _UNLIMITED))
    + "]) n WHERE pg_catalog.current_setting(n, true) OPERATOR(pg_catalog.<>) '0'"
    + "".join(
        f" UNION ALL SELECT pg_catalog.set_config({literal(name)}, {literal(value)}, false)"
        f" WHERE pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on'"
        f" AND pg_catalog.current_setting({literal(name)}) OPERATOR(pg_catalog.<>) {literal(value)}"
        for name, value in _PRIVILEGED.items()
    )
    + " \\g /dev/null\n"
)
"""First lines of a psql session. `ALTER ROLE … SET role` is undone: the configured role does the work."""

IS_DIRECT = f"SELECT coalesce(pg_catalog.current_setting({literal(ARRIVED)}, true), '')"
"""Prints `on` in a session of the server itself: a connection pooler drops the options."""
