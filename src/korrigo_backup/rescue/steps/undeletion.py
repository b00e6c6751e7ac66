"""The plan of an undelete, made in its session: the dump, the rows that belong together, the conflicts, the files."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.core.paths import printable
from korrigo_backup.erasure.findings import files_left_out, rows_left_out
from korrigo_backup.errors import UsageError
from korrigo_backup.media.room import require_place
from korrigo_backup.postgres.tables import read_row_tables
from korrigo_backup.rescue.closure import close
from korrigo_backup.rescue.conflicts import Conflicts
from korrigo_backup.rescue.erased_rows import erased_among_picked
from korrigo_backup.rescue.files import FilesOfRows, find_files
from korrigo_backup.rescue.history.files import relative
from korrigo_backup.rescue.insertion import picked
from korrigo_backup.rescue.relations import read_foreign_keys, with_models
from korrigo_backup.rescue.staged_rows import StagedRows
from korrigo_backup.rescue.steps.choice import Choice
from korrigo_backup.rescue.steps.content_types import require_same_numbers
from korrigo_backup.rescue.steps.exchanging import exchanged_values
from korrigo_backup.rescue.steps.lost_columns import lost_columns
from korrigo_backup.rescue.steps.overwriting import changed_tables, conditions, overwritten_rows, require_overwritten
from korrigo_backup.rescue.steps.planning import changed_parents, emptied_links, not_described, planned_table
from korrigo_backup.rescue.steps.rounded_values import NARROWER, picked_values, rounded_values
from korrigo_backup.rescue.steps.staying_away import TypedUndelete, rows_staying_away, tables_below_needed
from korrigo_backup.rescue.steps.taken_keys import rows_elsewhere
from korrigo_backup.rescue.undelete_plan import SHOWN_ROWS, EmptiedLink, UndeletePlan
from korrigo_backup.site.erasures import erased_among_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.points import Points
    from korrigo_backup.rescue.steps.roots import Roots
    from korrigo_backup.rescue.undelete import UndeleteOptions
    from korrigo_backup.run.step import Listener
    from korrigo_backup.site.site import Site


class Undeletion:
    """An undelete in its session: `plan` finds the rows that come back, in `rows`, and their files, in `files`."""

    def __init__(self, site: Site, session: Session, roots: Roots, options: UndeleteOptions, listen: Listener) -> None:
        self.site = site
        self.session = session
        self._roots = roots
        self._options = options
        self._listen = listen
        self._live = read_row_tables(session)
        self.relations = with_models(
            session, self._live, read_foreign_keys(session), roots.described.relations if roots.described else ()
        )
        self.rows = StagedRows(
            session,
            self._live,
            named=roots.tables,
            overwritable=conditions((*roots.overwrite, *roots.parts), self._live),
        )
        self._findings: list[Finding] = not_described(roots, self._live)
        self.links: list[EmptiedLink] = []
        self.files = FilesOfRows()

    def plan(self, catalog: Catalog, points: Points) -> UndeletePlan:
        """Choose the dump, find the rows that belong together, try the insertion, and return the plan."""
        choice = Choice(self.site, self.rows, self._roots, self._options, self.relations, self._listen)
        artifact = choice.choose(catalog, points)
        self._findings += choice.findings
        require_same_numbers(self.rows, self.relations, artifact.name)
        close(self.rows, self.relations)
        require_overwritten(self.rows, self._roots.overwrite)
        erased = erased_among_picked(self.site, artifact, self.rows)
        conflicts = Conflicts(
            self.rows,
            self.relations,
            self._options.skip,
            erased,
            bool(self._roots.rows) and self._roots.table is None,
            self._roots.typed,
        )
        conflicts.new.require_free()
        counts = conflicts.settle()
        conflicts.require_taken()
        if conflicts.left_out:
            self._findings.append(rows_left_out(conflicts.left_out))
        if self._options.files:
            self._find_files(points, artifact, conflicts)
        if below := tables_below_needed(self.rows, self.relations):
            choice.stage_also(artifact, below)
        self.links = emptied_links(self.rows, self.relations)
        self._findings += self._neighbours(artifact)
        coming = picked(self.rows, counts)
        self._findings += lost_columns(self.session, coming, artifact.name, picked=True)
        self._findings += exchanged_values(self.session, changed_tables(self.rows, coming))
        for table in coming:
            accepted = NARROWER in self._options.accept
            self._findings += rounded_values(self.session, table, picked_values(table), accepted=accepted)
        tables = tuple(planned_table(self.rows, one) for one in coming)
        return UndeletePlan(
            artifact.name,
            artifact.created,
            self._roots.names,
            tables,
            tuple(self.links),
            self._options.relink,
            tuple(sorted(self.files.paths)[:SHOWN_ROWS]),
            len(self.files.paths),
            tuple(conflicts.found),
            tuple(self._findings),
            tuple(conflicts.new.given),
            tuple(overwritten_rows(self.rows)),
            tuple(sorted(self.files.replaced)),
        )

    def _neighbours(self, artifact: Artifact) -> list[Finding]:
        """Return the findings about rows next to those that come back: live rows, and deleted rows that stay away."""
        found = changed_parents(self.rows, self.relations) + rows_elsewhere(self.rows, self.relations)
        command = TypedUndelete(tuple(row.name for row in self._roots.rows), self._options.source or artifact.name)
        found += rows_staying_away(self.rows, self.relations, command)
        if self.links and not self._options.relink:
            total = sum(len(one.keys) for one in self.links)
            words = f"{counted(total, 'live row')} referred to these rows before the deletion, now without them"
            found.append(warning("undelete.links", words, "--relink sets the references again"))
        return found

    def _find_files(self, points: Points, artifact: Artifact, conflicts: Conflicts) -> None:
        """Find the files of the rows, without those that were erased on request.

        Raises UsageError for a file that was named to be overwritten, and is in the way of none of them.
        """
        root = str(self.site.media.root) if self.site.media else ""
        over = {relative(text, root): text for text in self._options.overwrite_files}
        self.files = find_files(self.site, self.rows, self._roots.described, points, artifact, over)
        self._require_in_the_way(over)
        if gone := erased_among_files(self.site, self.files.saved(points.media)):
            self.files.leave_out(gone)
            self._findings.append(files_left_out(gone))
        if self.files.paths:
            media, alone = self.site.required_media(), "the rows alone: --no-files"
            require_place(media, sorted(self.files.paths), self.files.bytes, otherwise=alone)
        left = self._options.skip
        conflicts.found += [msgspec.structs.replace(one, left=left) for one in self.files.conflicts]
        self._findings += self.files.findings

    def _require_in_the_way(self, named: Mapping[str, str]) -> None:
        known = {*self.files.inodes, *(key for one in self.files.conflicts for key in one.key)}
        for path, text in named.items():
            if path not in known:
                raise UsageError(
                    f"{printable(path)} is no live file with other content that the rows name",
                    hint=f"leave out --overwrite-file {quote(text)};"
                    f" korrigo-backup history --file {quote(path)} shows how it stood",
                    id_="undelete.unused",
                )
