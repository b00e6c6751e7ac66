"""Emergency rebuild (runbook 5.7.3): the newest backup that is good, or a new database; no data are deleted.

The runbook removes the volumes for ever and begins with none. Here the present database, readable or not, is kept under
its `_before_` name, and `rollback` brings it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact import naming
from korrigo_backup.artifact.kinds import WITH_DUMP, Origin
from korrigo_backup.compose.elsewhere import require_here
from korrigo_backup.core.finding import Finding, first_error
from korrigo_backup.errors import Cancelled, NotFound, PartlyDone, UsageError
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.property_differences import TargetProperties, give
from korrigo_backup.recovery.pending import require_plannable
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.restore.downtime import Downtime
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.step import CreatingEmpty, Listener, RunningManage, silent
from korrigo_backup.run.undo import all_or_nothing
from korrigo_backup.site.stamps import own_stamp
from korrigo_backup.verify.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.site.site import Site


class RebuildPlan(msgspec.Struct, frozen=True):
    """The effect of an empty rebuild: the database that is made anew, the previous copy, the commands that fill it."""

    database: str
    kept_as: str | None
    commands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RebuildOptions:
    """The choices of the operator: `fixtures` are loaded after the site's migrations.

    With `keep`, the new database stays although the services do not become healthy. A dry run ends in `confirm`.
    """

    fixtures: tuple[Path, ...] = ()
    keep: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class RebuildResult:
    """A rebuild that is done, with findings about the services' health."""

    plan: RebuildPlan
    health: tuple[Finding, ...]


@dataclass(frozen=True)
class RebuildChoice:
    """The backup that a rebuild takes, and the newer backups that are no good, each with the reason."""

    artifact: Artifact
    passed_over: tuple[tuple[Artifact, str], ...] = ()


def newest_good(catalog: Catalog, *, now: datetime) -> RebuildChoice:
    """Return the newest database backup or restore point of which every byte verifies; NotFound if none does.

    A safety backup holds the data that a restore has replaced, which may be the damage itself: it comes after all
    others.
    """
    passed_over: list[tuple[Artifact, str]] = []
    found = [one for one in catalog.artifacts() if one.kind in WITH_DUMP]
    for artifact in sorted(found, key=lambda one: one.origin is Origin.SAFETY):
        bad = first_error(verify(catalog, artifact, now=now))
        if bad is None:
            return RebuildChoice(artifact, tuple(passed_over))
        passed_over.append((artifact, bad.message))
    raise NotFound(
        f"none of the backups in {catalog.directory} is good: {len(passed_over)} were read",
        hint="bring a backup back from another place, or begin with an empty database: korrigo-backup rebuild --empty",
    )


def rebuild(
    site: Site,
    catalog: Catalog,
    options: RebuildOptions,
    *,
    now: datetime,
    confirm: Callable[[RebuildPlan], bool],
    listen: Listener = silent,
) -> RebuildResult:
    """Put an empty database in the place of the live database, with the site's migrations and fixtures.

    Any failure, also of a migration, brings the old database back. Raises Cancelled if `confirm` returns False;
    PartlyDone if no way to run the site's management commands is configured: the database is new, the commands are in
    the hint.
    """
    missing = next((path for path in options.fixtures if not path.is_file()), None)
    if missing:
        raise NotFound(f"there is no fixture {missing}", hint="name a JSON file that manage.py loaddata takes")
    if site.postgres.database == site.postgres.maintenance:
        raise UsageError(
            f"database {site.postgres.database} is the maintenance database, which a swap needs",
            hint="set POSTGRES_DB to the site's own database, or [database] maintenance to another database",
        )
    require_here(site)
    held = exclusive(site, catalog, "rebuild", listen=listen, dry_run=options.dry_run)
    with held as (site, recovered):  # noqa: PLR1704 - now held
        if options.dry_run:
            require_plannable(site, recovered)
        stamp = naming.stamp(own_stamp(site, now))
        plan = _plan(site, options, stamp)
        if not confirm(plan):
            raise Cancelled("Rebuild cancelled", hint="to continue, run it again and answer yes")
        with recorded(catalog.directory, site, "rebuild", "empty", listener=listen) as running:
            health = _carry_out(site, plan, stamp, running.listen, keep=options.keep)
        if site.django is None:
            raise _by_hand(plan)
    return RebuildResult(plan, health)


def _plan(site: Site, options: RebuildOptions, stamp: str) -> RebuildPlan:
    live = site.postgres.database
    exists = live in Databases(site.postgres).names()
    commands = [("migrate", "--noinput"), *(("loaddata", str(path.resolve())) for path in options.fixtures)]
    return RebuildPlan(live, naming.before_database(live, stamp) if exists else None, tuple(commands))


def _carry_out(site: Site, plan: RebuildPlan, stamp: str, listen: Listener, *, keep: bool) -> tuple[Finding, ...]:
    databases, live = Databases(site.postgres), plan.database
    stage, before = naming.stage_database(live, stamp), naming.before_database(live, stamp)
    like = databases.properties(live) if plan.kept_as else None
    with Downtime(site, "rebuild", listen) as down, all_or_nothing() as undo:
        listen(CreatingEmpty(live))
        undo.push(f"the staged database {stage}", lambda: databases.drop(stage))
        databases.create(stage, like)
        if like:
            give(databases, stage, TargetProperties(like, from_nothing=False), lambda _: None)
        down.stop(undo)
        undo.push("the swap of the databases", lambda: databases.undo_swap(live, stage, before))
        databases.swap(live, stage, plan.kept_as)
        for command in plan.commands if site.django else ():
            listen(RunningManage(" ".join(command)))
            if site.django:
                site.django.carry_out(*command)
        health = down.start(undo, wait=bool(site.django), keep=keep)  # without its tables a site is not healthy
        if not plan.kept_as:
            databases.settle(live)
    return health


def _by_hand(plan: RebuildPlan) -> PartlyDone:
    commands = "; ".join(f"python manage.py {' '.join(command)}" for command in plan.commands)
    kept = f"; the replaced data is complete in database {plan.kept_as}" if plan.kept_as else ""
    return PartlyDone(
        f"database {plan.database} is new and empty; its tables are still to be made",
        hint=f"run this in the site's environment: {commands}",
        state=f"the database is empty{kept}; to go back: korrigo-backup rollback",
    )
