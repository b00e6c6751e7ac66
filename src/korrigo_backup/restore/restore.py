"""Restore: stage beside the live site, prove, stop, swap, start, validate; keep what was there.

Every changing step registers its undo first. An error says in which of three worlds the site is: nothing was
changed, rolled back, or stopped.

One file: the straight line of a restore, readable from top to bottom.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact import naming
from korrigo_backup.artifact.components import authenticity, components
from korrigo_backup.artifact.kinds import KINDS, Origin
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.backup.backup import BackupOptions, dump
from korrigo_backup.compare.identity import moved_in
from korrigo_backup.compose.elsewhere import elsewhere
from korrigo_backup.core.finding import Level, warning
from korrigo_backup.errors import Cancelled, Interrupted, KorrigoBackupError, PartlyDone, UsageError
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.difference import Acceptance, require_possible
from korrigo_backup.postgres.property_differences import (
    SETTINGS,
    in_place_for,
    lost_by_swap,
    settings_lost,
    settings_refused,
)
from korrigo_backup.recovery.django import DJANGO
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.restore.django.live_copy import live_copy
from korrigo_backup.restore.django.restore import open_django
from korrigo_backup.restore.downtime import Downtime
from korrigo_backup.restore.in_place import IN_PLACE, open_in_place, require_database_alone
from korrigo_backup.restore.parts import RestoreContext, RestorePart, open_part
from korrigo_backup.restore.plan import refusal
from korrigo_backup.restore.planning import of_this_site, services, whole
from korrigo_backup.run import journal
from korrigo_backup.run.record import predicted_downtime
from korrigo_backup.run.step import (
    Listener,
    RestoredSiteHealthy,
    SecuringReplaced,
    StartingServices,
    Step,
    VerifyingArtifact,
    silent,
)
from korrigo_backup.run.undo import all_or_nothing
from korrigo_backup.site.stamps import own_stamp
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.postgres.rights import LostProperty
    from korrigo_backup.restore.plan import RestorePlan
    from korrigo_backup.site.site import Site
    from korrigo_backup.verify.sources import SqlSource


_DJANGO = "restore.django"
"""The finding that says how the restore of a Django backup is done, and the way back."""


@dataclass(frozen=True)
class Restored:
    """A restore that was proven: the plan that was carried out, and the safety backup if one was made.

    `findings` came up while it worked. `losses` names everything that the restore could not give back.
    """

    plan: RestorePlan
    safety: Artifact | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def losses(self) -> tuple[Finding, ...]:
        """Findings of level LOSS, of the plan and of the work."""
        return tuple(one for one in (*self.plan.findings, *self.findings) if one.level is Level.LOSS)


@dataclass(frozen=True)
class RestoreOptions:
    """What is wanted: which artifact, when, asked how, told to whom; a dry run ends after the plan.

    `why` is written to the journal: who approved it, the ticket, the reason (runbook 5.1).
    """

    artifact: Artifact
    now: datetime
    confirm: Callable[[RestorePlan], Mapping[str, str] | None]
    """Shown the plan; returns what was said about it for the journal, or None for no."""
    listen: Listener = silent
    dry_run: bool = False
    safety_backup: bool = True
    allow_unsigned: bool = False
    into_other_site: bool = False
    in_place: bool = False
    accept: frozenset[str] = frozenset()
    """Names of differences that the operator goes on over."""
    keep: bool = False
    """Whether the restored site stays although its services do not become healthy."""

    @property
    def stamp(self) -> str:
        """The stamp of this restore's names."""
        return naming.stamp(self.now)


def restore(site: Site, catalog: Catalog, request: RestoreOptions) -> Restored:
    """Restore one artifact by the method of its kind (contract R4).

    Raises ProofFailed, Refused, Cancelled, Unreachable, each with what was changed; PartlyDone when the site is
    restored and only something after it failed.
    """
    require_possible(request.accept)
    if request.in_place:
        require_database_alone(request.artifact)
    if KINDS[request.artifact.kind].loaded_by_django and not request.safety_backup:
        raise UsageError(
            "the restore of a Django backup always makes a safety backup: a rollback needs it",
            hint="leave out --no-safety-backup",
        )
    doing = f"restore of {request.artifact.name}"
    held = exclusive(site, catalog, doing, listen=request.listen)
    with held as (site, _), ExitStack() as stack:  # noqa: PLR1704 - now held
        with site.postgres.asking():
            request = replace(request, now=own_stamp(site, request.now))
            run = _Run(site, catalog, request, stack)
            plan = run.planned()
        if request.dry_run:
            return Restored(plan)
        return run.carried_out(plan)


