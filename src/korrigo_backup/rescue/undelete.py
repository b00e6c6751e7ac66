"""Undelete: deleted rows come back into the live database, with all that was deleted with them and all that they need.

    lock > recover > find the dump > stage > close > try > plan > confirm      nothing changed
      stage the files > insert and prove in one transaction, while the site serves > record > put the files > commit

Nothing is loaded but temporary tables of one session (decision 52). A plan names each row; exactly the plan is
carried out.

One file: the straight line of an undelete, readable from top to bottom.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact import naming
from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.erasure.findings import files_left_out, rows_left_out
from korrigo_backup.errors import Cancelled, ProofFailed, UsageError
from korrigo_backup.media.single_files import PutChange, PutFile
from korrigo_backup.recovery.pending import require_plannable
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.recovery.undelete import RecordedTable, UndeleteHead, write_record
from korrigo_backup.rescue.closure import close
from korrigo_backup.rescue.conflicts import Conflicts
from korrigo_backup.rescue.erased_rows import erased_among_picked
from korrigo_backup.rescue.files import FilesOfRows, find_files, stage_files
from korrigo_backup.rescue.insertion import picked, proof, raise_sequences, statements
from korrigo_backup.rescue.live_tables import read_foreign_keys, read_tables, with_models
from korrigo_backup.rescue.points import read_points
from korrigo_backup.rescue.staged_rows import StagedRows, rescue_session
from korrigo_backup.rescue.steps.choice import Choice
from korrigo_backup.rescue.steps.lost_columns import lost_columns
from korrigo_backup.rescue.steps.overwriting import conditions, overwritten_lines, overwritten_rows, require_overwritten
from korrigo_backup.rescue.steps.planning import changed_parents, emptied_links, not_described, planned_table
from korrigo_backup.rescue.steps.possible import require_possible
from korrigo_backup.rescue.steps.relinking import relinking
from korrigo_backup.rescue.steps.roots import find_roots
from korrigo_backup.rescue.steps.taken_keys import rows_elsewhere
from korrigo_backup.rescue.steps.transaction import (
    RecordPlace,
    changed_meanwhile,
    commit,
    inserted_lines,
    recorded_change,
    transaction_number,
)
from korrigo_backup.rescue.undelete_plan import SHOWN_ROWS, EmptiedLink, UndeletePlan
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, UndeleteFiles, UndeleteInserting, silent
from korrigo_backup.run.undo import ROLLED_BACK
from korrigo_backup.site.erasures import erased_among_files
from korrigo_backup.site.stamps import own_stamp
from korrigo_backup.system.files import explained
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.points import Points
    from korrigo_backup.rescue.staged_rows import StagedTable
    from korrigo_backup.rescue.steps.roots import Roots
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class UndeleteOptions:
    """The choices of the operator: objects, or a table and an SQL condition; the backup by name or time.

    `since` takes the backup before that time, and without objects and table all that was deleted since. Rows that the
    first backup after `until` still has were deleted later, and are not asked for.

    With `skip`, rows in conflict are left out with those that need them. `new_values`, as `TABLE.COLUMN=VALUE`, are for
    rows whose own value another row has taken. `overwrite` names live rows that
    become those of the backup. With `relink`, references that the deletion has emptied are set again.
    """

    objects: tuple[str, ...] = ()
    table: str = ""
    where: str = ""
    source: str | None = None
    at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    dry_run: bool = False
    skip: bool = False
    relink: bool = False
    new_values: tuple[str, ...] = ()
    overwrite: tuple[str, ...] = ()
    files: bool = True
    allow_unsigned: bool = False
    why: Mapping[str, str] = field(default_factory=dict)
    """Who asked, for the journal."""


def _require_fitting(options: UndeleteOptions) -> None:
    """Raise UsageError for options that exclude each other, or that name nothing."""
    if not options.objects and not options.table and options.since is None:
        raise UsageError(
            "nothing is named", hint="korrigo-backup undelete exams.Exam:12, or undelete --table exams_exam --where …"
        )
    if options.at and options.since:
        raise UsageError("--at and --since exclude each other", hint="name the time of the backup, or of the deletion")
    if options.objects and options.table:
        raise UsageError(
            f"--table {options.table} asks for all its deleted rows, {options.objects[0]} for one",
            hint="name the objects without --table, or choose the rows of the table with --where",
        )


def undelete(
    site: Site,
    catalog: Catalog,
    options: UndeleteOptions,
    *,
    now: datetime,
    confirm: Callable[[UndeletePlan], bool],
    show: Callable[[UndeletePlan], None] = lambda _: None,
    listen: Listener = silent,
) -> UndeletePlan:
    """Bring deleted rows back; return the plan that was carried out, with `dry_run` that would be.

    `show` gets the plan also if it is refused afterwards.

    Raises NotFound for rows that no backup has, UsageError for rows that are live, Refused for a conflict, Cancelled,
    ProofFailed if the inserted rows are not those of the backup. Any error leaves the site as it was.
    """
    _require_fitting(options)
    held = exclusive(site, catalog, "undelete", listen=listen, dry_run=options.dry_run)
    with held as (site, recovered):  # noqa: PLR1704 - now held
        if options.dry_run:
            require_plannable(site, recovered)
        points = read_points(catalog)
        roots = find_roots(
            site,
            points,
            objects=options.objects,
            table=options.table,
            where=options.where,
            since=options.since,
            new_values=options.new_values,
            overwrite=options.overwrite,
        )
        with rescue_session(site.postgres) as session:
            work = _Undeletion(site, session, roots, options, listen)
            plan = work.plan(catalog, points)
            if options.dry_run:
                return plan
            show(plan)
            require_possible(plan)
            if not confirm(plan):
                raise Cancelled("Undelete cancelled", hint="to continue, run it again and answer yes")
            subject = roots.subject[:200]
            with journal.recorded(
                catalog.directory, site, Verb.UNDELETE, subject, listener=listen, why=options.why
            ) as running:
                work.carry_out(
                    plan,
                    RecordPlace(catalog.directory, points, naming.stamp(own_stamp(site, now, catalog.directory))),
                    running,
                )
    return plan


class _Undeletion:
    """An undelete in its session."""

    def __init__(self, site: Site, session: Session, roots: Roots, options: UndeleteOptions, listen: Listener) -> None:
        self._site = site
        self._session = session
        self._roots = roots
        self._options = options
        self._listen = listen
        self._live = read_tables(session)
        self._relations = with_models(
            session, self._live, read_foreign_keys(session), roots.described.relations if roots.described else ()
        )
        self._rows = StagedRows(
            session,
            self._live,
            named=roots.tables,
            overwritable=conditions((*roots.overwrite, *roots.parts)),
        )
        self._findings: list[Finding] = not_described(roots, self._live)
        self._links: list[EmptiedLink] = []
        self._files = FilesOfRows()

    def plan(self, catalog: Catalog, points: Points) -> UndeletePlan:
        """Choose the dump, find the rows that belong together, try the insertion, and return the plan."""
        choice = Choice(self._site, self._rows, self._roots, self._options, self._relations, self._listen)
        artifact = choice.choose(catalog, points)
        self._findings += choice.findings
        close(self._rows, self._relations)
        require_overwritten(self._rows, self._roots.overwrite)
        erased = erased_among_picked(self._site, artifact, self._rows)
        conflicts = Conflicts(
            self._rows,
            self._relations,
            self._options.skip,
            erased,
            bool(self._roots.rows) and self._roots.table is None,
        )
        conflicts.typed += self._roots.typed
        conflicts.require_free()
        counts = conflicts.settle()
        conflicts.require_taken()
        if conflicts.left_out:
            self._findings.append(rows_left_out(conflicts.left_out))
        if self._options.files:
            self._find_files(points, artifact, conflicts)
        self._links = emptied_links(self._rows, self._relations)
        self._findings += changed_parents(self._rows, self._relations)
        self._findings += rows_elsewhere(self._rows, self._relations)
        self._findings += self._not_relinked()
        coming = picked(self._rows, counts)
        self._findings += lost_columns(self._session, coming, artifact.name, picked=True)
        tables = tuple(planned_table(self._rows, one) for one in coming)
        return UndeletePlan(
            artifact.name,
            artifact.created,
            self._roots.names,
            tables,
            tuple(self._links),
            self._options.relink,
            tuple(sorted(self._files.paths)[:SHOWN_ROWS]),
            len(self._files.paths),
            tuple(conflicts.found),
            tuple(self._findings),
            tuple(conflicts.new_values),
            tuple(overwritten_rows(self._rows)),
        )

    def _not_relinked(self) -> list[Finding]:
        """Return the finding about live rows whose emptied references stay empty."""
        if not self._links or self._options.relink:
            return []
        total = sum(len(one.keys) for one in self._links)
        words = f"{counted(total, 'live row')} referred to these rows before the deletion, now without them"
        return [warning("undelete.links", words, "--relink sets the references again")]

    def _find_files(self, points: Points, artifact: Artifact, conflicts: Conflicts) -> None:
        """Find the files of the rows, without those that were erased on request."""
        self._files = find_files(self._site, self._rows, self._roots.described, points, artifact)
        if gone := erased_among_files(self._site, self._files.saved(points.media)):
            self._files.leave_out(gone)
            self._findings.append(files_left_out(gone))
        left = self._options.skip
        conflicts.found += [msgspec.structs.replace(one, left=left) for one in self._files.conflicts]
        self._findings += self._files.findings

    @phase("insert")
    def carry_out(self, plan: UndeletePlan, place: RecordPlace, running: journal.Running) -> None:
        """Insert the rows of the plan, prove them, and put their files in their places: all or nothing."""
        tables = picked(self._rows, {one.table: one.count for one in plan.tables})
        head = self._head(plan, place, tables)
        with recorded_change(self._site, place, place.stamp, "the rows and files are back"):
            if self._files.sources:
                head = self._staged(head, place, running)
            running.listen(UndeleteInserting(plan.count))
            self._session.run("BEGIN")
            relinked = self._insert(plan, tables)
            transaction = transaction_number(self._session)
            head = msgspec.structs.replace(head, transaction=transaction)
            numbered = dict(enumerate(tables))
            queries = [inserted_lines(numbered), *overwritten_lines(numbered)]
            lines = chain.from_iterable(map(self._session.stream, queries))
            write_record(place.directory, head, chain(relinked, lines))
            running.note(transaction=transaction)
            if head.files:
                with explained("put the files among the media", lambda: ROLLED_BACK):
                    change = PutChange(head.stamp, head.files, head.directories)
                    self._site.required_media().single_files.put(change)
            commit(self._site, self._session, transaction)

    def _head(self, plan: UndeletePlan, place: RecordPlace, tables: Sequence[StagedTable]) -> UndeleteHead:
        linked_tables = [self._rows.tables[link.table] for link in self._links if plan.relink]
        media = self._site.media.root if self._files.sources and self._site.media else ""
        return UndeleteHead(
            site=self._site.name,
            database=self._site.postgres.database,
            system=self._site.cluster,
            stamp=place.stamp,
            artifact=plan.artifact,
            asked=plan.asked,
            created=datetime.now(UTC),
            media=str(media),
            tables=tuple(
                RecordedTable(one.live.schema, one.live.table, one.columns, one.key)
                for one in (*tables, *linked_tables)
            ),
        )

    def _staged(self, head: UndeleteHead, place: RecordPlace, running: journal.Running) -> UndeleteHead:
        """Stage the files next to the live files; return the head with their names. The record is there before."""
        media = self._site.required_media()
        paths = self._files.paths
        running.listen(UndeleteFiles(len(paths)))
        write_record(place.directory, head)
        stage = media.stage(place.stamp)
        try:
            stage_files(self._files, place.points, stage)
            stage.finish()
        finally:
            stage.close()
        inodes = media.single_files.staged(place.stamp, sorted(paths))
        files = tuple(PutFile(path, paths[path], inode) for path, inode in zip(sorted(paths), inodes, strict=True))
        hint = "bring the rows back alone with --no-files, and the file by hand"
        directories = media.single_files.missing_directories(sorted(paths), hint)
        return msgspec.structs.replace(head, files=files, directories=directories)

    def _insert(self, plan: UndeletePlan, tables: Sequence[StagedTable]) -> list[bytes]:
        """Insert and prove; return the lines of the record for live rows that were linked again."""
        inserted, relinked = 0, list[bytes]()
        for statement in statements(tables, self._relations):
            inserted += sum(self._session.ask(statement, tuple[int, ...]))
        if inserted != plan.count:
            raise changed_meanwhile()
        if plan.relink:
            for statement in relinking(self._rows, self._relations, self._links, len(tables)):
                relinked += list(self._session.stream(statement))
            if len(relinked) != sum(len(link.keys) for link in self._links):
                raise changed_meanwhile()
        self._session.run("SET CONSTRAINTS ALL IMMEDIATE")
        if different := self._session.ask(proof(tables), dict[str, int]):
            names = ", ".join(f"{count} of {name}" for name, count in different.items())
            raise ProofFailed(
                f"the inserted rows are not those of the backup: {names}",
                hint="a trigger of the site changes rows while they are inserted",
                id_="undelete.trigger",
            )
        self._session.run(raise_sequences(tables) + " SELECT 1")
        return relinked
