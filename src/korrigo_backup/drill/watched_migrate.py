"""Run `migrate` in the site's Django and report the locks and the rewritten tables of each migration.

The text of this module, with a call of `main`, is given to `manage.py shell -c` of the site, which may lack this
package: Python 3.9 and Django are all that it needs. A migration is two lines on the standard output, as it begins and
as it ends, each with `MARK` and a JSON document.

The session that migrates is asked for its locks after each statement but those about rows, and before it commits. A
second session looks at them meanwhile, too: a migration that is not atomic gives its locks back at once.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

MARK = "korrigo-backup migration: "

PAUSE = 0.02
"""Seconds between two looks of the second session."""

_ROWS = ("select", "insert", "update", "delete", "savepoint", "release", "with")
"""First words of statements after which the session is not asked: a migration may have a million of them."""

_RECORD = "django_migrations"
"""The table that an atomic migration writes to before it commits; it is asked then."""

_TABLES = """
SELECT c.oid::bigint, format('%I.%I', n.nspname, c.relname), coalesce(pg_relation_filenode(c.oid), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_|^information_schema$'
"""

_LOCKS = """
SELECT relation::bigint, mode FROM pg_locks
WHERE pid = {} AND locktype = 'relation' AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class LockWatch:
    """The locks that a session takes on the tables that exist at the beginning, while the block runs."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.before = {oid: (name, file) for oid, name, file in self._ask(_TABLES)}
        self.pid = self._ask("SELECT pg_backend_pid()")[0][0]
        self.seen: set[tuple[int, str]] = set()
        self._over = threading.Event()
        self._other = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._other.start()
        self._wrapper = self.connection.execute_wrapper(self._executed)
        self._wrapper.__enter__()

    def __exit__(self, *problem: object) -> None:
        self._wrapper.__exit__(*problem)
        self._over.set()
        self._other.join(10)

    def locks(self) -> list[dict[str, str]]:
        """Return each mode that was seen on each table."""
        return [{"table": self.before[oid][0], "mode": mode} for oid, mode in sorted(self.seen) if oid in self.before]

    def rewritten(self) -> list[str]:
        """Return the tables that have another file than before."""
        now = {oid: file for oid, _, file in self._ask(_TABLES)}
        return sorted(name for oid, (name, file) in self.before.items() if now.get(oid, file) != file)

    def _ask(self, query: str) -> list[Any]:
        self.connection.ensure_connection()
        with self.connection.connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def _executed(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's
        result = execute(sql, params, many, context)
        words = sql.lstrip().lower() if isinstance(sql, str) else ""
        if not words.startswith(_ROWS) or _RECORD in words:
            self.seen.update(self._ask(_LOCKS.format(self.pid)))
        return result

    def _look(self) -> None:
        other = self.connection.copy()
        try:
            with other.cursor() as cursor:
                while not self._over.wait(PAUSE):
                    cursor.execute(_LOCKS.format(self.pid))
                    self.seen.update(cursor.fetchall())
        finally:
            other.close()


def main() -> None:
    """Apply the migrations of the site; a migration that fails ends it with its traceback."""
    from django.core.management import call_command  # noqa: PLC0415 - the machine of the command may lack Django
    from django.db.migrations.executor import MigrationExecutor  # noqa: PLC0415

    apply = MigrationExecutor.apply_migration

    def watched(self: Any, state: Any, migration: Any, *arguments: Any, **options: Any) -> Any:
        name = f"{migration.app_label}.{migration.name}"
        _say({"name": name})
        watch, began, seconds = LockWatch(self.connection), time.monotonic(), None
        try:
            with watch:
                result = apply(self, state, migration, *arguments, **options)
            seconds = round(time.monotonic() - began, 3)
        finally:
            rewritten = watch.rewritten() if seconds is not None else []
            _say({"name": name, "seconds": seconds, "locks": watch.locks(), "rewritten": rewritten})
        return result

    MigrationExecutor.apply_migration = watched
    call_command("migrate", interactive=False, verbosity=1, no_color=True, skip_checks=False)


def _say(document: dict[str, Any]) -> None:
    print(f"\n{MARK}{json.dumps(document)}", flush=True)  # noqa: T201 - the program of another process
