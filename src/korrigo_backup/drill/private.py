"""A drill in a private Compose project: the artifact is restored there, and the application is started on it.

The steps are those of a real restore: load, prove, swap, start, validate. The live site is read to make the project,
and is never written to.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.artifact import naming
from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.artifact.components import compared, components, members_of, saved_database
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.properties import RoleProof
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.compose.private_project import private_project
from korrigo_backup.compose.private_site import begin_site, live_project, private_roles, start_application
from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Finding, Level, error, ok, warning
from korrigo_backup.drill.drill import REFUSED_DUMP
from korrigo_backup.errors import KorrigoBackupError, Locked, ProofFailed, Refused, Unreachable
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.properties import create_roles
from korrigo_backup.restore.downtime import Downtime
from korrigo_backup.restore.method import RestoreRun, brings_database, open_method
from korrigo_backup.restore.parts import RestoreContext
from korrigo_backup.restore.plan import refusal
from korrigo_backup.run.journal import Running
from korrigo_backup.run.step import EndingSessions, LoadingArtifact, Proving, StoppingServices, Swapping, silent
from korrigo_backup.run.undo import all_or_nothing
from korrigo_backup.validate.validate import validate

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.compose.private_project import PrivateProject
    from korrigo_backup.run.step import Listener, Step
    from korrigo_backup.site.site import Site

_OF_FILES = frozenset({"validate.media", "media.references", "media.unreferenced"})
"""Findings that a backup without media has no answer to."""

PRIVATE = "in a private Compose project"
"""The place in words after "loaded"."""

_PHASES = LoadingArtifact | Proving


@dataclass(frozen=True)
class PrivateDrill:
    """A drill in a private project: the artifact in the `catalog`, and the directory of the site's backups.

    `begin` is called with each phase as it begins, by its name (`run.record.Phase`, and `migrate` of a rehearsal).
    """

    live: Site
    catalog: Catalog
    artifact: Artifact
    directory: Path
    now: datetime
    listen: Listener
    begin: Callable[[str], None]

    def hear(self, step: Step) -> None:
        """Pass a step of the restore on, and begin its phase; a place has no services or sessions to be ended."""
        if isinstance(step, _PHASES):
            self.begin("load" if isinstance(step, LoadingArtifact) else "prove")
        if not isinstance(step, StoppingServices | EndingSessions | Swapping):
            self.listen(step)

    @property
    def stamp(self) -> str:
        """The stamp of the names in the place."""
        return naming.stamp(self.now)


def drill_privately(drill: PrivateDrill, *, disaster: bool = False) -> list[Finding]:
    """Restore the artifact in a private project, start the application on it, validate it, and remove all of it.

    With `disaster` a first private project is filled with the artifact and destroyed with its volumes before that; the
    second is made in the phase `rebuild`. Raises ProofFailed if the artifact cannot be loaded or proven; Refused,
    Unreachable or Locked for all that concerns the place, also an application that does not work there on proven data.
    """
    require_database(drill)
    found: list[Finding] = []
    try:
        if disaster:
            _destroy(drill)
        with ExitStack() as opened:
            drill.begin("rebuild" if disaster else "make")
            place, private = _restored(drill, opened, found.append)
            drill.begin("start")
            start_application(private, place)
            drill.begin("validate")
            found += validated(drill, private)
            drill.begin("remove")
    except (ProofFailed, Refused, Unreachable, Locked):
        raise
    except KorrigoBackupError as problem:
        raise Refused(problem.message, hint=problem.hint, detail=problem.detail) from None
    require_working(found)
    words = f"restored {PRIVATE}, proven, the application started on it, and removed again"
    after = ", after the project of another restore was destroyed with its volumes" if disaster else ""
    return [*found, ok("verify.drilled", f"{drill.artifact.name}: {words}{after}")]


def _destroy(drill: PrivateDrill) -> None:
    """Make a private project, fill it with the artifact, and destroy it with its volumes: the disaster of a drill."""
    drill.begin("make")
    quiet = replace(drill, listen=silent, begin=lambda _: None)
    with ExitStack() as opened:
        place, private = _restored(quiet, opened, lambda _: None)
        start_application(private, place)


def require_database(drill: PrivateDrill) -> None:
    """Raise Refused for an artifact without a database, on which no application starts."""
    if not any(KINDS[one.kind].has_rows for one in components(drill.catalog, drill.artifact)):
        raise Refused(
            f"{drill.artifact.name} holds no database that the application could be started on",
            hint="drill a restore point (latest-point), or use --place beside",
        )


def _restored(drill: PrivateDrill, opened: ExitStack, report: Callable[[Finding], None]) -> tuple[PrivateProject, Site]:
    """Make a private project and restore the artifact in it; it is removed when `opened` ends."""
    place = opened.enter_context(
        private_project(live_project(drill.live), private_roles(drill.live), drill.directory, drill.stamp)
    )
    private = begin_site(drill.live, place)
    restore_in(drill, private, report)
    return place, private


def restore_in(drill: PrivateDrill, private: Site, report: Callable[[Finding], None]) -> None:
    """Restore the artifact in the place of an empty database and an empty media tree, as a real restore does."""
    drill.begin("check")
    trusted = drill.artifact.authenticity is Authenticity.AUTHENTIC
    artifacts = components(drill.catalog, drill.artifact)
    _make_room_for(artifacts, private, trusted=trusted)
    context = RestoreContext(private, drill.stamp, drill.hear, trusted, report=report)
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(dir=drill.directory, prefix=_SCRATCH))
        method, _ = open_method(artifacts, context, stack, in_place=False)
        plan = method.plan()
        for part in plan:
            bad = [one for one in part.findings if one.level is Level.ERROR]
            if bad:
                raise refusal(bad)
        down = stack.enter_context(Downtime(private, "drill", silent))
        with all_or_nothing() as undo:
            try:
                run = RestoreRun(private, Catalog(Path(home)), drill.now, Running(drill.hear), down)
                method.carry_out(undo, run)
            except REFUSED_DUMP as problem:
                raise ProofFailed(
                    f"it does not load: {problem.message}", hint=problem.hint, detail=problem.detail
                ) from None
        if brings_database(plan):
            Databases(private.postgres).settle(private.postgres.database)
        for part in plan:
            for one in part.findings:
                if one.level is Level.LOSS:
                    report(one)


def _make_room_for(artifacts: tuple[Artifact, ...], private: Site, *, trusted: bool) -> None:
    """Prepare the private server: a dump brings its own database; a Django backup is loaded into the site's tables."""
    databases, name = Databases(private.postgres), private.postgres.database
    if any(KINDS[one.kind].loaded_by_django for one in artifacts):
        if private.django is None:
            raise Refused("how manage.py is run is not configured", hint=_MANAGE)
        private.django.carry_out("migrate", "--noinput")
        return
    if name in databases.names():
        databases.drop(name)
    proofs = [one.manifest.database for one in artifacts if one.manifest and one.manifest.database]
    there = set(private.postgres.ask_server(_ROLES, list[str]))
    roles = [role for proof in proofs for role in proof.roles if role.name not in there]
    made = roles if trusted else [RoleProof(name=role.name) for role in roles]
    if made:
        private.postgres.script("; ".join(create_roles(made)), database=private.postgres.maintenance)


