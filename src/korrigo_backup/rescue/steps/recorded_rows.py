"""The rows of a record in a session on the live database: found as the operation has left them, and taken back."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.erasure.erased import erased_keys
from korrigo_backup.errors import Refused
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.postgres.site_path import CHECK_CONSTRAINTS, FROM_SITE_PATH
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.postgres.tables import read_row_tables
from korrigo_backup.recovery.undelete import row_lines
from korrigo_backup.rescue.closure import refers_to
from korrigo_backup.rescue.relations import children_first, described_relations, downward
from korrigo_backup.rescue.steps.recorded_queries import COUNTS, NTH, keyless, nth, row_hash, texts
from korrigo_backup.rescue.steps.transaction import in_steps
from korrigo_backup.rescue.values.undo_values import UndoValues
from korrigo_backup.site.erasures import entries_about, ledger_keys
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.recovery.undelete import UndeleteHead
    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.site.site import Site

OTHERS = "korrigo-backup rollback --undo ID, korrigo-backup list shows the ids"


class RecordedRows:
    """The rows of a record in a session on the live database."""

    def __init__(self, site: Site, session: Session, head: UndeleteHead, record: Path) -> None:
        self._site = site
        self._session = session
        self._head = head
        self._record = record
        self._live = read_row_tables(session)
        self._relations: tuple[RowRelation, ...] = described_relations(site, session, self._live)
        self._values = UndoValues(session, self._table, lambda number: head.tables[number].key)
        self.erased: dict[str, int] = {}
        """The removed rows of each table that were erased on request since: they do not come back."""

    def read(self) -> None:
        """Read the record into the session; Refused if a row has changed since, or is gone."""
        self._session.run(
            "CREATE TEMP TABLE korrigo_backup_recorded (line jsonb); CREATE TEMP TABLE"
            " korrigo_backup_undo_rows (number int, key text[], hash bigint,"
            " link text[], former jsonb, put jsonb, removed jsonb)"
        )
        with explained(f"read {self._record}"):
            self._session.feed(self._copied())
        self._session.run(
            "INSERT INTO pg_temp.korrigo_backup_undo_rows SELECT (line->>'table')::int,"
            " ARRAY(SELECT jsonb_array_elements_text(line->'key')), nullif(line->>'hash', '')::bigint,"
            " ARRAY(SELECT jsonb_array_elements_text(line->'link')), nullif(line->'former', 'null'),"
            " nullif(line->'put', 'null'), nullif(line->'removed', 'null')"
            " FROM pg_temp.korrigo_backup_recorded; ANALYZE pg_temp.korrigo_backup_undo_rows"
        )
        self.erased = self._leave_erased_out()
        for number, table in enumerate(self._head.tables):
            if table.made:
                self._values.drop_gone(number)
        for number, count in self._counts():
            self._find(number, count)
        self._values.require_unchanged(self._head.verb)

    @property
    def inserted(self) -> dict[str, int]:
        """The number of rows of each table that are deleted again."""
        return dict(sum((Counter({self._name(n): count}) for n, count in self._counts()), Counter[str]()))

    @property
    def changed(self) -> dict[str, int]:
        """The number of rows of each table that get the values of before."""
        return {self._name(number): count for number, count in self._values.changed().items()}

    @property
    def removed(self) -> dict[str, int]:
        """The number of rows of each table that are inserted again."""
        return {self._name(number): count for number, count in self._values.removed().items()}

    @property
    def links(self) -> int:
        """The number of references that are emptied again."""
        return self._session.ask(
            "SELECT to_json(count(*)) FROM pg_temp.korrigo_backup_undo_rows WHERE link <> '{}'", int
        )

    def _counts(self) -> list[tuple[int, int]]:
        return self._session.ask(COUNTS, list[tuple[int, int]])

    def _leave_erased_out(self) -> dict[str, int]:
        """Drop what is recorded of rows that were erased on request since; return their numbers by table."""
        entries, keys = entries_about(self._site, None, copied=self._head.created), ledger_keys(self._site)
        erased = erased_keys(entries, keys)
        found = dict(Counter(self._values.leave_out(entries, keys)) + Counter(self._head.erased))
        names = {number: self._name(number) for number, table in enumerate(self._head.tables) if table.key}
        with_it = downward(set(self._head.erased), self._relations)
        for number, name in names.items():
            if name in erased.tables and (lines := self._values.erased(number, name, erased)):
                with_it |= downward({name}, self._relations)
                found[name] = found.get(name, 0) + len(lines)
                listed = ", ".join(map(literal, lines))
                self._session.run(
                    f"DELETE FROM pg_temp.korrigo_backup_undo_rows WHERE ctid = ANY (ARRAY[{listed}]::tid[])"
                )
        for number, name in names.items():
            if name in with_it and (gone := self._values.drop_gone(number)):
                found[name] = found.get(name, 0) + gone
        return found

    def _copied(self) -> Iterator[bytes]:
        yield b"COPY pg_temp.korrigo_backup_recorded FROM STDIN;\n"
        for lines in row_lines(self._record):
            yield lines.replace(b"\\", b"\\\\")
        yield b"\\.\n"

    def _name(self, number: int) -> str:
        table = self._head.tables[number]
        return normal_name(f"{identifier(table.schema)}.{identifier(table.table)}")

    def _table(self, number: int) -> TableLayout:
        live = self._live.get(self._name(number))
        if live is None or not set(self._head.tables[number].key) <= set(live.columns):
            raise self._migrated(number)
        return live

    def _layout(self, number: int) -> TableLayout:
        live = self._table(number)
        if not set(self._head.tables[number].columns) <= set(live.columns):
            raise self._migrated(number)
        return live

    def _migrated(self, number: int) -> Refused:
        return Refused(
            f"the table {self._name(number)} has other columns than at the {self._head.verb}",
            hint="undo its migration first, or change the rows on the site",
        )

    def _find(self, number: int, count: int) -> None:
        """Note the live rows that are still as they were inserted; Refused if a row is not."""
        table, live = self._head.tables[number], self._layout(number)
        key, content = texts(table.key, "l"), row_hash(table.columns, "l")
        self._session.run(
            f"CREATE TEMP TABLE korrigo_backup_undo_{number} AS SELECT u.key AS korrigo_backup_key, l.* FROM ({NTH}) u"
            f" JOIN (SELECT l.ctid AS korrigo_backup_place, {nth(table)} AS korrigo_backup_nth, l.*"
            f" FROM ONLY {live.sql} l) l ON {key} = u.key AND {content} = u.hash AND l.korrigo_backup_nth = u.nth"
            f" WHERE u.number = {number}; ANALYZE pg_temp.korrigo_backup_undo_{number}"
        )
        if self._session.ask(f"SELECT to_json(count(*)) FROM pg_temp.korrigo_backup_undo_{number}", int) == count:
            return
        found = f"SELECT count(*) FROM pg_temp.korrigo_backup_undo_{number} f WHERE f.korrigo_backup_key = u.key"
        fewer = f"SELECT u.key FROM ({NTH}) u WHERE u.number = {number} GROUP BY u.key HAVING count(*) > ({found})"
        query = f"SELECT coalesce(json_agg(key), '[]') FROM ({fewer}) x"
        lost = self._session.ask(query, list[tuple[str | None, ...]])
        keys = [",".join(value or "" for value in key) for key in lost]
        raise Refused(
            f"rows of {live.name} were changed or deleted since the {self._head.verb}: {first_of(keys)}",
            hint=self._way_on,
            id_="undelete.changed",
        )

    @property
    def _way_on(self) -> str:
        verb = self._head.verb
        return f"the {verb} stays; change the rows on the site itself, or take back an earlier operation: {OTHERS}"

    def take_back(self) -> str:
        """Take the rows back in a transaction that stays open; return its number. Refused for rows that others need."""
        numbers = [number for number, _ in self._counts()]
        self._session.run("BEGIN")
        for number in numbers:  # a row that is locked so gets no new child
            self._session.run(
                f"SELECT FROM ONLY {self._layout(number).sql} l WHERE EXISTS"
                f" (SELECT FROM pg_temp.korrigo_backup_undo_{number} u WHERE {self._same(number, 'l', 'u')}) FOR UPDATE"
            )
        self._empty_links()
        for number in numbers:
            self._require_no_children(number, numbers)
        expected = sum(count for _, count in self._counts())
        expected += sum(self._values.changed().values()) + sum(self._values.removed().values())
        for statement in self._values.exchanges():
            self._session.run(f"{statement}; {FROM_SITE_PATH}")
        groups = children_first({number: self._name(number) for number in numbers}, self._relations)
        deletions = [[self._deletion(number) for number in group] for group in groups]
        if self._changed([*deletions, self._values.updates(), self._values.inserts()]) != expected:
            raise Refused("the live rows have changed since the plan", hint="run it again: it makes a new plan")
        self._session.run(CHECK_CONSTRAINTS)
        self._values.require_as_before(self._head.verb)
        return self._session.ask("SELECT to_json(pg_current_xact_id()::text)", str)

    def _changed(self, steps: list[list[tuple[str, str]]]) -> int:
        """Carry the changes out, and return the number of rows; Refused if a trigger is in their way."""
        if not any(steps):
            return 0
        try:
            return sum(self._session.ask(f"{in_steps(*steps)}; {FROM_SITE_PATH}", tuple[int, ...]))
        except StatementFailed as problem:
            if problem.server.sqlstate != _ALREADY_CHANGED:
                raise
            raise Refused(
                f"a trigger of the site changes rows of the {self._head.verb} while others of them are taken back",
                hint=self._way_on,
                detail=problem.message,
                id_="undelete.trigger",
            ) from None

    def _deletion(self, number: int) -> tuple[str, str]:
        """Return the statement that deletes the inserted rows of a table, with a name."""
        table, columns = self._head.tables[number], self._head.tables[number].columns
        place = " AND l.ctid = u.korrigo_backup_place" if keyless(table) else ""  # one of several equal rows
        return f"d{number}", (
            f"DELETE FROM ONLY {self._layout(number).sql} l USING pg_temp.korrigo_backup_undo_{number} u"
            f" WHERE {self._same(number, 'l', 'u')} AND {row_hash(columns, 'l')} = {row_hash(columns, 'u')}{place}"
        )

    def _same(self, number: int, one: str, other: str) -> str:
        table = self._head.tables[number]
        return f"{texts(table.key, one)} = {texts(table.key, other)}"

    def _empty_links(self) -> None:
        """Empty the references that the undelete has set, where they are still so."""
        links = self._session.ask(
            "SELECT coalesce(json_agg(DISTINCT jsonb_build_array(number, link)), '[]')"
            " FROM pg_temp.korrigo_backup_undo_rows WHERE link <> '{}'",
            list[tuple[int, tuple[str, ...]]],
        )
        for number, columns in links:
            table, live = self._head.tables[number], self._layout(number)
            empty = ", ".join(f"{identifier(name)} = NULL" for name in columns)
            link = f"ARRAY[{', '.join(map(literal, columns))}]"
            emptying = (
                f"UPDATE ONLY {live.sql} l SET {empty} FROM pg_temp.korrigo_backup_undo_rows u"
                f" WHERE u.number = {number} AND u.link = {link} AND {texts(table.key, 'l')} = u.key"
                f" AND {row_hash(columns, 'l')} = u.hash"
            )
            self._session.run(f"{in_steps([('emptied', emptying)])}; {FROM_SITE_PATH}")

    def _require_no_children(self, number: int, numbers: list[int]) -> None:
        """Raise Refused if rows that the undelete has not inserted refer to a row of it."""
        name = self._name(number)
        for relation in self._relations:
            if relation.to != name:
                continue
            child = self._live[relation.table]
            others = "".join(
                f" AND NOT EXISTS (SELECT FROM pg_temp.korrigo_backup_undo_{own} w WHERE {self._same(own, 'c', 'w')})"
                for own in numbers
                if self._name(own) == relation.table
            )
            if not relation.constrained:
                others += self._newer("c")
            numbers_of = (n for n in range(len(self._head.tables)) if self._name(n) == relation.table)
            for one in numbers_of:
                others += f" AND NOT {self._values.gets_another(one, 'c', relation.columns)}"
            query = (
                f"SELECT to_json(count(*)) FROM ONLY {child.sql} c WHERE EXISTS"
                f" (SELECT FROM pg_temp.korrigo_backup_undo_{number} u WHERE {refers_to(relation, 'c', 'u')}){others}"
            )
            if count := self._session.ask(query, int):
                raise Refused(
                    f"rows of {child.name} refer to rows of the {self._head.verb} now: {count}",
                    hint=self._way_on,
                    id_="undelete.changed",
                )

    def _newer(self, alias: str) -> str:
        """Return the condition, with AND, that a row may have been written since the operation.

        A reference that the database does not hold may be older than it, and then led nowhere: it may do so again.
        """
        if not self._head.horizon.isdigit():
            return ""
        return f" AND age({alias}.xmin) <= age({literal(self._head.horizon)}::xid)"


_ALREADY_CHANGED = "27000"
"""The SQLSTATE of a row that a trigger has changed or deleted while the statement was to do so."""
