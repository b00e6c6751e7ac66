"""Put values back, insert missing rows and remove newer rows: tried first, then in one transaction with its record."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from korrigo_backup.errors import ProofFailed, Refused
from korrigo_backup.postgres.site_path import CHECK_CONSTRAINTS, FROM_SITE_PATH
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.recovery.undelete import RecordedTable, UndeleteHead, write_record
from korrigo_backup.rescue.closure import PICKED
from korrigo_backup.rescue.insertion import (
    NOT_NULL,
    after,
    inserting,
    lacking,
    raise_sequences,
    run_trial,
    total,
    try_apart,
)
from korrigo_backup.rescue.staged_rows import MARK, ROW
from korrigo_backup.rescue.steps.exchanging import exchanged_values, freeing, prepare
from korrigo_backup.rescue.steps.transaction import (
    changed_meanwhile,
    commit,
    horizon,
    in_steps,
    inserted_lines,
    recorded_change,
    transaction_number,
)
from korrigo_backup.rescue.values.judged_rows import put_columns, refused_row
from korrigo_backup.rescue.values.plan import ValueConflict, ValueConflictKind
from korrigo_backup.run.step import RevertUpdating
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from korrigo_backup.core.finding import Finding
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.steps.exchanging import Changing
    from korrigo_backup.rescue.steps.transaction import RecordPlace
    from korrigo_backup.rescue.steps.trigger_rows import TriggerRows
    from korrigo_backup.rescue.values.judged_rows import JudgedTable
    from korrigo_backup.rescue.values.plan import ValuePlan
    from korrigo_backup.run import journal
    from korrigo_backup.site.site import Site


@dataclass
class PutBack:
    """The change of some tables in a session: `inserts` and `removes` name those whose rows come and go, too.

    `require_removable` is asked again in the transaction, when the rows that go are locked.
    """

    site: Site
    session: Session
    tables: list[JudgedTable]
    inserts: dict[str, int] = field(default_factory=dict)
    removes: dict[str, int] = field(default_factory=dict)
    require_removable: Callable[[], None] = lambda: None
    made: TriggerRows | None = None
    """The rows that triggers insert when missing rows come back."""

    def changed(self) -> dict[str, int]:
        """Return the number of live rows of each table that get values back."""
        query = "SELECT to_json(count(*)) FROM {} j WHERE j.{}"
        return {one.staged.live.name: self.session.ask(query.format(one.judged, PICKED), int) for one in self.tables}

    def try_out(self, *source: str, skip: bool) -> list[ValueConflict]:
        """Carry it out, take it back, and return the rows that the live database does not take.

        `source` are the options of `revert` that choose the same rows of the same backup, for a hint.
        With `skip` rows that it does not take alone are left out, and the rest is tried again. Raises Refused if a
        trigger of the site sets a value otherwise.
        """
        found: list[ValueConflict] = []
        while (statement := self._statement()) is not None:
            first = self._exchanges()
            trial = run_trial(self.session, [*first, statement], self._proof(), after(first, self._apart()))
            if trial.changed:
                raise Refused(
                    f"a trigger of the site sets {', '.join(sorted(trial.changed))} when a row changes",
                    hint=self._without(trial.changed, source),
                    id_="revert.trigger",
                )
            if not trial.conflicts:
                break
            by_name = {one.staged.live.name: one for one in self.tables}
            for one in trial.conflicts:
                detail = one.detail_without_row
                if not one.row:
                    return [
                        *found,
                        ValueConflict(
                            kind=ValueConflictKind.REFUSED,
                            table=one.table,
                            key=(),
                            message=one.message,
                            detail=detail,
                            required=one.column if one.code == NOT_NULL else "",
                        ),
                    ]
                table = by_name[one.table]
                found.append(refused_row(self.session, table, one.row, (one.message, detail), left=skip))
                if skip:
                    self.session.run(f"UPDATE {table.judged} SET {MARK} = NULL WHERE {ROW} = {one.row}")
            if not skip:
                break
        return found

    def _without(self, changed: Collection[str], source: tuple[str, ...]) -> str:
        """Return the hint with a command for each table: all its columns but those that a trigger sets."""
        commands = []
        for one in self.tables:
            name = one.staged.live.name
            if columns := [each for each in put_columns(self.session, one) if f"{name}.{each}" not in changed]:
                options = [part for each in columns for part in ("--column", each)]
                commands.append(shlex.join(["korrigo-backup", "revert", "--table", name, *options, *source]))
        if not commands:
            return "no other column differs: change the trigger first, or leave these values as they are"
        return f"the other columns: {'; '.join(commands)}"

    @phase("put back")
    def carry_out(self, plan: ValuePlan, place: RecordPlace, running: journal.Running) -> None:
        """Do it as it was planned, prove it, write the record, and commit: all or nothing."""
        statement = self._statement()
        if statement is None:
            raise changed_meanwhile()
        with recorded_change(self.site, place, place.stamp, "the values and rows are back"):
            running.listen(RevertUpdating(plan.count))
            self.session.run("BEGIN")
            if self.made:
                self.made.begin()
            for query in self._locks():  # a row that is locked so gets no new child
                self.session.run(query)
            self.require_removable()
            for query in self._exchanges():
                self.session.run(f"{query}; {FROM_SITE_PATH}")
            if sum(self.session.ask(f"{statement}; {FROM_SITE_PATH}", tuple[int, ...])) != plan.count:
                raise changed_meanwhile()
            self.session.run(CHECK_CONSTRAINTS)
            if different := self.session.ask(self._proof(), dict[str, int]):
                names = ", ".join(f"{count} of {name}" for name, count in different.items())
                raise ProofFailed(
                    f"the values are not those of the backup: {names}",
                    hint="a trigger of the site changes rows while they are changed",
                    id_="undelete.trigger",
                )
            self.session.run(
                raise_sequences(one.staged for one in self.tables if one.staged.live.name in self.inserts) + " SELECT 1"
            )
            if self.made:
                self.made.find([one.staged for one in self.tables if one.staged.live.name in self.inserts])
            transaction = transaction_number(self.session)
            write_record(place.directory, self._head(plan, place, transaction), self._lines())
            running.note(transaction=transaction)
            commit(self.site, self.session, transaction)

    def _head(self, plan: ValuePlan, place: RecordPlace, transaction: str) -> UndeleteHead:
        return UndeleteHead(
            verb=plan.verb,
            site=self.site.name,
            database=self.site.postgres.database,
            system=self.site.cluster,
            stamp=place.stamp,
            artifact=plan.artifact,
            asked=plan.asked,
            created=datetime.now(UTC),
            transaction=transaction,
            horizon=horizon(self.session),
            tables=tuple(
                RecordedTable(one.staged.live.schema, one.staged.live.table, one.staged.recorded, one.staged.key)
                for one in self.tables
            )
            + tuple(self.made.recorded if self.made else ()),
        )

    def _lines(self) -> Iterator[bytes]:
        for number, one in enumerate(self.tables):
            name = one.staged.live.name
            yield from self.session.stream(one.lines(number))
            if name in self.inserts:
                yield from self.session.stream(inserted_lines({number: one.staged}))
            if name in self.removes:
                yield from self.session.stream(one.removed_lines(number))
        if self.made:
            yield from self.made.lines(len(self.tables))

    def _statement(self) -> str | None:
        """Return the statement for all rows, None if there are none.

        Newer rows go first, and missing rows come last, so that no unique value is in the way.
        """
        steps = self._deletes(), self._updates(), self._inserts()
        return in_steps(*steps) if any(steps) else None

    def _locks(self) -> Iterator[str]:
        for one in self.tables:
            if one.staged.live.name in self.removes:
                removed = f"SELECT FROM {one.removed} r WHERE {one.staged.same('l', 'r')}"
                yield f"SELECT FROM ONLY {one.staged.live.sql} l WHERE EXISTS ({removed}) FOR UPDATE"

    def _deletes(self) -> list[tuple[str, str]]:
        return [(f"d{one.number}", one.delete()) for one in self.tables if one.staged.live.name in self.removes]

    def _updates(self) -> list[tuple[str, str]]:
        columns = {one.number: list(put_columns(self.session, one)) for one in self.tables}
        return [(f"u{one.number}", one.update(columns[one.number])) for one in self.tables if columns[one.number]]

    def _exchanges(self) -> list[str]:
        """Return the statements that come first: rows give up the unique values that others of them get."""
        return [statement for one in self._changes() for statement in freeing(self.session, one)]

    def exchanged(self) -> list[Finding]:
        """Return the findings about rows that give a unique value up for a moment."""
        return exchanged_values(self.session, self._changes())

    def _changes(self) -> list[Changing]:
        prepare(self.session, [one.number for one in self.tables])
        columns = [(one, list(put_columns(self.session, one))) for one in self.tables]
        return [one.changing(those) for one, those in columns if those]

    def _inserts(self) -> list[tuple[str, str]]:
        return [
            (f"i{one.number}", inserting(one.staged)) for one in self.tables if one.staged.live.name in self.inserts
        ]

    def _proof(self) -> str:
        queries = [query for one in self.tables for query in one.unproven(list(put_columns(self.session, one)))]
        queries += [lacking(one.staged) for one in self.tables if one.staged.live.name in self.inserts]
        return total(queries)

    def _apart(self) -> str:
        """Return the PL/pgSQL that tries each row with changed values alone; not where rows come or go, too."""
        if self.inserts or self.removes:
            return ""
        return " ".join(
            try_apart(
                one.staged.live.name,
                f"{one.judged} WHERE {PICKED}",
                one.update(columns, f"j.{identifier('korrigo_backup_row')} = $1"),
            )
            for one in self.tables
            if (columns := list(put_columns(self.session, one)))
        )
