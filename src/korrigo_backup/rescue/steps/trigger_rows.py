"""Rows that triggers of the site insert while rows come back, and that refer to these: the undo removes them, too.

The server's own counts of the open transaction tell in which tables rows were inserted besides ours. A table in which a
row was updated, too, is left out: an updated row was there before, and looks like an inserted row. So the undo stops at
its rows as at those of a person. The same is true of rows that a trigger inserts in a block with an exception handler,
and of all rows if the transaction has deleted a row anywhere or emptied a table: a row that moves to another table or
partition is deleted and inserted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.recovery.undelete import RecordedTable
from korrigo_backup.rescue.closure import PICKED, refers_to
from korrigo_backup.rescue.staged_rows import OVER
from korrigo_backup.rescue.steps.transaction import content_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedTable

_MADE = "pg_temp.korrigo_backup_made"


class TriggerRows:
    """The rows of triggers in a transaction: `begin` before the rows come back, `find` afterwards."""

    def __init__(self, session: Session, live: Mapping[str, TableLayout], relations: Sequence[RowRelation]) -> None:
        self._session = session
        self._live = live
        self._relations = relations
        self._before: dict[str, tuple[int, int, int]] = {}
        self._tables: list[TableLayout] = []

    def begin(self) -> None:
        """Note the counts of the session so far."""
        self._before = self._counts()

    def find(self, inserted: Sequence[StagedTable]) -> None:
        """Find the rows of triggers that refer to the inserted rows, directly or not."""
        own = {one.live.name: one for one in inserted}
        possible = self._possible(own)
        if not possible:
            return
        self._session.run("CREATE TEMP TABLE korrigo_backup_made (name text, place tid)")
        reached, new = set[str](), set(own)
        while new:
            reached |= new
            asked = [one for one in self._relations if one.table in possible and one.to in reached]
            found = {one.table: 0 for one in asked}
            for one in asked:
                found[one.table] += self._find(one, own)
            new = {name for name, count in found.items() if count}
        made = self._session.ask(f"SELECT coalesce(json_agg(DISTINCT name), '[]') FROM {_MADE}", list[str])
        self._tables = [self._live[name] for name in sorted(made)]

    @property
    def recorded(self) -> list[RecordedTable]:
        """The tables of these rows, for the head of the record."""
        return [RecordedTable(one.schema, one.table, one.columns, _key(one), made=True) for one in self._tables]

    def lines(self, first: int) -> Iterator[bytes]:
        """Yield the lines of the record; the tables have the numbers from `first` on in its head."""
        for number, live in enumerate(self._tables, first):
            content = ", ".join(f"c.{identifier(name)}" for name in live.columns)
            key = ", ".join(f"c.{identifier(name)}::text" for name in _key(live))
            yield from self._session.stream(
                f"SELECT json_build_object('table', {number}, 'key', ARRAY[{key}]::text[],"
                f" 'hash', {content_hash(f'ROW({content})::text')}::text) FROM ONLY {live.sql} c JOIN {_MADE} m"
                f" ON m.name = {literal(live.name)} AND m.place = c.ctid"
            )

    def _possible(self, own: Mapping[str, StagedTable]) -> set[str]:
        """Return the tables in which others than our statements have inserted rows, and nobody has updated one."""
        found, counts = set[str](), self._counts()
        if _deletions(counts) != _deletions(self._before) or self._session.ask(_EMPTIED, bool):
            return found
        for name, (inserts, updates, _) in counts.items():
            before = self._before.get(name, (0, 0, 0))
            mine = 0
            if one := own.get(name):
                mine = self._session.ask(f"SELECT to_json(count(*)) FROM {one.gone} WHERE {PICKED} AND NOT {OVER}", int)
            if name in self._live and inserts - before[0] > mine and updates == before[1]:
                found.add(name)
        return found

    def _counts(self) -> dict[str, tuple[int, int, int]]:
        counts = self._session.ask(_COUNTS, dict[str, tuple[int, int, int]])
        return {normal_name(name): count for name, count in counts.items()}

    def _find(self, relation: RowRelation, own: Mapping[str, StagedTable]) -> int:
        """Note the rows of a relation's table that our transaction has made; return the number of new rows."""
        child, parent = self._live[relation.table], self._live[relation.to]
        made = f"SELECT FROM {_MADE} m WHERE m.name = {literal(child.name)} AND m.place = c.ctid"
        refers = refers_to(relation, "c", "p")
        made_parent = (
            f"EXISTS (SELECT FROM ONLY {parent.sql} p JOIN {_MADE} m ON m.name = {literal(parent.name)}"
            f" AND m.place = p.ctid WHERE {refers})"
        )
        parents = [made_parent]
        if (one := own.get(parent.name)) and set(relation.to_columns) <= set(one.written):
            back = f"SELECT FROM {one.gone} p WHERE p.{PICKED} AND NOT p.{OVER} AND {refers}"
            parents.append(f"EXISTS ({back})")
        ours = ""
        if one := own.get(child.name):
            ours = f" AND NOT EXISTS (SELECT FROM {one.gone} g WHERE g.{PICKED} AND {one.same('c', 'g')})"
        return self._session.ask(
            f"WITH x AS (INSERT INTO {_MADE} SELECT {literal(child.name)}, c.ctid FROM ONLY {child.sql} c"
            f" WHERE c.xmin = pg_current_xact_id()::xid AND NOT EXISTS ({made}) AND ({' OR '.join(parents)}){ours}"
            " RETURNING 1) SELECT to_json(count(*)) FROM x",
            int,
        )


def _deletions(counts: Mapping[str, tuple[int, int, int]]) -> int:
    return sum(deletes for _, _, deletes in counts.values())


def _key(live: TableLayout) -> tuple[str, ...]:
    return live.key or live.columns


_COUNTS = """
SELECT coalesce(json_object_agg(quote_ident(schemaname) || '.' || quote_ident(relname),
                                json_build_array(n_tup_ins, n_tup_upd, n_tup_del)), '{}')
FROM pg_stat_xact_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 AND current_setting('track_counts')::bool
AND schemaname NOT LIKE 'pg\\_temp\\_%'
"""

_EMPTIED = """
SELECT to_json(EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
 WHERE l.pid = pg_backend_pid() AND l.mode = 'AccessExclusiveLock' AND c.relkind IN ('r', 'p')
 AND c.relnamespace <> pg_my_temp_schema()))
"""
"""Whether the transaction holds the lock that TRUNCATE takes; the server does not count the rows that go with it."""
