"""Restore a Django backup while the site serves: manage.py loads a copy of the database, which is then swapped in.

The copy has the schema of the live database and the data that the backup does not hold (unheld.py). Database and media
are exchanged by renames, as after every other restore. Where the copy cannot be made or used, the backup is loaded in
the live database, as for a role that may make none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import stage_database
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
    from korrigo_backup.restore.django.restore import ManageLoad
    from korrigo_backup.restore.planning import PartPlan
    from korrigo_backup.run.undo import UndoStack
    from korrigo_backup.site.site import Site

_SUBSCRIPTIONS = """
SELECT to_json(count(*)) FROM pg_subscription
WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def hindrance(site: Site, described: Description, checked: DjangoCheck, stamp: str) -> str:
    """Return in words why the site's manage.py cannot load a copy of the live database; "" if it can."""
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
        yield finding.message  # a warning names an object that a swap leaves behind: a replication slot
    free = server.free_space()
    if free is not None and free < ROOM * Databases(server).size(server.database):
        yield "the server's disk has no room for a copy of it"


@dataclass(frozen=True)
class StagedDjango:
    """A copy of the live database, and how it was copied. manage.py loads it, and stages the media."""

    loading: ManageLoad
    part: DatabasePart
    copied: Copied

    def load(self) -> None:
        """Let manage.py load the copy, and count its rows from here."""
        loading, staged = self.loading, staged_name(self.loading.context)
        loading.load(into=staged)
        backup, context = loading.backup, loading.context
        counted = check_counts(context.site, backup.live, backup.manifest, strict=True, database=staged)
        if counted.tables:
            context.listen(RowsCounted(counted.tables, counted.rows))

    def catch_up(self, undo: UndoStack) -> str:
        """Close the live database, and copy again the changes besides the backup's rows.

        Returns the reason why the copy cannot be used, "" if it can.
        """
        databases, live = Databases(self.loading.context.site.postgres), self.loading.context.site.postgres.database
        undo.push("the closing of the database", lambda: databases.admit(live))
        try:
            self._renew(databases)
        except Unreachable:
            raise
        except KorrigoBackupError as problem:
            return problem.message
        return ""

    @phase("rows written meanwhile")
    def _renew(self, databases: Databases) -> None:
        context, server = self.loading.context, self.loading.context.site.postgres
        with server.session() as session:
            databases.disconnect(server.database, but=session.ask("SELECT pg_backend_pid()", int))
            again = self.copied.renew(session, server, staged_name(context))
        if again:
            context.listen(CopiedAgain(", ".join(again)))

    def swap_database(self, undo: UndoStack) -> None:
        """Swap the copy with the live database."""
        replace(self.part, context=self.loading.context).swap(undo)

    @phase("swap of the media")
    def swap_media(self, undo: UndoStack) -> None:
        """Swap the children by renames."""
        context = self.loading.context
        tree, stamp = context.site.configured_media(), context.stamp
        with explained("swap the media tree"):
            context.listen(DjangoMedia())
            undo.push("the swap of the media", lambda: tree.undo_swap(stamp))
            tree.swap(stamp)
        self.loading.hear(DjangoMediaRestored())


def stage_copy(loading: ManageLoad, plan: PartPlan, undo: UndoStack) -> StagedDjango | str:
    """Copy the live database, and let manage.py load the copy and unpack the media; the site serves.

    Returns the reason, in words, if the copy cannot be made or entered.
    """
    undo.push("the staged data", lambda: discard(loading))
    try:
        staged = _copy(loading, plan, undo)
    except Unreachable:
        raise
    except KorrigoBackupError as problem:
        return f"the live database cannot be copied: {problem.message}"
    try:
        staged.load()
    except Unreachable as problem:
        return f"the copy of the live database cannot be used: {problem.message}"
    return staged


def _copy(loading: ManageLoad, plan: PartPlan, undo: UndoStack) -> StagedDjango:
    context = loading.context
    context.listen(CopyingDatabase(staged_name(context)))
    seen: list[tuple[frozenset[str], Unheld]] = []
    found: list[Finding] = []

    def observe(taken: Snapshot) -> None:
        held = held_tables(taken, loading.backup.held)
        seen.append((held, Unheld.of(taken, held)))

    with loading.run.copied(observe) as (dump, source):
        inner = RestoreContext(context.site, context.stamp, silent, trusted=True, report=found.append, erasing=None)
        part = DatabasePart(dump, source, inner, plan)
        part.stage(undo)
        copied = Copied(*seen[0], source.expected)
    if found:  # in a restore a person reads it; a copy of live data has to be whole
        raise ProofFailed(found[0].message, hint=found[0].hint)
    copied.require_equal(context.site.postgres, staged_name(context))
    return StagedDjango(loading, part, copied)


def staged_name(context: RestoreContext) -> str:
    """Return the name of the copy."""
    return stage_database(context.site.postgres.database, context.stamp)


def discard(loading: ManageLoad) -> None:
    """Remove the copy and the staged media. Safe to repeat."""
    site = loading.context.site
    Databases(site.postgres).drop_staged(staged_name(loading.context))  # a load under way ends with it
    if site.media and loading.backup.manifest.includes_media:
        undecided.finish(site)
        site.media.discard_stage(loading.context.stamp)