@dataclass
class _Run:
    """One restore under way."""

    site: Site
    catalog: Catalog
    request: RestoreOptions
    stack: ExitStack
    parts: list[RestorePart] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)
    accept: Acceptance = field(init=False)

    def __post_init__(self) -> None:
        self.accept = Acceptance(self.request.accept)

    @phase("verify and plan")
    def planned(self) -> RestorePlan:
        """Open and verify everything, and return what would be done."""
        site, request = self.site, self.request
        request.listen(VerifyingArtifact())
        findings = authenticity(request.artifact, allow_unsigned=request.allow_unsigned)
        artifacts = components(self.catalog, request.artifact)
        dump = next((one for one in artifacts if KINDS[one.kind].is_dump), None)
        findings += of_this_site(site, request.artifact, into_other_site=request.into_other_site, dump=dump)
        trusted = request.artifact.authenticity is Authenticity.AUTHENTIC
        context = RestoreContext(site, request.stamp, self._listen, trusted, self.accept, self.found.append)
        self.parts = [part for artifact in artifacts for part in self._opened(artifact, context)]
        downtime = predicted_downtime(journal.read(self.catalog.directory))
        return whole(
            request.artifact,
            (p.plan for p in self.parts),
            [*elsewhere(site), *findings, *self.extra, *services(site)],
            downtime=downtime,
        )

    def carried_out(self, plan: RestorePlan) -> Restored:
        """Ask, then do it, with every step in the journal."""
        if plan.refused:
            raise refusal(plan.findings)
        why = self.request.confirm(plan)
        if why is None:
            raise Cancelled("Restore cancelled", hint="to continue, run it again and answer yes")
        if self.request.accept:
            why = {**why, "accepted": " ".join(sorted(self.request.accept))}
        with journal.recorded(
            self.catalog.directory,
            self.site,
            self._verb,
            self.request.artifact.name,
            listener=self.request.listen,
            why=why,
        ) as running:
            self.heard, self._running = running.listen, running
            self._replace()
            if any(finding.id == "site.moved" for finding in plan.findings):
                self.site = moved_in(self.site, self.catalog, self.request.artifact)
            if self._is_in_place:  # perhaps against the plan
                plan = self._carried_out_in_place(plan)
            kept = plan.kept("database")
            safety = self._safety(kept) if kept and self.request.safety_backup else self.secured
        self.found += map(_not_needed, self.accept.not_needed())
        return Restored(plan, safety, tuple(self.found))

    extra: list[Finding] = field(default_factory=list)
    heard: Listener = silent
    secured: Artifact | None = None
    _running: journal.Running | None = None

    @property
    def _verb(self) -> str:
        if KINDS[self.request.artifact.kind].loaded_by_django and self._is_in_place:
            return DJANGO
        return IN_PLACE if self.request.in_place else "restore"

    def _carried_out_in_place(self, plan: RestorePlan) -> RestorePlan:
        """Return the plan as it was carried out by its parts."""
        done = tuple(part.plan.replacement for part in self.parts)
        said = [one for part in self.parts for one in part.plan.findings if one.id == _DJANGO]
        return msgspec.structs.replace(
            plan, replaces=done, findings=(*(f for f in plan.findings if f.id != _DJANGO), *said)
        )

    @property
    def _is_in_place(self) -> bool:
        return any(part.plan.replacement.in_place for part in self.parts)

    def _opened(self, artifact: Artifact, context: RestoreContext) -> tuple[RestorePart, ...]:
        if KINDS[artifact.kind].loaded_by_django:
            return self.stack.enter_context(open_django(artifact, context, self))
        if self.request.in_place:
            return (self.stack.enter_context(open_in_place(artifact, context, self.secure)),)
        if KINDS[artifact.kind].is_dump and (lost := lost_by_swap(self.site.postgres)):
            return (self._keeping_settings(artifact, context, lost),)
        return (self.stack.enter_context(open_part(artifact, context)),)

    def _keeping_settings(
        self, artifact: Artifact, context: RestoreContext, lost: Sequence[LostProperty]
    ) -> RestorePart:
        """Return the part for a live database with settings that our role cannot give to a staged one.

        In place the database keeps them. A restore point has media, which are swapped together with a database beside:
        it is refused unless the loss is accepted.
        """
        server = self.site.postgres
        if self.accept.takes(SETTINGS):
            staged = self.stack.enter_context(open_part(artifact, context))
            self.extra += settings_lost(lost)
            return staged
        if KINDS[self.request.artifact.kind].is_dump:
            part = self.stack.enter_context(open_in_place(artifact, context, self.secure))
            if not any(finding.level is Level.ERROR for finding in part.plan.findings):
                self.request = replace(self.request, in_place=True)
                self.extra.append(in_place_for(lost))
                return part
        staged = self.stack.enter_context(open_part(artifact, context))
        self.extra.append(settings_refused(server, lost))
        return staged

    def note(self, **known: str) -> None:
        """Write into the journal what must be known if this run ends here."""
        if self._running:
            self._running.note(**known)

    def in_place(self) -> None:
        """Write into the journal that a Django backup is restored in place, and so how it is undone."""
        self.note(verb=DJANGO)

    def copied(self, observe: Callable[[Snapshot], None]) -> AbstractContextManager[tuple[Artifact, SqlSource]]:
        """Dump the live database for a copy of it; `observe` sees the same snapshot."""
        return live_copy(self.site, self.catalog, now=self.request.now, observe=observe)

    @phase("safety backup")
    def secure(self) -> Artifact:
        """Make the safety backup that a restore without a database beside has for its way back."""
        wish = BackupOptions(origin=Origin.SAFETY)
        self.secured = dump(self.site, self.catalog, wish, now=self.request.now, listen=silent)
        return self.secured

    def _listen(self, step: Step) -> None:
        self.heard(step)

    def _replace(self) -> None:
        with Downtime(self.site, "restore", self._listen) as down, all_or_nothing() as undo:
            for part in self.parts:
                part.stage(undo)
            if self._from_nothing:
                # Before the stop: `rollback` finds it also after a kill, and refuses to bring back the files alone.
                self.note(from_nothing=self.request.stamp)
            down.stop(undo)
            for part in self.parts:
                part.swap(undo)
            self._listen(StartingServices(self.site.services.configured))
            self.found += down.start(undo, keep=self.request.keep)
            self._listen(RestoredSiteHealthy())
            if self._from_nothing:
                # Last, when the services are healthy. Until then the comment of the new database records that it
                # replaced none, and the undo takes it away by this mark. `settle` replaces the mark by the saved
                # comment. After a kill the next run undoes the swap if the names of the media show it as in progress,
                # else it settles.
                Databases(self.site.postgres).settle(self.site.postgres.database)

    @property
    def _from_nothing(self) -> bool:
        """Whether the restore brings a database where there is none."""
        replaced = (part.plan.replacement for part in self.parts)
        return any(one.part == "database" and not one.kept_as and not one.in_place for one in replaced)

    @phase("safety backup")
    def _safety(self, kept: str) -> Artifact:
        self._listen(SecuringReplaced())
        restored = f"restored; the old data is complete in database {kept}"
        wish = BackupOptions(database=kept, origin=Origin.SAFETY)
        try:
            return dump(self.site, self.catalog, wish, now=self.request.now, listen=silent)
        except KorrigoBackupError as problem:
            raise PartlyDone(
                f"the restore is done and proven, but the safety backup failed: {problem.message}",
                hint=problem.hint,
                state=restored,
            ) from None
        except Interrupted:
            raise Interrupted(restored) from None


def _not_needed(difference: str) -> Finding:
    return warning("restore.not_needed", f"--accept {difference} was not needed: no such difference was found",
                   "leave it out the next time")  # fmt: skip
