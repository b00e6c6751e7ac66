"""Restore: stage beside the live site, prove, stop, swap, start, validate; keep the former data.

Every changing step registers its undo first. An error says in which of three worlds the site is: nothing was
changed, rolled back, or stopped.

One file: the straight line of a restore, readable from top to bottom.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
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
from korrigo_backup.recovery.pending import require_plannable
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.restore.downtime import Downtime
from korrigo_backup.restore.in_place import require_database_alone
from korrigo_backup.restore.method import RestoreRun, brings_database, open_method
from korrigo_backup.restore.parts import RestoreContext
from korrigo_backup.restore.plan import refusal
from korrigo_backup.restore.planning import of_this_site, services, whole
from korrigo_backup.retention import holds
from korrigo_backup.run import journal
from korrigo_backup.run.record import predicted_downtime
from korrigo_backup.run.step import (
    Listener,
    RestoredSiteHealthy,
    SecuringReplaced,
    StartingServices,
    VerifyingArtifact,
    silent,
)
from korrigo_backup.run.undo import all_or_nothing
from korrigo_backup.site.erasing import Erasing
from korrigo_backup.site.stamps import own_stamp
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.restore.method import RestoreMethod
    from korrigo_backup.restore.plan import RestorePlan
    from korrigo_backup.site.site import Site


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
    """The choices of the operator for a restore.

    `accept` holds the names of differences that the operator goes on over. With `keep`, the restored site stays
    although its services do not become healthy. A dry run ends after the plan.
    """

    dry_run: bool = False
    safety_backup: bool = True
    allow_unsigned: bool = False
    into_other_site: bool = False
    in_place: bool = False
    accept: frozenset[str] = frozenset()
    keep: bool = False


Confirm = Callable[["RestorePlan"], "Mapping[str, str] | None"]
"""Shown the plan, returns the answers about it for the journal (approver, ticket, reason: runbook 5.1), None for no."""


def restore(
    site: Site,
    catalog: Catalog,
    artifact: Artifact,
    options: RestoreOptions,
    *,
    now: datetime,
    confirm: Confirm,
    listen: Listener = silent,
) -> Restored:
    """Restore one artifact by the method of its kind (contract R4).

    Raises ProofFailed, Refused, Cancelled, Unreachable, each with the state of the site; PartlyDone when the site is
    restored and only something after it failed.
    """
    require_possible(options.accept)
    if options.in_place:
        require_database_alone(artifact)
    if KINDS[artifact.kind].loaded_by_django and not options.safety_backup:
        raise UsageError(
            "the restore of a Django backup always makes a safety backup: a rollback needs it",
            hint="leave out --no-safety-backup",
        )
    held = exclusive(site, catalog, f"restore of {artifact.name}", listen=listen, dry_run=options.dry_run)
    with held as (site, recovered), ExitStack() as stack:  # noqa: PLR1704 - now held
        if options.dry_run:
            require_plannable(site, recovered)
        found: list[Finding] = []
        with site.postgres.asking():
            now = own_stamp(site, now)
            trusted = artifact.authenticity is Authenticity.AUTHENTIC
            accept = Acceptance(options.accept)
            hold = holds.on(catalog, artifact, now)
            erasing = Erasing(hold.described() if hold else "")
            context = RestoreContext(site, naming.stamp(now), silent, trusted, accept, found.append, erasing=erasing)
            listen(VerifyingArtifact())
            method, plan = _planned(context, catalog, artifact, options, stack)
        if options.dry_run:
            return Restored(plan)
        why = _confirmed(plan, options, confirm)
        with journal.recorded(catalog.directory, site, method.verb, artifact.name, listener=listen, why=why) as running:
            run = RestoreRun(site, catalog, now, running, Downtime(site, "restore", running.listen))
            found += _carry_out(run, method, keep=options.keep)
            if erasing.rows or erasing.gone:
                running.note(erased=erasing.journaled_rows, erased_files=erasing.hashed_files(site))
            if any(finding.id == "site.moved" for finding in plan.findings):
                run.site = moved_in(site, catalog, artifact)
            plan = _as_carried_out(plan, method)
            if options.safety_backup and (kept := plan.kept("database")):
                run.safety = _save_replaced(run, kept)
        found += map(_not_needed, accept.not_needed())
        return Restored(plan, run.safety, tuple(found))


@phase("verify and plan")
def _planned(
    context: RestoreContext, catalog: Catalog, artifact: Artifact, options: RestoreOptions, stack: ExitStack
) -> tuple[RestoreMethod, RestorePlan]:
    """Open and verify everything; return how it is restored, and the effect."""
    site = context.site
    findings = authenticity(artifact, allow_unsigned=options.allow_unsigned)
    artifacts = components(catalog, artifact)
    dump = next((one for one in artifacts if KINDS[one.kind].is_dump), None)
    findings += of_this_site(site, artifact, into_other_site=options.into_other_site, dump=dump)
    method, chosen = open_method(artifacts, context, stack, in_place=options.in_place)
    downtime = predicted_downtime(journal.read(catalog.directory))
    planned = context.erasing.planned(site, artifact) if context.erasing else []
    around = [*elsewhere(site), *findings, *chosen, *planned, *services(site)]
    return method, whole(artifact, method.plan(), around, downtime=downtime)


def _confirmed(plan: RestorePlan, options: RestoreOptions, confirm: Confirm) -> Mapping[str, str]:
    """Return the answers about the restore; Refused if the plan is refused, Cancelled if it is not confirmed."""
    if plan.refused:
        raise refusal(plan.findings)
    why = confirm(plan)
    if why is None:
        raise Cancelled("Restore cancelled", hint="to continue, run it again and answer yes")
    return {**why, "accepted": " ".join(sorted(options.accept))} if options.accept else why


def _carry_out(run: RestoreRun, method: RestoreMethod, *, keep: bool) -> tuple[Finding, ...]:
    """Replace the data and start the services, or undo it all; return findings about the services' health."""
    server, configured = run.site.postgres, run.site.services.configured
    with run.down as down, all_or_nothing() as undo:
        method.carry_out(undo, run)
        run.listen(StartingServices(configured))
        health = down.start(undo, keep=keep)
        run.listen(RestoredSiteHealthy())
        if brings_database(method.plan()):
            # Last, when the services are healthy. Until then the comment of the new database records that it
            # replaced none, and the undo takes it away by this mark. `settle` replaces the mark by the saved
            # comment. After a kill the next run undoes the swap if the names of the media show it as in progress,
            # else it settles.
            Databases(server).settle(server.database)
    return health


