"""Revert: values of live rows that an accident has changed are put back, where nobody has changed them again.

    lock > recover > find both dumps > stage > judge each value > try > plan > confirm      nothing changed
      update and prove in one transaction, while the site serves > record > commit

Three states decide on a value: then (the dump), after the accident (a later dump, if there is one), and now.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.artifact import naming
from korrigo_backup.artifact.kinds import Origin
from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.erasure.findings import rows_left_out
from korrigo_backup.errors import Cancelled, Refused, UsageError
from korrigo_backup.postgres.tables import read_row_tables
from korrigo_backup.recovery.pending import require_plannable
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.rescue.points import dump_named, find_dump, read_points
from korrigo_backup.rescue.saved.rows import open_saved_rows
from korrigo_backup.rescue.staged_rows import StagedRows, StagedTable, rescue_session
from korrigo_backup.rescue.steps.fitting import load_fitting
from korrigo_backup.rescue.steps.inherited import ancestors
from korrigo_backup.rescue.steps.lost_columns import lost_columns
from korrigo_backup.rescue.steps.roots import find_roots
from korrigo_backup.rescue.steps.rounded_values import NARROWER, rounded_values
from korrigo_backup.rescue.steps.transaction import RecordPlace
from korrigo_backup.rescue.steps.trusted import require_trusted
from korrigo_backup.rescue.values.judged_rows import (
    CHOSEN,
    JudgedTable,
    changed_again,
    count_verdicts,
    judge,
    put_columns,
    put_rows,
)
from korrigo_backup.rescue.values.plan import SHOWN_ROWS, ValueConflict, ValuePlan, ValueTable
from korrigo_backup.rescue.values.put_back import PutBack
from korrigo_backup.rescue.values.refusals import inherited_column, require_revertible, two_way
from korrigo_backup.rescue.values.staging import (
    changed_in,
    choose_rows,
    comparable_columns,
    load_without_erased,
    several_steps,
    with_key,
)
from korrigo_backup.rescue.values.three_way import ValueVerdict
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, RevertStaging, silent
from korrigo_backup.site.stamps import own_stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.rescue.points import Points
    from korrigo_backup.rescue.steps.inherited import Ancestor
    from korrigo_backup.rescue.steps.roots import Roots
    from korrigo_backup.site.site import Site

_LATER = 1001
"""The number of the temporary table of the dump from after the accident."""


@dataclass(frozen=True)
class RevertOptions:
    """The choices of the operator: a table, some of its columns, a condition on the rows of the backup, the backups.

    `accident` names the dump that shows the state after the accident. With `stop` a conflict refuses the whole.
    `accept` are ids of findings at which it does not stop.
    """

    table: str
    columns: tuple[str, ...] = ()
    where: str = ""
    source: str | None = None
    at: datetime | None = None
    accident: str | None = None
    dry_run: bool = False
    stop: bool = False
    allow_unsigned: bool = False
    accept: frozenset[str] = frozenset()


def revert(
    site: Site,
    catalog: Catalog,
    options: RevertOptions,
    *,
    now: datetime,
    confirm: Callable[[ValuePlan], bool],
    listen: Listener = silent,
) -> ValuePlan:
    """Put changed values back; return the plan that was carried out, with `dry_run` that would be.

    Raises UsageError, NotFound for a table that the dump lacks, Refused for a conflict, Cancelled, ProofFailed. Any
    error leaves the site as it was.
    """
    if options.source is None and options.at is None:
        raise UsageError(
            "the backup with the former values is not named",
            hint="--from ARTIFACT or --at TIME;"
            f" korrigo-backup history --table {quote(options.table)} shows when it changed",
        )
    with exclusive(site, catalog, "revert", listen=listen, dry_run=options.dry_run) as (site, recovered):  # noqa: PLR1704 - now held
        if options.dry_run:
            require_plannable(site, recovered)
        points = read_points(catalog)
        roots = find_roots(site, points, table=options.table, where=options.where)
        dump = find_dump(catalog, options.source, options.at)
        assert roots.table is not None and dump is not None  # noqa: S101, PT018 - both are named
        with rescue_session(site.postgres) as session:
            work = _Revert(site, session, roots, options, listen)
            plan = work.plan(catalog, points, dump, roots.names)
            if options.dry_run:
                return plan
            require_revertible(plan)
            if not confirm(plan):
                raise Cancelled("Revert cancelled", hint="to continue, run it again and answer yes")
            with journal.recorded(catalog.directory, site, Verb.REVERT, roots.subject, listener=listen) as running:
                stamp = naming.stamp(own_stamp(site, now, catalog.directory))
                work.put_back.carry_out(plan, RecordPlace(catalog.directory, points, stamp), running)
    return plan


class _Revert:
    """A revert in its session."""

    def __init__(self, site: Site, session: Session, roots: Roots, options: RevertOptions, listen: Listener) -> None:
        self._site = site
        self._session = session
        (self._table,) = roots.tables
        self._described = roots.described
        self._options = options
        self._listen = listen
        self._live = read_row_tables(session)
        self._findings: list[Finding] = []
        self.put_back = PutBack(site, session, [])

    def plan(self, catalog: Catalog, points: Points, dump: Artifact, asked: tuple[str, ...]) -> ValuePlan:
        """Stage the rows, judge their values, try to put them back, and return the plan."""
        live = self._live[self._table]
        staged = self._stage_saved(dump, live)
        table = JudgedTable(staged, self._columns(staged, dump))
        accident = self._accident(catalog, points, dump)
        after = self._stage_later(accident, live) if accident else None
        if accident and after and (lacks := set(table.columns) - set(after.columns)):
            raise Refused(
                f"{accident.name} has no {', '.join(sorted(lacks))} in {live.name}",
                hint="name a later backup with --accident, or the other columns with --column",
            )
        choose_rows(self._session, staged, self._options.where, dump)
        judge(self._session, table, after)
        self.put_back.tables.append(table)
        more = (("--where", self._options.where), ("--accident", self._options.accident))
        source = ("--from", dump.name, *(part for name, value in more if value for part in (name, value)))
        conflicts: tuple[ValueConflict, ...] = ()
        again = 0
        if after:
            again, conflicts = changed_again(self._session, table, after, left=not self._options.stop)
        refused = self.put_back.try_out(*source, skip=not self._options.stop)
        planned = self._planned(table, dump)
        self._findings += lost_columns(self._session, [staged], dump.name, picked=False)
        accepted = NARROWER in self._options.accept
        self._findings += self.put_back.exchanged()
        self._findings += rounded_values(self._session, staged, table.put_values, accepted=accepted)
        if accident is None and (planned.changed or refused):
            self._findings.append(two_way())
        if accident and planned.newer_values:
            self._findings.append(
                warning(
                    "revert.newer",
                    f"newer than {accident.name}, and left: {counted(planned.newer_values, 'value')} of {live.name}",
                    f"if that was the accident: --from {quote(accident.name)}",
                )
            )
        return ValuePlan(
            verb=Verb.REVERT,
            artifact=dump.name,
            created=dump.created,
            asked=asked,
            accident=accident.name if accident else "",
            accident_created=accident.created if accident else None,
            tables=(planned,),
            conflicts=(*conflicts, *refused[:SHOWN_ROWS]),
            conflict_count=again + len(refused),
            findings=tuple(self._findings),
        )

    def _stage_saved(self, dump: Artifact, live: TableLayout) -> StagedTable:
        staged, erased = load_without_erased(self._site, self._rows(dump, 1), live.name, dump)
        self._findings += [rows_left_out({live.name: erased})] if erased else []
        return staged

    def _stage_later(self, dump: Artifact, live: TableLayout) -> StagedTable:
        rows = self._rows(dump, _LATER)
        with open_saved_rows(dump, self._site.postgres.access) as saved:
            saved.read({live.name: lambda text: load_fitting(rows, live, text)})
        return with_key(rows, live.name, dump)

    def _rows(self, dump: Artifact, number: int) -> StagedRows:
        self._findings += require_trusted(self._site, dump, allow_unsigned=self._options.allow_unsigned)
        self._listen(RevertStaging(dump.name))
        return StagedRows(self._session, self._live, first=number)

    def _columns(self, staged: StagedTable, dump: Artifact) -> tuple[str, ...]:
        """Return the columns that are compared; UsageError for a name that is none of them."""
        possible = comparable_columns(staged)
        for name in self._options.columns:
            if name not in possible:
                if above := next(self._above(name), None):
                    raise inherited_column(self._options, name, self._table, above, dump)
                table = staged.live.name
                raise UsageError(
                    f"{name} is a column of the key of {table}"
                    if name in staged.key
                    else f"{name} is in the backup, but {table} has no such column any more"
                    if name in staged.lost
                    else f"{name} is no column of {table} that can be put back",
                    hint=f"one of {', '.join(get_close_matches(name, possible) or possible)}",
                )
        return tuple(name for name in possible if not self._options.columns or name in self._options.columns)

    def _above(self, column: str) -> Iterator[Ancestor]:
        """Yield the tables with a column from whose models that of the table inherits."""
        if column not in self._live[self._table].columns:
            for one in ancestors(self._described, self._table, self._live):
                if column in self._live[one.table].columns:
                    yield one

    def _accident(self, catalog: Catalog, points: Points, dump: Artifact) -> Artifact | None:
        """Return the dump that shows the state after the accident: that which is named, else the only one that differs.

        Refused if the table changed more than once since: then nobody but the operator can tell the accident.
        """
        if self._options.accident:
            found = dump_named(catalog, self._options.accident)
            if found.created <= dump.created:
                raise UsageError(
                    f"{found.name} is not later than {dump.name}", hint="name a backup of after the accident"
                )
            return found
        later = [one for one in points.dumps if one.created > dump.created and one.origin is not Origin.SAFETY]
        if steps := changed_in([dump, *later], self._table):
            if len(steps) > 1:
                raise several_steps(self._table, dump, [one for one in (dump, *later) if one.name in steps])
            return next(one for one in later if one.name == steps[0])
        return None

    def _planned(self, table: JudgedTable, dump: Artifact) -> ValueTable:
        name, session = table.staged.live.name, self._session
        there = table.staged.same("l", "t")
        missing = (
            f"SELECT to_json(count(*)) FROM {table.staged.then} t WHERE t.{CHOSEN}"
            f" AND NOT EXISTS (SELECT FROM ONLY {table.staged.live.sql} l WHERE {there})"
        )
        newer = (
            f"SELECT to_json(count(*)) FROM ONLY {table.staged.live.sql} l"
            f" WHERE NOT EXISTS (SELECT FROM {table.staged.then} t WHERE {there})"
        )
        gone = session.ask(missing, int)
        if gone:
            self._findings.append(
                warning(
                    "revert.deleted",
                    f"{counted(gone, 'row')} of {name} in the backup and not live: a revert brings no row back",
                    f"korrigo-backup undelete --table {quote(name)} --from {quote(dump.name)}",
                )
            )
        return ValueTable(
            table=name,
            key=table.staged.key,
            changed=self.put_back.changed()[name],
            columns=put_columns(session, table),
            rows=put_rows(session, table),
            missing=gone,
            newer=session.ask(newer, int),
            newer_values=count_verdicts(session, table, ValueVerdict.NEWER),
        )
