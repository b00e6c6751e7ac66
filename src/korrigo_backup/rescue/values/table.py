"""Restore of tables: the rows of some tables become those of a backup again, while the site serves.

    lock > recover > find the dump > stage > compare > look at references > try > plan > confirm      nothing changed
      delete, update, insert and prove in one statement and one transaction > record > commit

Missing rows come back and changed rows get their values back. Newer rows stay; with `exact` they go, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.artifact import naming
from korrigo_backup.erasure.findings import erased_finding
from korrigo_backup.errors import Cancelled, NotFound, Refused
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.postgres.tables import read_row_tables
from korrigo_backup.recovery.pending import require_plannable
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.rescue.closure import PICKED, RowMark
from korrigo_backup.rescue.erased_rows import tables_to_judge, take_out
from korrigo_backup.rescue.points import read_points
from korrigo_backup.rescue.relations import described_relations
from korrigo_backup.rescue.saved.rows import open_saved_rows
from korrigo_backup.rescue.staged_rows import LEVEL, MARK, StagedRows, rescue_session
from korrigo_backup.rescue.steps.fitting import stage_fitting
from korrigo_backup.rescue.steps.lost_columns import lost_columns, require_no_lost
from korrigo_backup.rescue.steps.new_columns import fill_column, require_filled, without_value
from korrigo_backup.rescue.steps.new_columns import options as new_value_options
from korrigo_backup.rescue.steps.roots import find_roots
from korrigo_backup.rescue.steps.rounded_values import NARROWER, picked_values, require_held, rounded_values
from korrigo_backup.rescue.steps.transaction import RecordPlace
from korrigo_backup.rescue.steps.trigger_rows import TriggerRows
from korrigo_backup.rescue.steps.trusted import require_trusted
from korrigo_backup.rescue.values.judged_rows import JudgedTable, count_newer, first_keys, judge, put_columns, put_rows
from korrigo_backup.rescue.values.plan import ValuePlan, ValueTable
from korrigo_backup.rescue.values.put_back import PutBack
from korrigo_backup.rescue.values.staging import choose_rows, comparable_columns, with_key
from korrigo_backup.rescue.values.table_references import TableReferences
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, RevertStaging, silent
from korrigo_backup.site.stamps import own_stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.steps.roots import TypedValue
    from korrigo_backup.rescue.values.plan import ValueConflict
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class TableOptions:
    """The choices of the operator: models or tables; with `exact` newer rows are removed.

    `new_values`, as `TABLE.COLUMN=VALUE`, are for missing rows, in columns that the backup lacks. `accept` are ids of
    findings at which it does not stop.
    """

    tables: tuple[str, ...]
    exact: bool = False
    new_values: tuple[str, ...] = ()
    dry_run: bool = False
    allow_unsigned: bool = False
    accept: frozenset[str] = frozenset()


def restore_tables(
    site: Site,
    catalog: Catalog,
    dump: Artifact,
    options: TableOptions,
    *,
    now: datetime,
    confirm: Callable[[ValuePlan], bool],
    listen: Listener = silent,
) -> ValuePlan:
    """Bring tables to the state of a dump; return the plan that was carried out, with `dry_run` that would be.

    Raises Refused for references that would break and for rows that the live database does not take, NotFound for a
    table that the dump lacks or that is as in the dump, Cancelled, ProofFailed. Any error leaves the site as it was.
    """
    with exclusive(site, catalog, "restore of a table", listen=listen, dry_run=options.dry_run) as (site, recovered):  # noqa: PLR1704 - now held
        if options.dry_run:
            require_plannable(site, recovered)
        points = read_points(catalog)
        names = tuple(dict.fromkeys(_live_table(site, catalog, dump, table) for table in options.tables))
        with rescue_session(site.postgres) as session:
            typed = find_roots(site, points, new_values=options.new_values).typed if options.new_values else ()
            work = _TableRestore(site, session, options, typed, listen)
            plan = work.plan(dump, names)
            if options.dry_run:
                return plan
            if not confirm(plan):
                raise Cancelled("Restore cancelled", hint="to continue, run it again and answer yes")
            subject = ", ".join(names)
            with journal.recorded(catalog.directory, site, Verb.RESTORE_TABLE, subject, listener=listen) as running:
                stamp = naming.stamp(own_stamp(site, now, catalog.directory))
                work.put_back.carry_out(plan, RecordPlace(catalog.directory, points, stamp), running)
    return plan


def _live_table(site: Site, catalog: Catalog, dump: Artifact, table: str) -> str:
    """Return the name of a live table; Refused with the next step if the table is gone."""
    try:
        found = find_roots(site, read_points(catalog), table=table).table
    except Refused as problem:
        problem.hint = (
            "make the table again, empty, then run this again: the commands are in docs/how-to/rescue.md"
            f" (A dropped table); or restore the whole: korrigo-backup plan {quote(dump.name)}"
        )
        problem.id = "restore.table_gone"
        raise
    assert found is not None  # noqa: S101 - it was named
    return found.table


def _hint(plan: ValuePlan) -> str:
    """Return the reason why a plan has no row, or the next step."""
    if erased := next((one for one in plan.findings if one.id == "erasure.applied"), None):
        return f"{erased.message}: korrigo-backup forget --list"
    newer = any(one.newer for one in plan.tables)
    return (
        "newer rows stay; --exact removes them"
        if newer
        else f"korrigo-backup history --table {quote(plan.asked[0])} shows its changes"
    )


class _TableRestore:
    """A restore of tables in its session."""

    def __init__(
        self, site: Site, session: Session, options: TableOptions, typed: Sequence[TypedValue], listen: Listener
    ) -> None:
        self._site = site
        self._session = session
        self._options = options
        self._typed = typed
        self._listen = listen
        self._live = read_row_tables(session)
        self._relations = described_relations(site, session, self._live)
        self._rows = StagedRows(session, self._live)
        self.put_back = PutBack(site, session, [])
        self._references = TableReferences(session, self._live, self._relations, self._rows, self.put_back)
        self.put_back.made = TriggerRows(session, self._live, self._relations)
        self.put_back.require_removable = self._references.require_no_children

    def plan(self, dump: Artifact, names: tuple[str, ...]) -> ValuePlan:
        """Stage and compare the tables, look at their references, try the change, and return the plan."""
        findings: list[Finding] = require_trusted(self._site, dump, allow_unsigned=self._options.allow_unsigned)
        self._listen(RevertStaging(dump.name))
        staged = dict.fromkeys((*names, *tables_to_judge(self._site, dump, names, self._relations)))
        with open_saved_rows(dump, self._site.postgres.access) as saved:
            saved.read({n: partial(stage_fitting, self._rows, self._live[n]) for n in staged if n in self._live})
        numbers = take_out(self._site, dump, self._rows)
        if taken_out := {name: numbers[name] for name in names if numbers.get(name)}:
            findings.append(erased_finding(taken_out))
        for name in names:
            self._compare(dump, name)
        self._references.require_parents(dump)
        self._references.require_no_children()
        require_filled(self._typed, self._rows, self.put_back.inserts)
        if refused := self.put_back.try_out("--from", dump.name, skip=False):
            raise Refused(
                f"the live database does not take a row of {refused[0].table}: {refused[0].message}",
                hint=self._choices(refused[0]),
                detail=refused[0].detail,
                id_="undelete.conflict",
            )
        compared = [table.staged for table in self.put_back.tables]
        findings += (lost := lost_columns(self._session, compared, dump.name, picked=False))
        for table in self.put_back.tables:
            findings += self._rounded(table)
        findings += self.put_back.exchanged()
        require_held(findings)
        planned = tuple(self._planned(table) for table in self.put_back.tables)
        plan = ValuePlan(
            verb=Verb.RESTORE_TABLE,
            artifact=dump.name,
            created=dump.created,
            asked=names,
            tables=planned,
            findings=tuple(findings),
            new_values={f"{one.table}.{one.column}": one.value for one in self._typed},
        )
        if not plan.count:
            require_no_lost(lost)
            raise NotFound(
                f"nothing is to do: all rows of {', '.join(names)} in {dump.name} are live as they were",
                hint=_hint(plan),
                id_="revert.nothing",
            )
        return plan

    def _rounded(self, table: JudgedTable) -> list[Finding]:
        inserted = picked_values(table.staged)

        def rows(column: str) -> list[str]:
            return [*inserted(column), *table.put_values(column)]

        return rounded_values(self._session, table.staged, rows, accepted=NARROWER in self._options.accept)

    def _choices(self, refused: ValueConflict) -> str:
        """Return the next step for a row that the live database does not take."""
        lacking = [
            (one.staged.live.name, column)
            for one in self.put_back.tables
            if one.staged.live.name in self.put_back.inserts
            for column in without_value(self._session, one.staged)
        ]
        if (refused.table, refused.required) in lacking:
            return f"the columns are new since the backup: give them a value: {new_value_options(lacking)}"
        return "mend what is in the way, or choose rows: korrigo-backup undelete --table, korrigo-backup revert"

    def _compare(self, dump: Artifact, name: str) -> None:
        with_key(self._rows, name, dump)
        for new in self._typed:
            if new.table == name:
                fill_column(self._rows, new)
        staged = self._rows.tables[name]
        self._session.run(f"UPDATE {staged.gone} SET {MARK} = {RowMark.ROOT}, {LEVEL} = 0")
        table = JudgedTable(staged, comparable_columns(staged))
        choose_rows(self._session, staged, "", dump)
        judge(self._session, table, None)
        listed = ", ".join(f"l.{identifier(column)}" for column in staged.live.columns)
        self._session.run(
            f"CREATE TEMP TABLE korrigo_backup_removed_{table.number} AS SELECT {listed} FROM ONLY {staged.live.sql} l"
            f" WHERE NOT EXISTS (SELECT FROM {staged.then} t WHERE {staged.same('l', 't')})"
        )
        self.put_back.tables.append(table)
        if count := self._rows.count(PICKED, staged):
            self.put_back.inserts[name] = count
        if self._options.exact and (newer := count_newer(self._session, table)):
            self.put_back.removes[name] = newer

    def _planned(self, table: JudgedTable) -> ValueTable:
        name = table.staged.live.name
        removed = self.put_back.removes.get(name, 0)
        return ValueTable(
            table=name,
            key=table.staged.key,
            changed=self.put_back.changed()[name],
            columns=put_columns(self._session, table),
            rows=put_rows(self._session, table),
            inserted=self.put_back.inserts.get(name, 0),
            removed=removed,
            newer=0 if removed else count_newer(self._session, table),
            inserted_keys=first_keys(self._session, table, f"{table.staged.gone} g WHERE g.{PICKED}"),
            removed_keys=first_keys(self._session, table, f"{table.removed} g") if removed else (),
        )
