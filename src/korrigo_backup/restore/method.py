"""The three methods of a restore: `Swap`, `InPlace` (in_place.py) and `DjangoLoad` (django/restore.py).

A method is opened when all that it restores is verified. `plan` returns its effect; `carry_out` stages, stops the
services and puts the data in their place, each in the order that the method needs. The start is the same for all.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from korrigo_backup.artifact.kinds import KINDS, Origin
from korrigo_backup.backup.backup import BackupOptions, dump
from korrigo_backup.core.finding import first_error
from korrigo_backup.postgres.property_differences import (
    SETTINGS,
    in_place_for,
    lost_by_swap,
    settings_lost,
    settings_refused,
)
from korrigo_backup.restore.django.live_copy import live_copy
from korrigo_backup.restore.django.restore import open_django
from korrigo_backup.restore.in_place import open_in_place
from korrigo_backup.restore.parts import open_part
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import silent
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager, ExitStack
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.restore.downtime import Downtime
    from korrigo_backup.restore.parts import RestoreContext, StagedPart
    from korrigo_backup.restore.planning import PartPlan
    from korrigo_backup.run.journal import Running
    from korrigo_backup.run.step import Step
    from korrigo_backup.run.undo import UndoStack
    from korrigo_backup.site.site import Site
    from korrigo_backup.verify.dump_source import SqlSource


@dataclass
class RestoreRun:
    """A restore that is being carried out: what its method needs of it. `safety` is the safety backup once it is made.

    `now` is the time of all its names.
    """

    site: Site
    catalog: Catalog
    now: datetime
    running: Running
    down: Downtime
    safety: Artifact | None = None

    def listen(self, step: Step) -> None:
        """Write the step into the journal and pass it on."""
        self.running.listen(step)

    def note(self, **known: str) -> None:
        """Write into the journal the facts that must be known if the run ends here (fields of `Record`)."""
        self.running.note(**known)

    def stop(self, undo: UndoStack) -> None:
        """Stop the services: the downtime begins."""
        self.down.stop(undo)

    @phase("safety backup")
    def secure(self) -> Artifact:
        """Make the safety backup for the rollback of a restore that keeps no previous copy of the database."""
        options = BackupOptions(origin=Origin.SAFETY)
        self.safety = dump(self.site, self.catalog, options, now=self.now, listen=silent)
        return self.safety

    def copied(self, observe: Callable[[Snapshot], None]) -> AbstractContextManager[tuple[Artifact, SqlSource]]:
        """Dump the live database for a copy of it; `observe` sees the same snapshot."""
        return live_copy(self.site, self.catalog, now=self.now, observe=observe)


class RestoreMethod(Protocol):
    """How the data of an artifact get into the site."""

    @property
    def verb(self) -> Verb:
        """The verb of such a restore in the journal."""
        ...

    def plan(self) -> tuple[PartPlan, ...]:
        """Return the effect on each part of the site; after `carry_out` the effect that it had."""
        ...

    def carry_out(self, undo: UndoStack, run: RestoreRun) -> None:
        """Put the data in their place, proven, and leave the services stopped; each step registers its undo first."""
        ...


@dataclass(frozen=True)
class Swap:
    """Stage database and media next to the live data, prove them, and exchange both by renames."""

    parts: tuple[StagedPart, ...]
    stamp: str
    verb: Verb = Verb.RESTORE

    def plan(self) -> tuple[PartPlan, ...]:
        """Return the effect on each part."""
        return tuple(part.plan for part in self.parts)

    def carry_out(self, undo: UndoStack, run: RestoreRun) -> None:
        """Stage all, stop, swap all.

        What `forget` has recorded since the stage is erased, too, and during the swap it waits.
        """
        ledger = run.site.ledger.seen() if run.site.ledger else None
        parts = [part.heard_by(run.listen) for part in self.parts]
        for part in parts:
            part.stage(undo)
        if brings_database(self.plan()):
            # Before the stop: `rollback` finds it also after a kill, and refuses to bring back the files alone.
            run.note(from_nothing=self.stamp)
        run.stop(undo)
        with ledger.held() if ledger else nullcontext(0) as new:
            if new:
                _erase_again(parts)
            for part in parts:
                part.swap(undo)


def _erase_again(parts: Sequence[StagedPart]) -> None:
    """Erase from staged parts what was recorded since; the parts of a restore have one erasure."""
    erasing = next(part.context.erasing for part in parts)
    if erasing is None:
        return
    again = erasing.again()
    for part in parts:
        replace(part, context=replace(part.context, erasing=again)).erase_again()
    erasing.add(again)


def brings_database(plans: Iterable[PartPlan]) -> bool:
    """Return whether a restore brings a database where there is none."""
    replaced = (plan.replacement for plan in plans)
    return any(one.part == "database" and not one.kept_as and not one.in_place for one in replaced)


def open_method(
    artifacts: Sequence[Artifact], context: RestoreContext, stack: ExitStack, *, in_place: bool
) -> tuple[RestoreMethod, tuple[Finding, ...]]:
    """Open and verify artifacts for their method, until the stack ends; also return findings about the choice.

    A live database can have settings that our role cannot give to a staged database. In place the database keeps them.
    A restore point has media, which are swapped together with a staged database: it is refused unless the loss is
    accepted.
    """
    if KINDS[artifacts[0].kind].loaded_by_django:
        return stack.enter_context(open_django(artifacts[0], context)), ()
    if in_place:
        return stack.enter_context(open_in_place(artifacts[0], context)), ()
    server = context.site.postgres
    lost = lost_by_swap(server) if any(KINDS[one.kind].is_dump for one in artifacts) else ()
    if not lost:
        return _open_swap(artifacts, context, stack), ()
    if context.accept.takes(SETTINGS):
        return _open_swap(artifacts, context, stack), tuple(settings_lost(lost))
    if len(artifacts) == 1:
        method = stack.enter_context(open_in_place(artifacts[0], context))
        if first_error(method.part.findings) is None:
            return method, (in_place_for(lost),)
    return _open_swap(artifacts, context, stack), (settings_refused(server, lost),)


def _open_swap(artifacts: Sequence[Artifact], context: RestoreContext, stack: ExitStack) -> Swap:
    return Swap(tuple(stack.enter_context(open_part(one, context)) for one in artifacts), context.stamp)
