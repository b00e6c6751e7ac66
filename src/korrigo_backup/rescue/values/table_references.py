"""The references of tables that are restored: rows that come back need their parents, rows that go need no children."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.errors import Refused
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.rescue.closure import PICKED, refers_to
from korrigo_backup.rescue.objects import written_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedRows
    from korrigo_backup.rescue.values.judged_rows import JudgedTable
    from korrigo_backup.rescue.values.put_back import PutBack


_OFFERED = 20
"""Objects that an offered command names one by one."""


class TableReferences:
    """The references of the tables of a restore, in its session."""

    def __init__(
        self,
        session: Session,
        live: Mapping[str, TableLayout],
        relations: Sequence[RowRelation],
        rows: StagedRows,
        put_back: PutBack,
    ) -> None:
        self._session = session
        self._live = live
        self._relations = relations
        self._rows = rows
        self._put_back = put_back

    def require_parents(self, dump: Artifact) -> None:
        """Raise Refused if a row would refer to a row that is neither live nor among those that come back."""
        for table in self._put_back.tables:
            for relation in self._relations:
                columns = set(relation.columns) <= set(table.staged.columns)
                if relation.table != table.staged.live.name or not columns or not relation.constrained:
                    continue
                keys = [key for source in self._rows_to_be(table, relation) for key in self._without(relation, source)]
                if keys:
                    objects = " ".join(quote(written_object(relation.to, key)) for key in dict.fromkeys(keys))
                    named = relation.to_columns == self._live[relation.to].key and len(set(keys)) <= _OFFERED
                    tables = " or ".join(f"--table {quote(name)}" for name in relation.parts or (relation.to,))
                    quoted_names = objects if named and not relation.parts else tables
                    raise Refused(
                        f"rows of {relation.table} would refer to rows of {relation.to} that are not live:"
                        f" {first_of([','.join(key) for key in dict.fromkeys(keys)])}",
                        hint=f"bring them back first: korrigo-backup undelete {quoted_names} --from {quote(dump.name)}",
                        id_="restore.table_references",
                    )

    def _rows_to_be(self, table: JudgedTable, relation: RowRelation) -> Iterator[str]:
        """Yield queries for the rows that come back, and those whose reference is put back, as the backup has them."""
        yield f"SELECT * FROM {table.staged.gone} WHERE {PICKED}"
        then = table.staged.same("t", "l")
        same = " AND ".join(
            f"CAST(t.{identifier(name)} AS text) IS NOT DISTINCT FROM CAST(l.{identifier(name)} AS text)"
            for name in relation.columns
        )
        yield (
            f"SELECT t.* FROM {table.staged.then} t JOIN ONLY {table.staged.live.sql} l ON {then} WHERE NOT ({same})"
        )

    def _without(self, relation: RowRelation, source: str) -> list[tuple[str, ...]]:
        """Return the keys to which rows refer, and that will not be live.

        A row of a table that is restored with them counts with the values that it gets back.
        """
        refers, conditions = refers_to(relation, "c", "p"), [f"c.{identifier(n)} IS NOT NULL" for n in relation.columns]
        restored = {one.staged.live.name for one in self._put_back.tables}
        for name in relation.parts or (relation.to,):
            conditions.append(f"NOT EXISTS (SELECT FROM ONLY {self._live[name].sql} p WHERE {refers})")
            staged = self._rows.tables.get(name)
            if staged is not None and set(relation.to_columns) <= set(staged.columns):
                rows, picked = (staged.then, "") if name in restored else (staged.gone, f"p.{PICKED} AND ")
                conditions.append(f"NOT EXISTS (SELECT FROM {rows} p WHERE {picked}{refers})")
        texts = ", ".join(f"c.{identifier(name)}::text" for name in relation.columns)
        return self._session.ask(
            f"SELECT coalesce(json_agg(k), '[]') FROM (SELECT DISTINCT ARRAY[{texts}]::text[] AS k FROM ({source}) c"
            f" WHERE {' AND '.join(conditions)} ORDER BY k LIMIT 1000) x",
            list[tuple[str, ...]],
        )

    def require_no_children(self) -> None:
        """Raise Refused if a row that stays refers to a newer row that would be removed."""
        for table in self._put_back.tables:
            if table.staged.live.name not in self._put_back.removes:
                continue
            for relation in self._relations:
                if relation.to != table.staged.live.name:
                    continue
                child = self._live[relation.table]
                own = next((one for one in self._put_back.tables if one.staged.live.name == relation.table), None)
                stays = ""
                if own and set(relation.columns) <= set(own.staged.columns):  # they will refer as in the backup
                    stays = f" AND NOT EXISTS (SELECT FROM {own.staged.then} t WHERE {own.staged.same('c', 't')})"
                if own and relation.table in self._put_back.removes:
                    stays += f" AND NOT EXISTS (SELECT FROM {own.removed} r WHERE {own.staged.same('c', 'r')})"
                query = (
                    f"SELECT to_json(count(*)) FROM ONLY {child.sql} c WHERE EXISTS"
                    f" (SELECT FROM {table.removed} p WHERE {refers_to(relation, 'c', 'p')}){stays}"
                )
                if count := self._session.ask(query, int):
                    raise Refused(
                        f"newer rows of {relation.to} cannot be removed: {counted(count, 'row')} of {child.name}"
                        " would be left without them",
                        hint=f"leave out --exact, or restore both: --table {quote(relation.to)} --table"
                        f" {quote(child.name)} --exact",
                        id_="restore.table_references",
                    )
