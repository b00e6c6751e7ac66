"""Restore: stage beside the live site, prove, stop, swap, start, validate; keep what was there.

Every changing step registers its undo first. An error says in which of three worlds the site is: nothing was
changed, rolled back, or stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from korrigo_backup.domain import naming
from korrigo_backup.domain.journal import Listener, Step, silent
from korrigo_backup.domain.naming import Kind, Origin
from korrigo_backup.errors import (
    Cancelled,
    Interrupted,
    KorrigoBackupError,
    PartlyDone,
    ProofFailed,
    Refused,
    UsageError,
)
from korrigo_backup.formats import media as media_format
from korrigo_backup.formats import sql as sql_format
from korrigo_backup.operations.backup import Wish, dump
from korrigo_backup.operations.plan import MediaSource, SqlSource, open_media, open_sql, plan_media, plan_sql
from korrigo_backup.operations.recover import recover
from korrigo_backup.operations.undo import UndoStack, all_or_nothing
from korrigo_backup.site.databases import Databases
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from korrigo_backup.catalog import Catalog
    from korrigo_backup.domain.artifact import Artifact
    from korrigo_backup.domain.plan import RestorePlan
    from korrigo_backup.site.databases import Properties
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class Restored:
    """A restore that was proven: the plan that was carried out, and the safety backup if one was made."""

    plan: RestorePlan
    safety: Artifact | None = None


@dataclass(frozen=True)
class Request:
    """What is wanted: which artifact, when, asked how, told to whom; a dry run ends after the plan."""

    artifact: Artifact
    now: datetime
    confirm: Callable[[RestorePlan], bool]
    listen: Listener = silent
    dry_run: bool = False
    safety_backup: bool = True

    @property
    def stamp(self) -> str:
        """The stamp of this restore's names."""
        return naming.stamp(self.now)


def restore(site: Site, catalog: Catalog, request: Request) -> Restored:
    """Restore one artifact by the method of its kind (contract R4).

    Raises ProofFailed, Refused, Cancelled, Unreachable, each with what was changed; PartlyDone when the site is
    restored and only something after it failed.
    """
    if request.artifact.kind is Kind.DJANGO:
        raise UsageError(
            f"{request.artifact.name} is a Django backup: the site's own manage.py restores it",
            hint=f"python manage.py restore {request.artifact.path}",
        )
    with catalog.exclusive(f"restore of {request.artifact.name}"):
        recover(site)
        request = _with_own_stamp(site, request)
        if request.artifact.kind is Kind.SQL:
            return _restore_sql(site, catalog, request)
        return _restore_media(site, request)


def _with_own_stamp(site: Site, request: Request) -> Request:
    """Return the request at the first second whose stamp no kept copy has: undoing it must not undo another."""
    names = set(Databases(site.postgres).names())
    if site.media and site.media.root.is_dir():
        names |= {child.name for child in site.media.root.iterdir()}
    now = request.now
    while any(naming.stamp(now) in name for name in names):
        now += timedelta(seconds=1)
    return replace(request, now=now)


def _restore_sql(site: Site, catalog: Catalog, request: Request) -> Restored:
    request.listen(Step("restore.verify"))
    with open_sql(request.artifact) as source:
        plan = plan_sql(site, request.artifact, source, stamp=request.stamp)
        if _stops_here(plan, request):
            return Restored(plan)
        _replace_database(site, source, plan, request)
    if not request.safety_backup or plan.kept_as is None:
        return Restored(plan)
    return Restored(plan, _safety(site, catalog, plan.kept_as, request))


def _stops_here(plan: RestorePlan, request: Request) -> bool:
    if request.dry_run:
        return True
    if plan.refused:
        first = next(finding for finding in plan.findings if finding.level == "error")
        raise Refused(first.message, hint=first.hint)
    if not request.confirm(plan):
        raise Cancelled("Restore cancelled", hint="nothing to do; only the answer yes goes on")
    return False


