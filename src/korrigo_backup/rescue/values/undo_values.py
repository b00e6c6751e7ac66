"""Undo a revert or the restore of a table: values that were put back are those of before again, removed rows come back.

Only a row that still has the values that were put there is changed. The lines of the record are in
`pg_temp.korrigo_backup_undo_rows` of the session: the values of before (`former`), those that were put there
(`put`), whole rows (`removed`), as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.errors import ProofFailed, Refused
from korrigo_backup.postgres.site_path import TO_SITE_PATH
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.objects import written_object
from korrigo_backup.rescue.steps.exchanging import Changing, freeing, or_freed, prepare
from korrigo_backup.rescue.values.removed_rows import RemovedRows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.erasure.erased import ErasedKeys
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.tables import TableLayout


@dataclass(frozen=True)
class UndoValues:
    """The undo of the values of a record; `layout` gives the live table of a number in its head."""

    session: Session
    layout: Callable[[int], TableLayout]
    keys: Callable[[int], tuple[str, ...]]

    def changed(self) -> dict[int, int]:
        """Return the number of rows with values that were put back, by table."""
        return self._count("former")

    def removed(self) -> dict[int, int]:
        """Return the number of rows that were removed, by table."""
        return self._count("removed")

    def _count(self, column: str) -> dict[int, int]:
        query = (
            "SELECT coalesce(json_agg(json_build_array(number, count) ORDER BY number), '[]') FROM"
            f" (SELECT number, count(*) FROM pg_temp.korrigo_backup_undo_rows WHERE {column} IS NOT"
            " NULL GROUP BY number) c"
        )
        return dict(self.session.ask(query, list[tuple[int, int]]))

    def require_unchanged(self, verb: str) -> None:
        """Raise Refused if a row has other values than were put there, or if a removed row is there again."""
        for number in self.changed():
            table, columns = self.layout(number), self._columns(number, "former")
            self._require_known(table, columns)
            live = f"SELECT FROM ONLY {table.sql} l WHERE {self._is_row(number)} AND {_has(columns, 'put')}"
            self._refuse(number, f"u.former IS NOT NULL AND NOT EXISTS ({live})", f"changed again since the {verb}")
        for number in self.removed():
            table, columns = self.layout(number), self._columns(number, "removed")
            self._require_known(table, columns)
            live = f"SELECT FROM ONLY {table.sql} l WHERE {self._is_row(number)}"
            self._refuse(number, f"u.removed IS NOT NULL AND EXISTS ({live})", f"made again since the {verb}")

    def _refuse(self, number: int, condition: str, words: str) -> None:
        query = (
            f"SELECT coalesce(json_agg(u.key), '[]') FROM pg_temp.korrigo_backup_undo_rows u WHERE u.number = {number}"
        )
        found = self.session.ask(f"{query} AND {condition}", list[tuple[str, ...]])
        keys = [",".join(key) for key in found]
        if keys:
            changed = quote(written_object(self.layout(number).name, found[0]))
            raise Refused(
                f"rows of {self.layout(number).name} were {words}: {first_of(keys)}",
                hint=f"all stays as it is; korrigo-backup history {changed} shows how that row changed",
                id_="undelete.changed",
            )

    def _require_known(self, table: TableLayout, columns: tuple[str, ...]) -> None:
        if lost := set(columns) - set(table.columns):
            raise Refused(
                f"{table.name} has no {', '.join(sorted(lost))} any more: the values of before have no place",
                hint="undo its migration first",
            )

    def updates(self) -> list[tuple[str, str]]:
        """Return the statements that give the rows the values of before again, each with a name."""
        found = []
        for number in self.changed():
            table, columns = self.layout(number), self._columns(number, "former")
            sets = ", ".join(
                f"{identifier(name)} = CASE WHEN jsonb_exists(u.former, {literal(name)})"
                f" THEN CAST(u.former ->> {literal(name)} AS {_type(table, name)}) ELSE l.{identifier(name)} END"
                for name in columns
            )
            statement = (
                f"UPDATE ONLY {table.sql} l SET {sets} FROM pg_temp.korrigo_backup_undo_rows u WHERE"
                f" u.number = {number}"
                f" AND u.former IS NOT NULL AND {self._is_row(number)} AND {_as_put(number, columns)}"
            )
            found.append((f"u{number}", statement))
        return found

    def exchanges(self) -> list[str]:
        """Return the statements that come first: rows give up the unique values that others of them had before."""
        numbers = list(self.changed())
        prepare(self.session, numbers)
        return [statement for number in numbers for statement in freeing(self.session, self._changing(number))]

    def _changing(self, number: int) -> Changing:
        table, columns = self.layout(number), self._columns(number, "former")

        def new(name: str) -> str:
            live = f"CAST(l.{identifier(name)} AS text)"
            former = f"u.former ->> {literal(name)}"
            return f"CASE WHEN jsonb_exists(u.former, {literal(name)}) THEN {former} ELSE {live} END"

        rows = (
            f"FROM ONLY {table.sql} l JOIN pg_temp.korrigo_backup_undo_rows u ON {self._is_row(number)}"
            f" WHERE u.number = {number} AND u.former IS NOT NULL AND {_as_put(number, columns)}"
        )
        return Changing(number, table, columns, rows, new)

    def inserts(self) -> list[tuple[str, str]]:
        """Return the statements that insert the removed rows again, each with a name."""
        found = []
        for number in self.removed():
            table, columns = self.layout(number), self._columns(number, "removed")
            values = (f"CAST(u.removed ->> {literal(name)} AS {_type(table, name)})" for name in columns)
            statement = (
                f"INSERT INTO {table.sql} ({', '.join(map(identifier, columns))}) OVERRIDING SYSTEM VALUE"
                f" SELECT {', '.join(values)} FROM pg_temp.korrigo_backup_undo_rows u WHERE u.number = {number}"
                " AND u.removed IS NOT NULL"
            )
            found.append((f"i{number}", statement))
        return found

    def require_as_before(self, verb: str) -> None:
        """Raise ProofFailed if a row has not the values of before now: a trigger of the site has changed them."""
        different: dict[str, int] = {}
        for column, numbers in (("former", self.changed()), ("removed", self.removed())):
            for number in numbers:
                table = self.layout(number)
                live = (
                    f"SELECT FROM ONLY {table.sql} l WHERE {self._is_row(number)}"
                    f" AND {_has(self._columns(number, column), column)}"
                )
                query = f"SELECT to_json(count(*)) FROM pg_temp.korrigo_backup_undo_rows u WHERE u.number = {number}"
                if count := self.session.ask(f"{query} AND u.{column} IS NOT NULL AND NOT EXISTS ({live})", int):
                    different[table.name] = different.get(table.name, 0) + count
        if different:
            names = ", ".join(f"{count} of {name}" for name, count in different.items())
            raise ProofFailed(
                f"the values are not those of before the {verb}: {names}",
                hint="a trigger of the site changes rows while they are changed",
                id_="undelete.trigger",
            )

    def leave_out(self, entries: Sequence[Entry], keys: Mapping[str, Key]) -> dict[str, int]:
        """Drop what is recorded of rows that were erased on request; return the numbers of rows by table."""
        numbers = list(self.removed())
        removed = RemovedRows(
            self.session,
            {number: self.layout(number) for number in numbers},
            {number: self._columns(number, "removed") for number in numbers},
        )
        return removed.leave_out(entries, keys)

    def erased(self, number: int, name: str, erased: ErasedKeys) -> list[str]:
        """Return the recorded places of the other rows of a table that were erased on request.

        A row that was inserted is among them if it is gone: it is not to be deleted any more.
        """
        found: set[str] = set()
        for columns in erased.tables.get(name, {}):
            table, key = self.layout(number), self.keys(number)
            if not set(columns) <= set(key):
                continue
            cells = ", ".join(f"CAST(u.key[{key.index(one) + 1}] AS {_type(table, one)})" for one in columns)
            live = f"SELECT FROM ONLY {table.sql} l WHERE {self._is_row(number)}"
            rows = (
                f"SELECT u.ctid, {cells} FROM pg_temp.korrigo_backup_undo_rows u WHERE u.number ="
                f" {number} AND u.link = '{{}}'"
                f" AND (u.former IS NOT NULL OR (u.hash IS NOT NULL AND NOT EXISTS ({live}))) AND {TO_SITE_PATH}"
            )
            copied = f"BEGIN; SET LOCAL timezone = 'UTC'; COPY ({rows}) TO STDOUT (ENCODING 'UTF8'); COMMIT"
            for place, *cell in (line.split(b"\t") for line in self.session.run(copied).splitlines()):
                if erased.holds(name, dict(zip(columns, cell, strict=True))):
                    found.add(place.decode())
        return sorted(found)

    def drop_gone(self, number: int) -> int:
        """Drop what is recorded of inserted rows that are gone; return their number."""
        live = f"SELECT FROM ONLY {self.layout(number).sql} l WHERE {self._is_row(number)}"
        return self.session.ask(
            f"WITH x AS (DELETE FROM pg_temp.korrigo_backup_undo_rows u WHERE u.number = {number} AND u.link = '{{}}'"
            f" AND u.hash IS NOT NULL AND NOT EXISTS ({live}) RETURNING 1) SELECT to_json(count(*)) FROM x",
            int,
        )

    def gets_another(self, number: int, child: str, columns: tuple[str, ...]) -> str:
        """Return the condition that a live row, alias `child`, gets other values in one of `columns`."""
        texts = ", ".join(f"{child}.{identifier(name)}::text" for name in self.keys(number))
        some = " OR ".join(f"jsonb_exists(w.former, {literal(name)})" for name in columns)
        return (
            f"EXISTS (SELECT FROM pg_temp.korrigo_backup_undo_rows w WHERE w.number = {number} AND w.former IS NOT NULL"
            f" AND ARRAY[{texts}]::text[] = w.key AND ({some}))"
        )

    def _columns(self, number: int, column: str) -> tuple[str, ...]:
        query = (
            "SELECT coalesce(json_agg(DISTINCT name), '[]')"
            f" FROM pg_temp.korrigo_backup_undo_rows u, jsonb_object_keys(u.{column}) name"
            f" WHERE u.number = {number} AND u.{column} IS NOT NULL"
        )
        return self.session.ask(query, tuple[str, ...])

    def _is_row(self, number: int) -> str:
        texts = ", ".join(f"l.{identifier(name)}::text" for name in self.keys(number))
        return f"ARRAY[{texts}]::text[] = u.key"


def _has(columns: tuple[str, ...], recorded: str) -> str:
    """Return the condition that a live row `l` has recorded values: `put`, `former` or `removed`."""
    return " AND ".join(
        f"(NOT jsonb_exists(u.{recorded}, {literal(name)}) OR CAST(l.{identifier(name)} AS text)"
        f" IS NOT DISTINCT FROM u.{recorded} ->> {literal(name)})"
        for name in columns
    )


def _as_put(number: int, columns: tuple[str, ...]) -> str:
    return or_freed(number, _has(columns, "put"))


def _type(table: TableLayout, column: str) -> str:
    return table.types[column]
