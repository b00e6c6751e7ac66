"""Restore a Django backup while the site serves: manage.py loads a copy of the database, which is then swapped in.

The copy has the schema of the live database and what the backup does not hold (unheld.py). Database and media are
exchanged by renames, as after every other restore. Where the copy cannot be made or used, the backup is loaded in the
live database, as for a role that may make none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import stage_database
from korrigo_backup.core.finding import warning
from korrigo_backup.errors import KorrigoBackupError, ProofFailed, Unreachable
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.recovery import django as undecided
from korrigo_backup.restore.django.planning import ROOM, check_counts
from korrigo_backup.restore.django.unheld import Copied, Unheld, held_tables
from korrigo_backup.restore.django.way_back import obstacle
from korrigo_backup.restore.needs import site_needs
from korrigo_backup.restore.parts import DatabasePart, RestoreContext
from korrigo_backup.run.step import (
    CopiedAgain,
    CopyingDatabase,
    DjangoMedia,
    DjangoMediaRestored,
    RestoringInPlace,
    RowsCounted,
    silent,
)
from korrigo_backup.system.files import explained
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.core.finding import Finding
    from korrigo_backup.core.site_description import Description
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.restore.django.planning import DjangoCheck
    from korrigo_backup.restore.django.restore import DjangoPart
    from korrigo_backup.restore.planning import PartPlan
    from korrigo_backup.run.undo import UndoStack
    from korrigo_backup.site.site import Site

_SUBSCRIPTIONS = """
SELECT to_json(count(*)) FROM pg_subscription
WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def hindrance(site: Site, described: Description, checked: DjangoCheck, stamp: str) -> str:
    """Return in words what keeps the site's manage.py from loading a copy of the live database; "" for nothing."""
    server = site.postgres
    if not described.stages:
        return "the site's korrigo-backup is an earlier version, which loads no other database"
    if checked.database != server.database:
        return "its settings name the database in another way, so they cannot be pointed to a copy of it"
    if words := obstacle(site):
        return words
    return next(_lost_in_a_copy(server, stage_database(server.database, stamp)), "")


def _lost_in_a_copy(server: Postgres, staged: str) -> Iterator[str]:
    if server.ask(_SUBSCRIPTIONS, int):
        yield "it has subscriptions, which would be disabled in a copy"
    for finding in site_needs(server, staged):
        yield finding.message  # a warning names what a swap leaves behind: a replication slot
    free = server.free_space()
    if free is not None and free < ROOM * Databases(server).size(server.database):
        yield "the server's disk has no room for a copy of it"


@dataclass
class StagedDjango:
    """Database and media, loaded beside by the site's manage.py. `in_place` is the other way, for want of a copy."""

    in_place: DjangoPart
    plan: PartPlan
    staged: bool = field(default=False, init=False)
    _copy: DatabasePart | None = field(default=None, init=False)
    _copied: Copied | None = field(default=None, init=False)

    def stage(self, undo: UndoStack) -> None:
        """Copy the live database, and let manage.py load the copy and unpack the media; the site serves."""
        undo.push("the staged data", self._discard)
        try:
            self._make_copy(undo)
        except Unreachable:
            raise
        except KorrigoBackupError as problem:
            self._give_up(f"the live database cannot be copied: {problem.message}")
            return
        try:
            self._load()
        except Unreachable as problem:
            self._give_up(f"the copy of the live database cannot be used: {problem.message}")
            return
        self.staged = True

    def swap(self, undo: UndoStack) -> None:
        """Bring the copy up to date, where nobody writes any more, and swap it in; else load in place."""
        if self.staged and self._copy:
            databases, live = Databases(self._site.postgres), self._site.postgres.database
            undo.push("the closing of the database", lambda: databases.admit(live))
            try:
                self._catch_up()
            except Unreachable:
                raise
            except KorrigoBackupError as problem:
                self._give_up(problem.message)
                databases.admit(live)
        if not self.staged or not self._copy:
            self.in_place.swap(undo)
            return
        replace(self._copy, context=self.in_place.context).swap(undo)

    @property
    def _site(self) -> Site:
        return self.in_place.context.site

    @property
    def _stage(self) -> str:
        return stage_database(self._site.postgres.database, self.in_place.context.stamp)

    def _make_copy(self, undo: UndoStack) -> None:
        context, server = self.in_place.context, self._site.postgres
        context.listen(CopyingDatabase(self._stage))
        seen: list[tuple[frozenset[str], Unheld]] = []
        found: list[Finding] = []

        def observe(taken: Snapshot) -> None:
            held = held_tables(taken, self.in_place.held)
            seen.append((held, Unheld.of(taken, held)))

        with self.in_place.run.copied(observe) as (dump, source):
            inner = RestoreContext(context.site, context.stamp, silent, trusted=True, report=found.append)
            self._copy = DatabasePart(dump, source, inner, self.plan)
            self._copy.stage(undo)
            self._copied = Copied(*seen[0], source.expected)
        if found:  # in a restore a person reads it; a copy of what is live has to be whole
            raise ProofFailed(found[0].message, hint=found[0].hint)
        self._copied.require_equal(server, self._stage)

    def _load(self) -> None:
        part = self.in_place
        part.load(into=self._stage)
        counted = check_counts(self._site, part.live, part.manifest, strict=True, database=self._stage)
        if counted.tables:
            part.context.listen(RowsCounted(counted.tables, counted.rows))

    @phase("rows written meanwhile")
    def _catch_up(self) -> None:
        """End all sessions in the live database but ours, and copy again what has changed besides the backup's rows."""
        databases, server = Databases(self._site.postgres), self._site.postgres
        if self._copied is None:
            return
        with server.session() as session:
            databases.disconnect(server.database, but=session.ask("SELECT pg_backend_pid()", int))
            again = self._copied.renew(session, server, self._stage)
        if again:
            self.in_place.context.listen(CopiedAgain(", ".join(again)))

    def _give_up(self, reason: str) -> None:
        """Go on in place: what was staged goes, and the operator is told why."""
        self.staged, self._copy = False, None
        self.plan = self.in_place.plan
        self.in_place.run.in_place()
        way = next(one.hint for one in self.plan.findings if one.id == "restore.django")
        self.in_place.context.report(warning("restore.django", f"restored in place: {reason}", way))
        self.in_place.context.listen(RestoringInPlace(reason))
        self._discard()

    def _discard(self) -> None:
        Databases(self._site.postgres).drop_staged(self._stage)  # a load under way ends with it
        if self._site.media and self.in_place.manifest.includes_media:
            undecided.finish(self._site)
            self._site.media.discard_stage(self.in_place.context.stamp)


@dataclass(frozen=True)
class StagedMedia:
    """The media of a Django backup: manage.py stages them, or replaces them along with a database in place."""

    database: StagedDjango
    plan: PartPlan

    def stage(self, undo: UndoStack) -> None:
        """Do nothing: see the database's part."""

    @phase("swap of the media")
    def swap(self, undo: UndoStack) -> None:
        """Swap the children by renames."""
        if not self.database.staged:
            return
        part = self.database.in_place
        tree, stamp, listen = part.context.site.configured_media(), part.context.stamp, part.context.listen
        with explained("swap the media tree"):
            listen(DjangoMedia())
            undo.push("the swap of the media", lambda: tree.undo_swap(stamp))
            tree.swap(stamp)
        part.hear(DjangoMediaRestored())