def _replace_database(site: Site, source: SqlSource, plan: RestorePlan, request: Request) -> None:
    databases, live = Databases(site.postgres), site.postgres.database
    stage = naming.stage_database(live, request.stamp)
    like = databases.properties(live) if plan.kept_as else None
    with all_or_nothing() as undo:
        _stage_database(site, source, stage, like, undo, request)
        _stop(site, undo, request)
        request.listen(Step("restore.terminate"))
        before = naming.before_database(live, request.stamp)
        undo.push("the swap of the databases", lambda: databases.undo_swap(live, stage, before))
        request.listen(Step("restore.swap", {"kept": before if plan.kept_as else ""}))
        databases.swap(live, stage, before)
        _start(site, request)


def _stage_database(
    site: Site, source: SqlSource, stage: str, like: Properties | None, undo: UndoStack, request: Request
) -> None:
    databases = Databases(site.postgres)
    request.listen(Step("restore.create", {"database": stage}))
    undo.push(f"the staged database {stage}", lambda: databases.drop(stage))
    databases.create(stage, like)
    request.listen(Step("restore.load", {"artifact": str(request.artifact.path)}))
    loaded = sql_format.load(site.postgres, source.file, request.artifact.name, database=stage)
    if loaded != source.sha256:
        raise ProofFailed(
            f"{request.artifact.name} changed while it was read",
            hint="something writes to it: find out what, then retry",
        )
    request.listen(Step("restore.prove"))
    tables = sql_format.prove(site.postgres, source.expected, database=stage)
    request.listen(Step("restore.proven", {"tables": str(len(tables)), "rows": str(sum(t.rows for t in tables))}))
    if like:
        databases.dress(stage, like)


def _restore_media(site: Site, request: Request) -> Restored:
    request.listen(Step("restore.verify"))
    with open_media(request.artifact) as source:
        plan = plan_media(site, request.artifact, source, stamp=request.stamp)
        if not _stops_here(plan, request):
            _replace_media(site, source, request)
    return Restored(plan)


def _replace_media(site: Site, source: MediaSource, request: Request) -> None:
    tree = site.media
    if tree is None:
        raise UsageError("the media directory is not configured", hint="set MEDIA_ROOT, or [media] root")
    with all_or_nothing() as undo, explained("write the media tree"):
        request.listen(Step("restore.load", {"artifact": str(request.artifact.path)}))
        undo.push("the staged media", lambda: tree.discard_stage(request.stamp))
        staging = tree.stage(request.stamp)
        try:
            loaded = media_format.load(
                source.archive, source.listing, request.artifact.name, root=source.root, staging=staging
            )
        except BaseException:
            staging.close()
            raise
        staging.finish()
        request.listen(Step("restore.proven.media", {"files": str(loaded.files), "bytes": str(loaded.bytes)}))
        _stop(site, undo, request)
        undo.push("the swap of the media", lambda: tree.undo_swap(request.stamp))
        request.listen(Step("restore.swap", {"kept": f"{tree.root}/.before-{request.stamp}"}))
        tree.swap(request.stamp)
        _start(site, request)


def _stop(site: Site, undo: UndoStack, request: Request) -> None:
    request.listen(Step("restore.stop" if site.services.configured else "restore.stop.none"))
    undo.push("the stop of the services", site.services.start)
    site.services.stop()


def _start(site: Site, request: Request) -> None:
    """Start and await health; a site that does not become healthy is rolled back like any other failure."""
    request.listen(Step("restore.start" if site.services.configured else "restore.start.none"))
    site.services.start()
    site.services.await_health()


def _safety(site: Site, catalog: Catalog, kept: str, request: Request) -> Artifact:
    request.listen(Step("restore.safety"))
    restored = f"restored; the old data is complete in database {kept}"
    try:
        return dump(site, catalog, Wish(database=kept, origin=Origin.SAFETY), now=request.now, listen=silent)
    except KorrigoBackupError as problem:
        raise PartlyDone(
            f"the restore is done and proven, but the safety backup failed: {problem.message}",
            hint=problem.hint,
            state=restored,
        ) from None
    except Interrupted:
        raise Interrupted(restored) from None
