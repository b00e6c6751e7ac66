"""Undelete: deleted rows come back into the live database, with all that was deleted with them and all that they need.

    lock > recover > find the dump > stage > close > try > plan > confirm      nothing changed
      stage the files > insert and prove in one transaction, while the site serves > record > put the files > commit

Nothing is loaded but temporary tables of one session (decision 52). A plan says each row; what is carried out is
exactly the plan.

One file: the straight line of an undelete, readable from top to bottom.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact import naming
from korrigo_backup.artifact.components import authenticity
from korrigo_backup.core.finding import Finding, Level, warning
from korrigo_backup.errors import (
    Cancelled,
    Interrupted,
    KorrigoBackupError,
    NotFound,
    ProofFailed,
    Refused,
    UsageError,
)
from korrigo_backup.media.put import missing_directories, put
from korrigo_backup.postgres.digest import snapshot
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.recovery.django import committed
from korrigo_backup.recovery.pending import require_plannable
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.recovery.undelete import DONE as RECORD_DONE
from korrigo_backup.recovery.undelete import (
    PENDING,
    PutFile,
    RecordedTable,
    UndeleteHead,
    discard_staged,
    forget,
    forget_oldest,
    records,
    remove_files,
    turn,
    write_record,
)
from korrigo_backup.rescue.closure import PICKED, RowMark, close, linked, links, refers_to
from korrigo_backup.rescue.conflicts import Conflicts
from korrigo_backup.rescue.files import FilesOfRows, find_files, stage_files
from korrigo_backup.rescue.insertion import picked, proof, raise_sequences, statements
from korrigo_backup.rescue.live_tables import downward, read_foreign_keys, read_tables, upward, with_models
from korrigo_backup.rescue.points import database_proof, find_dump, read_points
from korrigo_backup.rescue.saved_rows import open_saved_rows
from korrigo_backup.rescue.site_tables import SiteTables
from korrigo_backup.rescue.source_dumps import fuller_finding, in_order
from korrigo_backup.rescue.staged_rows import LEVEL, MARK, StagedRows, misfit, rescue_session
from korrigo_backup.rescue.undelete_plan import (
    SHOWN_ROWS,
    ConflictKind,
    EmptiedLink,
    PlannedRow,
    PlannedTable,
    UndeletePlan,
    Why,
)
from korrigo_backup.rescue.undo_undelete import content_hash, partly
from korrigo_backup.restore.erasing import erased_from
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, UndeleteFiles, UndeleteInserting, UndeleteStaging, silent
from korrigo_backup.run.undo import ROLLED_BACK, all_or_nothing
from korrigo_backup.site.stamps import own_stamp
from korrigo_backup.system.files import explained
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.site_description import Description
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.live_tables import RowRelation, TableLayout
    from korrigo_backup.rescue.objects import NamedTable
    from korrigo_backup.rescue.points import Points
    from korrigo_backup.rescue.site_tables import NamedRow
    from korrigo_backup.rescue.staged_rows import StagedTable
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class UndeleteOptions:
    """The choices of the operator: objects, or a table and an SQL condition; the backup by name or time.

    `since` takes the backup before that time, and without objects and table all that was deleted since; what the first
    backup after `until` still has was deleted later, and is not asked for.

    With `skip`, rows in conflict are left out with those that need them. With `relink`, references that the deletion
    has emptied are set again.
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
    files: bool = True
    allow_unsigned: bool = False
    why: Mapping[str, str] = field(default_factory=dict)
    """Who asked, for the journal."""


