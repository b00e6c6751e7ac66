"""Keep every sequence of the site where it stands while the probe writes: a rollback does not give a number back.

Rows that Django's ORM inserts get a free number of ours from the top of the column's range. Every other statement that
would take a number from a sequence is refused before it reaches the server: a statement that leaves the column out,
calls nextval, or has a trigger that does so.
"""

from __future__ import annotations

import random
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import models, router
from django.db.models.fields import AutoFieldMixin

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = re.compile(r"\w+")
_NAME = r'(?:"((?:[^"]|"")+)"|(\w+))'
_INSERT = re.compile(rf"\s*INSERT\s+INTO\s+(?:{_NAME}\s*\.\s*)?{_NAME}\s*(?:\(([^)]*)\))?", re.IGNORECASE)
_MOVES = frozenset({"nextval", "setval", "execute"})
"""Words of SQL that may move a sequence by themselves; the text that EXECUTE runs is not known."""

_INSERTS = frozenset({"insert", "merge"})
_PLAIN_LANGUAGES = frozenset({"sql", "plpgsql"})
_COMPILED = frozenset({"c", "internal"})

_USER = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

_FUNCTIONS = f"""
SELECT p.proname, l.lanname, CASE WHEN l.lanname IN ('sql', 'plpgsql') THEN pg_get_functiondef(p.oid) ELSE '' END
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE p.prokind <> 'a' AND {_USER}
"""

_DEFAULTS = f"""
SELECT c.relname, a.attname, a.attidentity <> '',
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' || coalesce(t.typdefault, '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE {_USER} AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f')
  AND (a.attidentity <> '' OR a.atthasdef AND a.attgenerated = '' OR t.typdefault IS NOT NULL)
"""

_TRIGGERS = f"""
SELECT c.relname, p.proname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_proc p ON p.oid = g.tgfoid
WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND {_USER}
UNION ALL
SELECT c.relname, NULL FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.ev_type <> '1' AND {_USER}
"""

_SMALL, _LARGE = (32767, 100), (2147483647, 1_000_000)
"""The largest number of a column, and how far below it our numbers lie; a big column is used as an integer's."""

_TRIES = 20


class WouldMoveError(Exception):
    """A statement was refused, because it would take a number from a sequence for good."""


@dataclass
class _Known:
    """The catalog of a database, by plain lower-case names; schemas are not distinguished."""

    columns: dict[str, set[str]] = field(default_factory=dict)
    triggers: dict[str, set[str | None]] = field(default_factory=dict)
    functions: dict[str, list[tuple[str, frozenset[str]]]] = field(default_factory=dict)

    def refuse(self, statement: str) -> None:
        """Raise WouldMoveError for a statement that may take a number."""
        if found := _INSERT.match(statement):
            table = (found[3] or found[4]).replace('""', '"').lower()
            listed = {name.strip().strip('"').lower() for name in (found[5] or "").split(",")}
            left_out = self.columns.get(table, set()) - listed
            words = _words(statement[found.end() :])
            if left_out or (table in self.columns and "default" in words):
                raise WouldMoveError(f"the site inserts into {table} by a statement that takes a number of a sequence")
            if words & _MOVES or self._called(words, set()) or self._fires({table}, set()):
                raise WouldMoveError(f"an insert into {table} may take numbers of other sequences (triggers, rules)")
        elif self._reaches(_words(statement), set()):
            raise WouldMoveError("a statement of the site may take the number of a sequence")

    def _reaches(self, words: frozenset[str], seen: set[str]) -> bool:
        if words & _MOVES or (words & _INSERTS and words & self.columns.keys()):
            return True
        writes = bool(words & (_INSERTS | {"update", "delete", "truncate"}))
        return self._called(words, seen) or (writes and self._fires(words & self.triggers.keys(), seen))

    def _fires(self, tables: set[str] | frozenset[str], seen: set[str]) -> bool:
        names = {name for table in tables for name in self.triggers.get(table, ())}
        return None in names or any(self._moves(name, seen) for name in names if name)

    def _called(self, words: frozenset[str], seen: set[str]) -> bool:
        return any(self._moves(name, seen) for name in words & self.functions.keys())

    def _moves(self, function: str, seen: set[str]) -> bool:
        """Return whether a function may take a number; a function in an unreadable language may."""
        if function in seen:
            return False
        seen.add(function)
        return any(
            language not in _COMPILED and (language not in _PLAIN_LANGUAGES or self._reaches(words, seen))
            for language, words in self.functions.get(function, ())
        )


@contextmanager
def keeping_sequences(connection: Any) -> Iterator[None]:
    """Refuse, in the block, every statement of a PostgreSQL connection that would move a sequence."""
    known = _known(connection)

    def guard(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's
        known.refuse(sql if isinstance(sql, str) else sql.as_string(context["connection"].connection))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(guard):
        yield


@contextmanager
def own_numbers() -> Iterator[None]:
    """Give each row that the ORM inserts in the block a free number of ours, so that the column is in its INSERT."""
    AutoFieldMixin.get_pk_value_on_save = _own_number
    try:
        yield
    finally:
        del AutoFieldMixin.get_pk_value_on_save


def _own_number(column: Any, instance: Any) -> int | None:
    """Return a number that no row has; None, so that the insert is refused, when none of a few tries is free."""
    model = column.model
    largest, room = _SMALL if isinstance(column, models.SmallAutoField) else _LARGE
    alias = instance._state.db or router.db_for_write(model, instance=instance)  # noqa: SLF001 - Django's documented name
    for _ in range(_TRIES):
        number = largest - random.randrange(room)  # noqa: S311 - no secret
        if not model._base_manager.using(alias).filter(**{column.attname: number}).exists():  # noqa: SLF001
            return number
    return None


def _known(connection: Any) -> _Known:
    known = _Known()
    with connection.cursor() as cursor:
        cursor.execute(_FUNCTIONS)
        for name, language, source in cursor.fetchall():
            known.functions.setdefault(name.lower(), []).append((language, _words(source)))
        cursor.execute(_TRIGGERS)
        for table, function in cursor.fetchall():
            known.triggers.setdefault(table.lower(), set()).add(function and function.lower())
        cursor.execute(_DEFAULTS)
        for table, column, is_identity, expression in cursor.fetchall():
            words = _words(expression)
            if is_identity or words & _MOVES or known._called(words, set()):  # noqa: SLF001
                known.columns.setdefault(table.lower(), set()).add(column.lower())
    return known


def _words(source: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(source))