_MANAGE = 'set [django] manage = ["python", "manage.py"]'
_ROLES = "SELECT coalesce(json_agg(rolname), '[]') FROM pg_roles"
_SCRATCH = ".partial-drill-"
"""A directory for what the restore writes beside its data; the next backup removes what a killed run left there."""


def validated(drill: PrivateDrill, private: Site) -> list[Finding]:
    """Validate the application on the restored data, as after a real restore, with the site's own checks."""
    artifact, catalog = drill.artifact, drill.catalog
    parts = components(catalog, artifact)
    with_files = any(KINDS[one.kind].has_files_alone for one in parts) or _has_media(artifact)
    site = private if with_files else replace(private, media=None)
    against = members_of(catalog, artifact)[0] if KINDS[artifact.kind].components else artifact
    found = [_own_checks(private)] if private.django else []
    found += validate(
        site,
        against,
        point=compared(catalog, artifact),
        saved=saved_database(catalog, artifact),
        listen=drill.listen,
    )
    if with_files:
        return found
    return [
        *(one for one in found if one.id not in _OF_FILES),
        warning("validate.media", f"{artifact.name} holds no media: no file was checked", "drill a restore point"),
    ]


def _has_media(artifact: Artifact) -> bool:
    return bool(artifact.manifest and artifact.manifest.includes_media)


def _own_checks(private: Site) -> Finding:
    try:
        if private.django:
            private.django.carry_out("check")
    except KorrigoBackupError as problem:
        return error("validate.check", problem.message, problem.hint)
    return ok("validate.check", "manage.py check OK")


def require_working(found: list[Finding]) -> None:
    """Raise Refused if the application does not work in the place; the data were proven before it was started."""
    bad = [one for one in found if one.level is Level.ERROR]
    if bad:
        first = bad[0]
        raise Refused(
            f"the data are proven, but the application fails {counted(len(bad), 'check')} in the private project:"
            f" {first.id}: {first.message}",
            hint=f"{first.hint or 'see the log of the site'}; on the live site: korrigo-backup validate",
        )