@dataclass(frozen=True)
class Roots:
    """The rows that are asked for: of each table their keys, or those for which an SQL condition holds."""

    rows: tuple[NamedRow, ...] = ()
    table: NamedTable | None = None
    where: str = ""
    since: datetime | None = None
    """All that was deleted since then is asked for, in `table` or, without one, in all tables."""
    described: Description | None = None
    not_asked: str = ""
    """Why the relations of the models are not known, "" if they are."""

    @property
    def tables(self) -> set[str]:
        """The tables that they are in."""
        return {row.table.table for row in self.rows} | ({self.table.table} if self.table else set())

    @property
    def names(self) -> tuple[str, ...]:
        """The rows as a person writes them."""
        where = f" where {self.where}" if self.where else ""
        since = (f"what was deleted since {self.since:%Y-%m-%d %H:%M}",) if self.everything and self.since else ()
        tables = (f"{self.table.table}{where}",) if self.table else since
        return (*(row.name for row in self.rows), *tables)

    @property
    def subject(self) -> str:
        """The rows for the journal: without the condition, which may hold personal data."""
        tables = (self.table.table,) if self.table else ("everything",) if self.everything else ()
        return ", ".join((*(row.name for row in self.rows), *tables))

    @property
    def everything(self) -> bool:
        """Whether the rows of all tables are asked for."""
        return self.since is not None and not self.rows and self.table is None


def undelete(
    site: Site,
    catalog: Catalog,
    options: UndeleteOptions,
    *,
    now: datetime,
    confirm: Callable[[UndeletePlan], bool],
    listen: Listener = silent,
) -> UndeletePlan:
    """Bring deleted rows back; return the plan that was carried out, with `dry_run` that would be.

    Raises NotFound for rows that no backup has, UsageError for rows that are live, Refused for a conflict, Cancelled,
    ProofFailed if the inserted rows are not those of the backup. Any error leaves the site as it was.
    """
    if not options.objects and not options.table and options.since is None:
        raise UsageError("nothing is named", hint="undelete exams.Exam:12, or undelete --table exams_exam --where …")
    held = exclusive(site, catalog, "undelete", listen=listen, dry_run=options.dry_run)
    with held as (site, recovered):  # noqa: PLR1704 - now held
        if options.dry_run:
            require_plannable(site, recovered)
        points = read_points(catalog)
        roots = _find_roots(site, points, options)
        with rescue_session(site.postgres) as session:
            work = _Undeletion(site, session, roots, options, listen)
            work.choose(catalog, points)
            plan = work.plan(points)
            if options.dry_run:
                return plan
            require_possible(plan)
            if not confirm(plan):
                raise Cancelled("Undelete cancelled", hint="to continue, run it again and answer yes")
            subject = roots.subject[:200]
            with journal.recorded(
                catalog.directory, site, Verb.UNDELETE, subject, listener=listen, why=options.why
            ) as running:
                work.carry_out(
                    plan, _RecordPlace(catalog.directory, points, naming.stamp(own_stamp(site, now))), running
                )
    return plan


@dataclass(frozen=True)
class _RecordPlace:
    """Where an undelete is recorded, under which stamp, and where its files come from."""

    directory: Path
    points: Points
    stamp: str


def _find_roots(site: Site, points: Points, options: UndeleteOptions) -> Roots:
    with snapshot(site.postgres) as taken:
        tables = SiteTables(site, points.dumps, taken)
        rows = tuple(tables.row(text) for text in options.objects)
        named = tables.find(options.table) if options.table else None
        live = tables.live
        described = tables.description
        declared = described.relations if described else ()
        not_asked = tables.not_asked or ("" if declared else "its korrigo_backup is of an earlier version")
    for name in {row.table.table for row in rows} | ({named.table} if named else set()):
        if name not in live:
            raise Refused(
                f"the table {name} is not live: rows cannot be put into it",
                hint="bring the table back first, with its migration or by a restore of the point",
            )
    return Roots(rows, named, options.where, options.since, described, not_asked)


