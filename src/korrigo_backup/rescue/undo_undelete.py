"""Undo an undelete: the rows that it inserted are deleted again, and its files removed, if nobody has changed them.

One file: the checks before the deletion and the deletion itself speak of the same temporary tables.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding  # noqa: TC001 - msgspec reads it when it decodes
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.erasure.erased import erased_keys
from korrigo_backup.erasure.findings import rows_left_out
from korrigo_backup.errors import Cancelled, KorrigoBackupError, NotFound, PartlyDone, Refused, World
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.recovery.django import committed
from korrigo_backup.recovery.pending import require_plannable
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.recovery.undelete import (
    DONE,
    UNDOING,
    forget,
    read_rows,
    record_path,
    records,
    remove_files,
    write_record,
)
from korrigo_backup.recovery.undoable import touched_since, undoable
from korrigo_backup.rescue.closure import refers_to
from korrigo_backup.rescue.live_tables import described_relations, downward, read_tables
from korrigo_backup.rescue.staged_rows import rescue_session
from korrigo_backup.rescue.steps.transaction import content_hash, in_steps, partly
from korrigo_backup.rescue.values.undo_values import UndoValues
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, silent
from korrigo_backup.run.undo import ROLLED_BACK
from korrigo_backup.site.erasures import entries_about, ledger_keys
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.recovery.actions import Undoable
    from korrigo_backup.recovery.undelete import UndeleteHead
    from korrigo_backup.rescue.live_tables import RowRelation, TableLayout
    from korrigo_backup.site.site import Site

OTHERS = "korrigo-backup rollback --undo ID, korrigo-backup list shows the ids"

ONLY_UNDELETE = {"only": "undelete"}
"""The reason in the journal of a rollback that undoes an undelete: it is no undo of a restore."""

_SHOWN = 3


class UndoPlan(msgspec.Struct, frozen=True):
    """The effect of an undo: rows deleted from each table, links that are emptied again, files that are removed.

    `verb` made them. `changed` rows get the values of before, `removed` rows come back, but for those that were erased
    on request meanwhile.
    """

    stamp: str
    artifact: str
    asked: tuple[str, ...]
    tables: dict[str, int]
    links: int
    files: int
    verb: str = "undelete"
    changed: dict[str, int] = {}
    removed: dict[str, int] = {}
    findings: tuple[Finding, ...] = ()


def undone_record(catalog: Catalog, site: str, stamp: str | None) -> UndeleteHead:
    """Return the record with a stamp, or the newest, of those that can be undone in the live data.

    Raises NotFound if there is none; Refused if a later operation has touched the same rows or files.
    """
    done = [one for one in undoable(catalog.directory, site) if one.verb != Verb.RESTORE_FILES]
    chosen = next((one for one in done if stamp in {None, one.stamp}), None)
    heads = {one.stamp: one for one in records(catalog.directory, site, DONE)}
    if chosen is None or chosen.stamp not in heads:
        raise NotFound("no undelete is left to undo", hint="korrigo-backup list shows the backups")
    require_untouched(catalog, site, chosen)
    return heads[chosen.stamp]


def require_untouched(catalog: Catalog, site: str, chosen: Undoable) -> None:
    """Raise Refused if a later operation has touched rows or files of the chosen operation."""
    if later := touched_since(catalog.directory, site, chosen):
        raise Refused(
            f"the {later.verb} {later.stamp} came later and touched the same rows or files",
            hint=f"take that back first: korrigo-backup rollback --undo {later.stamp}",
            id_="undo.touched",
        )


def undo_undelete(
    site: Site,
    catalog: Catalog,
    *,
    confirm: Callable[[UndoPlan], bool],
    stamp: str | None = None,
    listen: Listener = silent,
    dry_run: bool = False,
) -> UndoPlan:
    """Delete the rows of the newest undelete, or of that with a stamp, again and remove its files.

    Raises NotFound without an undelete; Refused if a row was changed, or if other rows refer to it now, or if a later
    operation has touched them; Cancelled.
    """
    held = exclusive(site, catalog, "rollback of an undelete", listen=listen, dry_run=dry_run)
    with held as (site, recovered):  # noqa: PLR1704 - now held
        if dry_run:
            require_plannable(site, recovered)
        recovered.require_no_undelete()
        head = undone_record(catalog, site.name, stamp)
        require_same_database(site, head)
        with rescue_session(site.postgres) as session:
            undo = _Undo(site, session, head, record_path(catalog.directory, head.stamp, DONE))
            plan = undo.plan()
            if not confirm(plan):
                raise Cancelled("Rollback cancelled", hint="to continue, run it again and answer yes")
            why = ONLY_UNDELETE
            with journal.recorded(
                catalog.directory, site, Verb.ROLLBACK, head.stamp, listener=listen, why=why
            ) as running:
                undo.carry_out(catalog.directory, running)
    return plan


def require_same_database(site: Site, head: UndeleteHead) -> None:
    """Raise Refused if an operation took place in another database than the one that is configured now."""
    if head.database != site.postgres.database:
        raise Refused(
            f"the {head.verb} {head.stamp} was made in database {head.database}, and this site's is"
            f" {site.postgres.database}",
            hint="check POSTGRES_DB and --config: it is undone in the database in which it was made",
            id_="undo.database",
        )
    if head.system and site.cluster not in {"", head.system}:
        raise Refused(
            f"the {head.verb} {head.stamp} was made on another database cluster than that at"
            f" {site.postgres.access.description}",
            hint="it cannot be undone here; change the rows on the site itself",
            id_="undo.database",
        )


class _Undo:
    """The undo of an undelete in its session."""

    def __init__(self, site: Site, session: Session, head: UndeleteHead, record: Path) -> None:
        self._site = site
        self._session = session
        self._head = head
        self._record = record
        self._live = read_tables(session)
        self._relations: tuple[RowRelation, ...] = described_relations(site, session, self._live)
        self._values = UndoValues(session, self._table, lambda number: head.tables[number].key)

    def plan(self) -> UndoPlan:
        """Read the record into the session; return the plan. Raises Refused if something has changed since."""
        self._session.run(
            "CREATE TEMP TABLE recorded (line jsonb); CREATE TEMP TABLE undo_rows (number int, key text[], hash bigint,"
            " link text[], former jsonb, put jsonb, removed jsonb)"
        )
        with explained(f"read {self._record}"):
            self._session.feed(self._copied())
        self._session.run(
            "INSERT INTO pg_temp.undo_rows SELECT (line->>'table')::int,"
            " ARRAY(SELECT jsonb_array_elements_text(line->'key')), nullif(line->>'hash', '')::bigint,"
            " ARRAY(SELECT jsonb_array_elements_text(line->'link')), nullif(line->'former', 'null'),"
            " nullif(line->'put', 'null'), nullif(line->'removed', 'null')"
            " FROM pg_temp.recorded; ANALYZE pg_temp.undo_rows"
        )
        erased = self._leave_erased_out()
        counts = dict(self._session.ask(_COUNTS, list[tuple[int, int]]))
        for number, count in counts.items():
            self._find(number, count)
        self._values.require_unchanged(self._head.verb)
        tables = {self._name(number): count for number, count in counts.items()}
        return UndoPlan(
            self._head.stamp,
            self._head.artifact,
            self._head.asked,
            tables,
            self._session.ask("SELECT to_json(count(*)) FROM pg_temp.undo_rows WHERE link <> '{}'", int),
            len(self._head.files),
            self._head.verb,
            {self._name(number): count for number, count in self._values.changed().items()},
            {self._name(number): count for number, count in self._values.removed().items()},
            (rows_left_out(erased),) if erased else (),
        )

    def _leave_erased_out(self) -> dict[str, int]:
        """Drop what is recorded of rows that were erased on request since; return their numbers by table."""
        entries, keys = entries_about(self._site, None, copied=self._head.created), ledger_keys(self._site)
        erased = erased_keys(entries, keys)
        found = self._values.leave_out(entries, keys)
        names = {number: self._name(number) for number, table in enumerate(self._head.tables) if table.key}
        with_it = set[str]()
        for number, name in names.items():
            if name in erased.tables and (lines := self._values.erased(number, name, erased)):
                with_it |= downward({name}, self._relations)
                found[name] = found.get(name, 0) + len(lines)
                listed = ", ".join(map(literal, lines))
                self._session.run(f"DELETE FROM pg_temp.undo_rows WHERE ctid = ANY (ARRAY[{listed}]::tid[])")
        for number, name in names.items():
            if name in with_it and (gone := self._values.drop_gone(number)):
                found[name] = found.get(name, 0) + gone
        return found

    def _copied(self) -> Iterator[bytes]:
        yield b"COPY pg_temp.recorded FROM STDIN;\n"
        for row in read_rows(self._record):
            yield msgspec.json.encode(row).replace(b"\\", b"\\\\") + b"\n"
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
        key, content = _texts(table.key, "l"), _hash(table.columns, "l")
        self._session.run(
            f"CREATE TEMP TABLE undo_{number} AS SELECT u.key AS korrigo_backup_key, l.* FROM pg_temp.undo_rows u"
            f" JOIN ONLY {live.sql} l ON {key} = u.key AND {content} = u.hash"
            f" WHERE u.number = {number} AND u.link = '{{}}'; ANALYZE pg_temp.undo_{number}"
        )
        if self._session.ask(f"SELECT to_json(count(*)) FROM pg_temp.undo_{number}", int) == count:
            return
        found = f"SELECT korrigo_backup_key FROM pg_temp.undo_{number}"
        query = (
            f"SELECT coalesce(json_agg(u.key), '[]') FROM pg_temp.undo_rows u WHERE u.number = {number}"
            f" AND u.link = '{{}}' AND u.hash IS NOT NULL AND u.key NOT IN ({found})"
        )
        keys = [",".join(key) for key in self._session.ask(query, list[tuple[str, ...]])]
        raise Refused(
            f"rows of {live.name} were changed or deleted since the {self._head.verb}: {first_of(keys, _SHOWN)}",
            hint=self._way_on,
            id_="undelete.changed",
        )

    @property
    def _way_on(self) -> str:
        verb = self._head.verb
        return f"the {verb} stays; change the rows on the site itself, or take back an earlier operation: {OTHERS}"

    def carry_out(self, directory: Path, running: journal.Running) -> None:
        """Delete the rows in one transaction, then remove the files."""
        ledger = self._site.ledger
        with ledger.unchanged() if ledger else nullcontext():
            self._commit(directory, running)
        with partly(f"the {self._head.verb} is undone in the database"):
            with explained("remove the files of the undelete"):
                left = remove_files(self._site, self._head)
            forget(directory, self._head.stamp, DONE)
            forget(directory, self._head.stamp, UNDOING)
        if left:
            raise PartlyDone(
                f"the rows are deleted again; changed since, and left: {first_of(left, _SHOWN)}",
                hint="look at them, and delete them if they are not needed",
                state="the undelete is undone, except for these files",
            )

    def _commit(self, directory: Path, running: journal.Running) -> None:
        try:
            transaction = self._delete()
            running.note(transaction=transaction)
            write_record(directory, msgspec.structs.replace(self._head, transaction=transaction), state=UNDOING)
        except KorrigoBackupError as problem:
            problem.leave(World.ROLLED_BACK, ROLLED_BACK)
            raise
        try:
            self._session.run("COMMIT")
        except KorrigoBackupError as problem:
            if not committed(self._site.postgres, transaction):
                forget(directory, self._head.stamp, UNDOING)
                problem.leave(World.ROLLED_BACK, ROLLED_BACK)
                raise

    def _delete(self) -> str:
        numbers = [number for number, _ in self._session.ask(_COUNTS, list[tuple[int, int]])]
        self._session.run("BEGIN")
        for number in numbers:  # a row that is locked so gets no new child
            live = self._layout(number)
            self._session.run(
                f"SELECT FROM ONLY {live.sql} l WHERE EXISTS"
                f" (SELECT FROM pg_temp.undo_{number} u WHERE {self._same(number, 'l', 'u')}) FOR UPDATE"
            )
        self._empty_links()
        for number in numbers:
            self._require_no_children(number, numbers)
        expected = sum(count for _, count in self._session.ask(_COUNTS, list[tuple[int, int]]))
        expected += sum(self._values.changed().values()) + sum(self._values.removed().values())
        steps = [self._deletion(number) for number in numbers], self._values.updates(), self._values.inserts()
        if any(steps) and sum(self._session.ask(in_steps(*steps), tuple[int, ...])) != expected:
            raise Refused("the live rows have changed since the plan", hint="run it again: it makes a new plan")
        return self._session.ask("SET CONSTRAINTS ALL IMMEDIATE; SELECT to_json(pg_current_xact_id()::text)", str)

    def _deletion(self, number: int) -> tuple[str, str]:
        """Return the statement that deletes the inserted rows of a table, with a name."""
        columns = self._head.tables[number].columns
        return f"d{number}", (
            f"DELETE FROM ONLY {self._layout(number).sql} l USING pg_temp.undo_{number} u"
            f" WHERE {self._same(number, 'l', 'u')} AND {_hash(columns, 'l')} = {_hash(columns, 'u')}"
        )

    def _same(self, number: int, one: str, other: str) -> str:
        table = self._head.tables[number]
        return f"{_texts(table.key, one)} = {_texts(table.key, other)}"

    def _empty_links(self) -> None:
        """Empty the references that the undelete has set, where they are still so."""
        links = self._session.ask(
            "SELECT coalesce(json_agg(DISTINCT jsonb_build_array(number, link)), '[]') FROM pg_temp.undo_rows"
            " WHERE link <> '{}'",
            list[tuple[int, tuple[str, ...]]],
        )
        for number, columns in links:
            table, live = self._head.tables[number], self._layout(number)
            empty = ", ".join(f"{identifier(name)} = NULL" for name in columns)
            self._session.run(
                f"UPDATE ONLY {live.sql} l SET {empty} FROM pg_temp.undo_rows u WHERE u.number = {number}"
                f" AND u.link = ARRAY[{', '.join(map(literal, columns))}] AND {_texts(table.key, 'l')} = u.key"
                f" AND {_hash(columns, 'l')} = u.hash"
            )

    def _require_no_children(self, number: int, numbers: list[int]) -> None:
        """Raise Refused if rows that the undelete has not inserted refer to a row of it."""
        name = self._name(number)
        by_name = {self._name(one): one for one in numbers}
        for relation in self._relations:
            if relation.to != name:
                continue
            child, own = self._live[relation.table], by_name.get(relation.table)
            others = (
                f" AND NOT EXISTS (SELECT FROM pg_temp.undo_{own} w WHERE {self._same(own, 'c', 'w')})"
                if own is not None
                else ""
            )
            numbers_of = (n for n in range(len(self._head.tables)) if self._name(n) == relation.table)
            for one in numbers_of:
                others += f" AND NOT {self._values.gets_another(one, 'c', relation.columns)}"
            query = (
                f"SELECT to_json(count(*)) FROM ONLY {child.sql} c WHERE EXISTS"
                f" (SELECT FROM pg_temp.undo_{number} u WHERE {refers_to(relation, 'c', 'u')}){others}"
            )
            if count := self._session.ask(query, int):
                raise Refused(
                    f"{count} rows of {child.name} refer to rows of the {self._head.verb} now",
                    hint=self._way_on,
                    id_="undelete.changed",
                )


_COUNTS = (
    "SELECT coalesce(json_agg(json_build_array(number, count) ORDER BY number), '[]') FROM"
    " (SELECT number, count(*) FROM pg_temp.undo_rows WHERE link = '{}' AND hash IS NOT NULL GROUP BY number) c"
)


def _texts(names: tuple[str, ...], alias: str) -> str:
    return f"ARRAY[{', '.join(f'{alias}.{identifier(name)}::text' for name in names)}]::text[]"


def _hash(names: tuple[str, ...], alias: str) -> str:
    return content_hash(f"ROW({', '.join(f'{alias}.{identifier(name)}' for name in names)})::text")
