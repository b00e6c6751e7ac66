"""The verb `prune`: the decisions of the policy about all artifacts and previous copies, and their removal."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.errors import Interrupted, KorrigoBackupError, PartlyDone, Unreachable, UsageError
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.retention import holds, prune
from korrigo_backup.retention import previous_copies as kept
from korrigo_backup.retention.hold import standing
from korrigo_backup.retention.stored_media import sweep
from korrigo_backup.run.journal import SiteName, recorded
from korrigo_backup.run.step import CopiesUnseen, Listener, Removed, Step, StoreSwept, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.retention.policy import Policy
    from korrigo_backup.retention.previous_copies import KeptDecision
    from korrigo_backup.retention.prune import Meant, Pruning
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class Retention:
    """The whole plan. `unseen` is the reason if the previous copies could not be listed."""

    artifacts: Pruning
    kept: list[KeptDecision]
    unseen: str | None = None


@dataclass(frozen=True)
class PruneOptions:
    """The request: the policy, the site and environment, the time, the confirmations of a person.

    `site` returns the live site; UsageError from it means that there is none here (a machine that only keeps copies).
    """

    policy: Policy
    name: str
    environment: str
    now: datetime
    meant: Meant
    site: Callable[[], Site]
    listen: Listener = silent


def plan_removals(catalog: Catalog, request: PruneOptions) -> Retention:
    """Return the artifacts and copies that would be kept and removed; only reads."""
    try:
        return _plan(catalog, request, request.site())
    except (UsageError, Unreachable) as problem:
        return _plan(catalog, request, None, problem.message)


def applied(catalog: Catalog, request: PruneOptions) -> tuple[Retention, int]:
    """Carry the plan out and return it with the number of removals.

    Raises Refused with the plan's refusal; PartlyDone if artifacts are removed and the previous copies could not be.
    """
    why = {prune.CLOCK: prune.CONFIRMED} if request.meant.clock else {}
    with (
        _held(catalog, request) as (site, unseen),
        recorded(
            catalog.directory,
            site or SiteName(request.name),
            "prune",
            "all",
            listener=request.listen,
            why=why,
        ) as running,
    ):
        plan = _plan(catalog, request, site, unseen)
        removed = carried_out(catalog, plan, site, now=request.now, listen=running.listen)
        swept(catalog, allow_many=request.meant.many, listen=running.listen)
    return plan, removed


def swept(catalog: Catalog, *, allow_many: bool = False, listen: Listener) -> int:
    """Sweep the media store as `sweep` does and return the bytes that became free."""
    done = sweep(catalog, allow_many=allow_many)
    listen(StoreSwept(done.files, done.bytes))
    return done.bytes


def carried_out(catalog: Catalog, plan: Retention, site: Site | None, *, now: datetime, listen: Listener) -> int:
    """Carry out the removals of the plan; the caller holds the lock, and has planned under the same lock.

    The text of Interrupted contains the number of removals, if any.
    """
    gone: list[str] = []

    def heard(step: Step) -> None:
        if isinstance(step, Removed):
            gone.append(step.name)
        listen(step)

    try:
        return _removed(catalog, plan, site, now=now, listen=heard)
    except Interrupted:
        if not gone:
            raise
        raise Interrupted(
            f"{len(gone)} old backups and copies are removed, the last {gone[-1]}; the others are untouched"
        ) from None


def _removed(catalog: Catalog, plan: Retention, site: Site | None, *, now: datetime, listen: Listener) -> int:
    removed = prune.carry_out(catalog, plan.artifacts, now=now, listen=listen)
    if site is None:
        return removed
    try:
        return removed + kept.remove(site, catalog.directory, plan.kept, now=now, listen=listen)
    except KorrigoBackupError as problem:
        raise PartlyDone(
            f"{removed} backups are removed, but not all previous copies of restores: {problem.message}",
            hint=problem.hint,
            state="the entries that are listed as kept are there; the live site is unchanged",
            id_=problem.id,
        ) from None


def _plan(catalog: Catalog, request: PruneOptions, site: Site | None, unseen: str | None = None) -> Retention:
    beside = []
    if site is not None:
        held = standing(holds.read(catalog.directory), request.now)
        beside = kept.decide(kept.survey(site), request.policy, held, request.now)
    artifacts = prune.plan(
        catalog,
        request.policy,
        site=request.name,
        environment=request.environment,
        now=request.now,
        meant=request.meant,
        more=any(one.remove for one in beside),
    )
    return Retention(artifacts, beside, unseen)


def plan_held(catalog: Catalog, request: PruneOptions, site: Site) -> Retention:
    """Return the plan for a site that the caller holds."""
    return _plan(catalog, request, site)


@contextmanager
def _held(catalog: Catalog, request: PruneOptions) -> Iterator[tuple[Site | None, str | None]]:
    """Lock the site, or if it cannot be reached only the backups; also yields the reason."""
    with ExitStack() as stack:
        try:
            site, _ = stack.enter_context(exclusive(request.site(), catalog, "prune", listen=request.listen, own=True))
        except (UsageError, Unreachable) as problem:
            stack.enter_context(catalog.exclusive("prune"))
            request.listen(CopiesUnseen(problem.message))
            yield None, problem.message
        else:
            yield site, None