def require_possible(plan: UndeletePlan) -> None:
    """Raise Refused for a plan with conflicts at which the undelete stops, or without rows."""
    if bad := plan.refused:
        first = bad[0]
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        of = "a file" if first.kind is ConflictKind.FILE else f"a row of {first.table}"
        raise Refused(
            f"the live site does not take {of}: {first.message}{more}",
            hint="mend what is in the way, or leave it out with what needs it: --on-conflict skip",
            id_="undelete.conflict",
        )
    if not plan.count:
        raise Refused("no row is left to bring back", hint="see the conflicts above")


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
        self._rows = StagedRows(session, self._live)
        self._artifact: Artifact | None = None
        self._findings: list[Finding] = _not_described(roots, self._live)
        self._links: list[EmptiedLink] = []
        self._files = FilesOfRows()

    def choose(self, catalog: Catalog, points: Points) -> None:
        """Stage the dump that is named, or the first in order that has the rows; mark the rows that are asked for."""
        self._require_gone()
        named = find_dump(catalog, self._options.source, self._options.at or self._options.since)
        for dump in [named] if named else in_order(points.require_dumps()):
            if self._has_roots(dump):
                found = authenticity(dump, allow_unsigned=self._options.allow_unsigned)
                if bad := next((one for one in found if one.level is Level.ERROR), None):
                    raise Refused(bad.message, hint=bad.hint, id_=bad.id)
                self._findings += [one for one in found if one.level is not Level.OK]
                self._listen(UndeleteStaging(dump.name))
                self._stage(dump)
                count = self._mark()
                if count and self._options.until:
                    count -= self._unmark_later(points, self._options.until)
                if count:
                    self._artifact = dump
                    if not named:
                        self._findings += self._fuller(dump, points)
                    return
                self._forget()
        where = named.name if named else "any backup"
        raise NotFound(
            f"{', '.join(self._roots.names)}: not found among the deleted rows of {where}",
            hint="korrigo-backup history MODEL:PK shows in which backups a row is",
            id_="undelete.absent",
        )

    def _fuller(self, dump: Artifact, points: Points) -> list[Finding]:
        roots = set(self._live) if self._roots.everything else self._roots.tables
        older = [one for one in in_order(points.dumps) if one.created < dump.created][:_LOOKED_BACK]
        return fuller_finding(
            (dump.name, _rows_of(dump)),
            ((one.name, _rows_of(one)) for one in older),
            downward(roots, self._relations) & set(self._live),
        )

    def _require_gone(self) -> None:
        """Raise UsageError for a row that is live: undelete changes none."""
        for row in self._roots.rows:
            live = self._live[row.table.table]
            condition = _has_key(row)
            if self._session.ask(f"SELECT to_json(EXISTS (SELECT FROM ONLY {live.sql} WHERE {condition}))", bool):
                raise UsageError(
                    f"{row.name} is not deleted: it is live, and undelete changes no live row",
                    hint=f"korrigo-backup history {row.name} shows how it changed",
                )

    def _has_roots(self, dump: Artifact) -> bool:
        """Return whether a dump has all rows that are named by key; a condition is tried on the staged rows."""
        if not self._roots.rows:
            return True
        with open_saved_rows(dump, self._site.postgres.access) as saved:
            return all(saved.find(row.table.table, row.key) for row in self._roots.rows)

    def _stage(self, dump: Artifact) -> None:
        roots = set(self._live) if self._roots.everything else self._roots.tables
        down = downward(roots, self._relations)
        wanted = [name for name in upward(down, self._relations) if name in self._live]
        with open_saved_rows(dump, self._site.postgres.access) as saved:
            readers = {name: self._reader(self._live[name]) for name in wanted}
            saved.read(readers)

    def _reader(self, live: TableLayout) -> Callable[..., None]:
        def read(text: object) -> None:
            try:
                self._rows.stage(text, live)  # type: ignore[arg-type]
            except StatementFailed as problem:
                raise misfit(problem, live.name) from None

        return read

    def _forget(self) -> None:
        for table in self._rows.tables.values():
            self._session.run(f"DROP TABLE {table.then}, {table.gone}")
        self._rows.tables.clear()

    def _mark(self) -> int:
        """Mark the rows that are asked for; return their number. UsageError for a condition that is no SQL."""
        count = 0
        for row in self._roots.rows:
            table = self._rows.tables[row.table.table]
            count += self._marked(table, _has_key(row))
        if self._roots.table and (staged := self._rows.tables.get(self._roots.table.table)):
            count += self._marked(staged, f"({self._roots.where or 'true'})")
        if self._roots.everything:
            for staged in self._rows.tables.values():
                if staged.live.table not in _PASSING:
                    count += self._marked(staged, "true")
        return count

    def _unmark_later(self, points: Points, until: datetime) -> int:
        """Unmark the rows that the first backup after `until` still has; return their number."""
        later = next((one for one in points.dumps if one.created >= until), None)
        if later is None:
            return 0
        rows = StagedRows(self._session, self._live, first=len(self._rows.tables) + 1)
        marked = {name: one for name, one in self._rows.tables.items() if self._rows.count(f"g.{MARK} = 3", one)}
        with open_saved_rows(later, self._site.postgres.access) as saved:
            saved.read({name: partial(rows.stage, live=self._live[name]) for name in marked})
        count = 0
        for name, table in marked.items():
            if there := rows.tables.get(name):
                condition = f"{MARK} = 3 AND EXISTS (SELECT FROM {there.then} t WHERE {table.same('g', 't')})"
                count += self._rows.count(condition, table)
                self._session.run(f"UPDATE {table.gone} g SET {MARK} = NULL, {LEVEL} = NULL WHERE {condition}")
        return count

    def _marked(self, table: StagedTable, condition: str) -> int:
        """RowMark deleted rows by a condition, which may only read."""
        name = identifier(table.live.table)
        update = f"UPDATE {table.gone} AS {name} SET {MARK} = {RowMark.ROOT}, {LEVEL} = 0 WHERE {condition}"
        try:
            self._session.run(f"BEGIN READ ONLY; DO {literal(f'BEGIN EXECUTE {literal(update)}; END')}; COMMIT")
        except StatementFailed as problem:
            raise UsageError(
                f"the condition is not understood: {problem.message}",
                hint=f"write it in SQL about the columns of {table.live.name}: --where \"name = 'x'\"",
            ) from None
        return self._rows.count(f"g.{MARK} = {RowMark.ROOT}", table)

    def plan(self, points: Points) -> UndeletePlan:
        """Find what belongs to the rows, try it, and return the plan."""
        assert self._artifact is not None  # noqa: S101 - `choose` has found it
        close(self._rows, self._relations)
        erased = erased_from(self._site, self._artifact)
        conflicts = Conflicts(self._rows, self._relations, self._options.skip, erased)
        counts = conflicts.settle()
        if self._options.files:
            self._files = find_files(self._site, self._rows, self._roots.described, points, self._artifact)
            left = self._options.skip
            conflicts.found += [msgspec.structs.replace(one, left=left) for one in self._files.conflicts]
            self._findings += self._files.findings
        self._links = self._emptied()
        self._findings += self._changed_parents()
        if self._links and not self._options.relink:
            total = sum(len(one.keys) for one in self._links)
            self._findings.append(
                warning(
                    "undelete.links",
                    f"{total} live rows referred to these rows before the deletion, and stay without them",
                    "--relink sets the references again",
                )
            )
        tables = tuple(self._planned(one) for one in picked(self._rows, counts))
        return UndeletePlan(
            self._artifact.name,
            self._artifact.created,
            self._roots.names,
            tables,
            tuple(self._links),
            self._options.relink,
            tuple(sorted(self._files.paths)[:SHOWN_ROWS]),
            len(self._files.paths),
            tuple(conflicts.found),
            tuple(self._findings),
        )

    def _planned(self, table: StagedTable) -> PlannedTable:
        numbers = {mark: self._rows.count(f"g.{MARK} = {mark}", table) for mark in RowMark}
        query = (
            "SELECT coalesce(json_agg(json_build_array(k, m, n)), '[]') FROM (SELECT"
            f" {table.key_text('g')} AS k, g.{MARK} AS m, {table.name_text('g')} AS n FROM {table.gone} g"
            f" WHERE g.{PICKED} ORDER BY g.{MARK} DESC, {', '.join(f'g.{identifier(one)}::text' for one in table.key)}"
            f" LIMIT {SHOWN_ROWS}) x"
        )
        rows = self._session.ask(query, tuple[tuple[tuple[str | None, ...], int, str | None], ...])
        return PlannedTable(
            table.live.name,
            numbers[RowMark.ROOT],
            numbers[RowMark.WITH],
            numbers[RowMark.NEEDS],
            table.key if table.has_key else (),
            tuple(PlannedRow(tuple(k or "" for k in key), _WHY[RowMark(mark)], name) for key, mark, name in rows),
        )

    def _emptied(self) -> list[EmptiedLink]:
        by_relation: dict[int, list[tuple[str, ...]]] = {}
        for link in links(self._rows, self._relations):
            by_relation.setdefault(link.relation, []).append(link.key)
        return [
            EmptiedLink(self._relations[n].table, self._relations[n].columns, self._relations[n].to, tuple(keys))
            for n, keys in by_relation.items()
        ]

    def _changed_parents(self) -> list[Finding]:
        """Return a warning for each table with live rows that picked rows refer to and that have changed since."""
        found: dict[str, set[str]] = {}
        for relation in self._relations:
            both = None if relation.generic else self._rows.gone(relation)
            if both is None or not both[1].has_key:
                continue
            child, parent = both
            found.setdefault(parent.live.name, set()).update(
                self._session.ask(_changed_columns(relation, child, parent), set[str])
            )
        return [
            warning(
                "undelete.parent_changed",
                f"rows of {name} to which these rows refer have changed since: {', '.join(sorted(columns))}",
                "they stay as they are now",
            )
            for name, columns in found.items()
            if columns
        ]

    @phase("insert")
    def carry_out(self, plan: UndeletePlan, place: _RecordPlace, running: journal.Running) -> None:
        """Insert the rows of the plan, prove them, and put their files in their places: all or nothing."""
        tables = picked(self._rows, {one.table: one.count for one in plan.tables})
        head = self._head(plan, place, tables)
        with all_or_nothing() as undo:
            undo.push("the record and the files of the undelete", lambda: _take_back(self._site, place, head))
            if self._files.sources:
                head = self._staged(head, place, running)
            running.listen(UndeleteInserting(plan.count))
            self._session.run("BEGIN")
            relinked = self._insert(plan, tables)
            transaction = self._session.ask("SELECT to_json(pg_current_xact_id()::text)", str)
            head = msgspec.structs.replace(head, transaction=transaction)
            write_record(place.directory, head, chain(relinked, self._session.stream(_recorded(tables))))
            running.note(transaction=transaction)
            if head.files:
                with explained("put the files among the media", lambda: ROLLED_BACK):
                    put(Path(head.media), self._stage_path(place), [file.path for file in head.files], head.directories)
            self._commit(transaction)
        with partly("the rows and files are back"):
            turn(place.directory, place.stamp, PENDING, RECORD_DONE)
            with explained("remove the staged directory"):
                discard_staged(self._site, head)
            forget_oldest(place.directory, self._site.name)

    def _commit(self, transaction: str) -> None:
        """Commit; an error or a signal meanwhile is none if the server says that it has committed."""
        try:
            self._session.run("COMMIT")
        except (KorrigoBackupError, Interrupted, KeyboardInterrupt):
            self._session.terminate()
            if not committed(self._site.postgres, transaction):
                raise

    def _head(self, plan: UndeletePlan, place: _RecordPlace, tables: Sequence[StagedTable]) -> UndeleteHead:
        linked_tables = [self._rows.tables[link.table] for link in self._links if plan.relink]
        media = self._site.media.root if self._files.sources and self._site.media else ""
        return UndeleteHead(
            site=self._site.name,
            database=self._site.postgres.database,
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

    def _staged(self, head: UndeleteHead, place: _RecordPlace, running: journal.Running) -> UndeleteHead:
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
        staged = self._stage_path(place)
        files = tuple(PutFile(path, sha256, (staged / path).stat().st_ino) for path, sha256 in sorted(paths.items()))
        hint = "bring the rows back alone with --no-files, and the file by hand"
        directories = missing_directories(media.root, [file.path for file in files], hint)
        return msgspec.structs.replace(head, files=files, directories=directories)

    def _stage_path(self, place: _RecordPlace) -> Path:
        return self._site.required_media().beside("stage", place.stamp)

    def _insert(self, plan: UndeletePlan, tables: Sequence[StagedTable]) -> list[bytes]:
        """Insert and prove; return the lines of the record for live rows that were linked again."""
        inserted, relinked = 0, list[bytes]()
        for statement in statements(tables, self._relations):
            inserted += sum(self._session.ask(statement, tuple[int, ...]))
        if inserted != plan.count:
            raise _changed_meanwhile()
        if plan.relink:
            for statement in self._relinking(len(tables)):
                relinked += list(self._session.stream(statement))
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

    def _relinking(self, first: int) -> Iterator[str]:
        """Yield the statements that set emptied references; their tables in the record begin at `first`."""
        for number, link in enumerate(self._links, first):
            relation = next(
                one
                for one in self._relations
                if (one.table, one.columns, one.to) == (link.table, link.columns, link.to) and not one.generic
            )
            child, parent = self._rows.tables[relation.table], self._rows.tables[relation.to]
            values = ", ".join(f"{identifier(name)} = t.{identifier(name)}" for name in relation.columns)
            content = f"ROW({', '.join(f'u.{identifier(name)}' for name in relation.columns)})::text"
            names = ", ".join(map(literal, relation.columns))
            yield (
                f"UPDATE ONLY {child.live.sql} u SET {values} FROM {child.then} t WHERE {child.same('u', 't')}"
                f" AND {child.key_text('u')} IN (SELECT {child.key_text('l')} FROM {linked(relation, child, parent)})"
                f" RETURNING json_build_object('table', {number}, 'key', {child.key_text('u')},"
                f" 'hash', {content_hash(content)}::text, 'link', json_build_array({names}))"
            )


def _not_described(roots: Roots, live: Mapping[str, TableLayout]) -> list[Finding]:
    """Return a warning if only the database's own foreign keys are known, and the site is one of Django."""
    if not roots.not_asked or not any(one.table == "django_content_type" for one in live.values()):
        return []
    return [
        warning(
            "undelete.no_django",
            f"only foreign keys of the database are followed, the site's Django was not asked: {roots.not_asked}",
            "references without a constraint, inheritance and generic relations are not known: set [django] manage",
        )
    ]


def _recorded(tables: Sequence[StagedTable]) -> str:
    """Return the query for the lines of the record: a row each."""
    return " UNION ALL ".join(
        f"SELECT json_build_object('table', {number}, 'key', {one.key_text('g')},"
        f" 'hash', {content_hash(one.content('g'))}::text) FROM {one.gone} g WHERE g.{PICKED}"
        for number, one in enumerate(tables)
    )


def _take_back(site: Site, place: _RecordPlace, head: UndeleteHead) -> None:
    """Remove what an undelete that is not committed has left on disk."""
    for one in records(place.directory, site.name, PENDING):
        if one.stamp == head.stamp:
            remove_files(site, one)
            discard_staged(site, one)
    forget(place.directory, head.stamp, PENDING)


_LOOKED_BACK = 30
"""Older dumps whose row counts are compared with those of the chosen one."""

_PASSING = frozenset({"django_session"})
"""Tables whose rows are deleted every day: they come back only if they are named."""

_WHY = {RowMark.ROOT: Why.ASKED, RowMark.WITH: Why.WITH, RowMark.NEEDS: Why.NEEDED}


def _rows_of(dump: Artifact) -> dict[str, int]:
    proof = database_proof(dump)
    return {one.name: one.rows for one in proof.tables} if proof else {}


def _has_key(row: NamedRow) -> str:
    return " AND ".join(f"{identifier(k)} = {literal(v)}" for k, v in zip(row.key, row.values, strict=True))


def _changed_columns(relation: RowRelation, child: StagedTable, parent: StagedTable) -> str:
    columns = ", ".join(map(literal, parent.columns))
    return (
        "SELECT coalesce(json_agg(DISTINCT e.key), '[]') FROM"
        f" {child.gone} g JOIN {parent.then} t ON {refers_to(relation, 'g', 't')}"
        f" JOIN ONLY {parent.live.sql} l ON {parent.same('l', 't')}, jsonb_each(to_jsonb(t)) e"
        f" WHERE g.{PICKED} AND e.value IS DISTINCT FROM to_jsonb(l) -> e.key AND e.key IN ({columns})"
    )


def _changed_meanwhile() -> Refused:
    return Refused("the live rows have changed since the plan", hint="run it again: it makes a new plan")
