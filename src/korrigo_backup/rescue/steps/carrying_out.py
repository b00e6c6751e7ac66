"""Carry the plan of an undelete out: files staged, rows inserted and proven in one transaction, all recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.errors import ProofFailed
from korrigo_backup.media.single_files import PutFile
from korrigo_backup.postgres.site_path import CHECK_CONSTRAINTS, FROM_SITE_PATH
from korrigo_backup.recovery.undelete import RecordedTable, UndeleteHead, write_record
from korrigo_backup.rescue.files import stage_files
from korrigo_backup.rescue.insertion import picked, proof, raise_sequences, statements
from korrigo_backup.rescue.steps.overwriting import exchanges, overwritten_lines
from korrigo_backup.rescue.steps.relinking import relinking
from korrigo_backup.rescue.steps.transaction import (
    changed_meanwhile,
    commit,
    horizon,
    inserted_lines,
    recorded_change,
    transaction_number,
)
from korrigo_backup.rescue.steps.trigger_rows import TriggerRows
from korrigo_backup.run.step import UndeleteFiles, UndeleteInserting
from korrigo_backup.run.undo import ROLLED_BACK
from korrigo_backup.system.files import explained
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.rescue.staged_rows import StagedTable
    from korrigo_backup.rescue.steps.transaction import RecordPlace
    from korrigo_backup.rescue.steps.undeletion import Undeletion
    from korrigo_backup.rescue.undelete_plan import UndeletePlan
    from korrigo_backup.run.journal import Running


class CarryingOut:
    """The act of an undelete whose plan is made."""

    def __init__(self, work: Undeletion) -> None:
        self._work = work
        self._made = TriggerRows(work.session, work.rows.live, work.relations)

    @phase("insert")
    def carry_out(self, plan: UndeletePlan, place: RecordPlace, running: Running) -> None:
        """Insert the rows of the plan, prove them, and put their files in their places: all or nothing."""
        tables = picked(self._work.rows, {one.table: one.count for one in plan.tables})
        head = self._head(plan, place, tables)
        with recorded_change(self._work.site, place, place.stamp, "the rows and files are back"):
            if self._work.files.sources:
                head = self._staged(head, place, running)
            running.listen(UndeleteInserting(plan.count))
            self._work.session.run("BEGIN")
            self._made.begin()
            relinked = self._insert(plan, tables)
            transaction = transaction_number(self._work.session)
            self._made.find(tables)
            made = self._made.lines(len(head.tables))
            head = msgspec.structs.replace(
                head,
                transaction=transaction,
                horizon=horizon(self._work.session),
                tables=(*head.tables, *self._made.recorded),
            )
            numbered = dict(enumerate(tables))
            queries = [inserted_lines(numbered), *overwritten_lines(numbered)]
            lines = chain.from_iterable(map(self._work.session.stream, queries))
            write_record(place.directory, head, chain(relinked, lines, made))
            running.note(transaction=transaction)
            if head.files:
                with explained("put the files among the media", lambda: ROLLED_BACK):
                    self._work.site.required_media().single_files.put(head.change)
            commit(self._work.site, self._work.session, transaction)

    def _head(self, plan: UndeletePlan, place: RecordPlace, tables: Sequence[StagedTable]) -> UndeleteHead:
        linked_tables = [self._work.rows.tables[link.table] for link in self._work.links if plan.relink]
        media = self._work.site.media.root if self._work.files.sources and self._work.site.media else ""
        return UndeleteHead(
            site=self._work.site.name,
            database=self._work.site.postgres.database,
            system=self._work.site.cluster,
            stamp=place.stamp,
            artifact=plan.artifact,
            asked=plan.asked,
            created=datetime.now(UTC),
            media=str(media),
            tables=tuple(
                RecordedTable(one.live.schema, one.live.table, one.recorded, one.key)
                for one in (*tables, *linked_tables)
            ),
        )

    def _staged(self, head: UndeleteHead, place: RecordPlace, running: Running) -> UndeleteHead:
        """Stage the files next to the live files; return the head with their names. The record is there before."""
        media = self._work.site.required_media()
        paths = self._work.files.paths
        running.listen(UndeleteFiles(len(paths)))
        write_record(place.directory, head)
        with explained("stage the files beside the media"):
            stage = media.stage(place.stamp)
            try:
                stage_files(self._work.files, place.points, stage)
                stage.finish()
            finally:
                stage.close()
        inodes = media.single_files.staged(place.stamp, sorted(paths))
        files = tuple(PutFile(path, paths[path], inode) for path, inode in zip(sorted(paths), inodes, strict=True))
        hint = "bring the rows back alone with --no-files, and the file by hand"
        directories = media.single_files.missing_directories(sorted(paths), hint)
        replaced = self._work.files.replaced
        return msgspec.structs.replace(head, files=files, directories=directories, replaced=replaced)

    def _insert(self, plan: UndeletePlan, tables: Sequence[StagedTable]) -> list[bytes]:
        """Insert and prove; return the lines of the record for live rows that were linked again."""
        inserted, relinked = 0, list[bytes]()
        for statement in exchanges(self._work.rows, tables):
            self._work.session.run(f"{statement}; {FROM_SITE_PATH}")
        for statement in statements(tables, self._work.relations):
            inserted += sum(self._work.session.ask(f"{statement}; {FROM_SITE_PATH}", tuple[int, ...]))
        if inserted != plan.count:
            raise changed_meanwhile()
        if plan.relink:
            for statement in relinking(self._work.rows, self._work.relations, self._work.links, len(tables)):
                relinked += list(self._work.session.stream(f"{statement}; {FROM_SITE_PATH}"))
            if len(relinked) != sum(len(link.keys) for link in self._work.links):
                raise changed_meanwhile()
        self._work.session.run(CHECK_CONSTRAINTS)
        if different := self._work.session.ask(proof(tables), dict[str, int]):
            names = ", ".join(f"{count} of {name}" for name, count in different.items())
            raise ProofFailed(
                f"the inserted rows are not those of the backup: {names}",
                hint="a trigger of the site changes rows while they are inserted",
                id_="undelete.trigger",
            )
        self._work.session.run(raise_sequences(tables) + " SELECT 1")
        return relinked