def _as_carried_out(plan: RestorePlan, method: RestoreMethod) -> RestorePlan:
    """Return the plan with the effect that the method had: a Django backup may be restored in place against it."""
    done = method.plan()
    of_django = [finding for part in done for finding in part.findings if finding.id == _DJANGO]
    return msgspec.structs.replace(
        plan,
        replaces=tuple(part.replacement for part in done),
        findings=(*(finding for finding in plan.findings if finding.id != _DJANGO), *of_django),
    )


@phase("safety backup")
def _save_replaced(run: RestoreRun, kept: str) -> Artifact:
    """Make a safety backup of the replaced database, whose name is `kept`."""
    run.listen(SecuringReplaced())
    restored = f"restored; the old data is complete in database {kept}"
    options = BackupOptions(database=kept, origin=Origin.SAFETY)
    try:
        return dump(run.site, run.catalog, options, now=run.now, listen=silent)
    except KorrigoBackupError as problem:
        raise PartlyDone(
            f"the restore is done and proven, but the safety backup failed: {problem.message}",
            hint=problem.hint,
            state=restored,
            id_=problem.id,
        ) from None
    except Interrupted:
        raise Interrupted(restored) from None


def _not_needed(difference: str) -> Finding:
    return warning("restore.not_needed", f"--accept {difference} was not needed: no such difference was found",
                   "leave it out the next time")  # fmt: skip
