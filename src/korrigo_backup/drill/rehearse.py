"""Rehearse a deployment: the migrations of new code on the data of a backup, in a private Compose project."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from korrigo_backup.compose.private_project import private_project
from korrigo_backup.compose.private_site import (
    begin_site,
    live_project,
    manage_of,
    private_roles,
    start_application,
)
from korrigo_backup.core.finding import Finding, error
from korrigo_backup.drill.migrations import (
    Migration,
    failed,
    judge,
    migrations_in,
    planned_in,
    program,
    rewritten_by,
)
from korrigo_backup.drill.private import require_database, restore_in, validated
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.site.manage import WORK_SECONDS
from korrigo_backup.system.run import run

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.compose.project import Project
    from korrigo_backup.drill.private import PrivateDrill
    from korrigo_backup.site.site import Site
    from korrigo_backup.system.run import Completed

_LAST_LINES = 12


@dataclass(frozen=True)
class NewCode:
    """The code that is to be deployed: an `image` of the backend, "" for the image that runs; a `checkout` over it.

    A checkout is a directory of this machine with the site's manage.py; without one the code is that of the image.
    """

    image: str = ""
    checkout: Path | None = None

    def __str__(self) -> str:
        """Return the names in words."""
        return " on ".join(filter(None, (str(self.checkout or ""), self.image)))


@dataclass(frozen=True)
class Rehearsal:
    """The result of new code with the data of a backup.

    `planned` are the migrations that it wants to apply, `migrations` those that it began. `failure` holds the last
    lines of a command that failed.
    """

    planned: tuple[str, ...] = ()
    migrations: tuple[Migration, ...] = ()
    findings: tuple[Finding, ...] = ()
    failure: str = ""

    @property
    def rewritten(self) -> tuple[str, ...]:
        """The tables that PostgreSQL wrote anew."""
        return rewritten_by(self.migrations)


def rehearse(drill: PrivateDrill, code: NewCode) -> Rehearsal:
    """Restore the artifact in a private project and let the new code migrate, check and serve it.

    A command of the new code that fails is a finding of level error, and the last step of the rehearsal. Raises as
    `drill_privately` for the restore; NotFound if the engine has no such image, or the directory no manage.py.
    """
    require_database(drill)
    manage, restored = manage_of(drill.live), list[Finding]()
    with ExitStack() as stack:
        drill.begin("make")
        project, roles = live_project(drill.live), private_roles(drill.live)
        place = stack.enter_context(private_project(project, roles, drill.directory, drill.stamp))
        new = stack.enter_context(place.with_code(code.image, code.checkout, manage))
        private = begin_site(drill.live, place)
        restore_in(drill, private, restored.append)
        drill.begin("migrate")
        new.make_container(place.options.backend)
        done = _migrated(private, new, (place.options.backend, *manage))
        found = list(done.findings)
        if not done.failure:
            drill.begin("start")
            try:
                start_application(private, place, new)
            except KorrigoBackupError as problem:
                found.append(error("rehearse.start", problem.message, problem.hint))
                done = replace(done, failure=_last(problem.detail))
            else:
                drill.begin("validate")
                found += validated(drill, private)
        drill.begin("remove")
    return replace(done, findings=(*restored, *found))


_APPLIED = "SELECT coalesce(json_agg(app || '.' || name ORDER BY id), '[]') FROM public.django_migrations"


def _migrated(private: Site, new: Project, manage: tuple[str, ...]) -> Rehearsal:
    """Apply the migrations of the new code; the first command that fails ends it.

    An entry point that migrates before each command has applied them before they can be watched.
    """

    def call(*words: str) -> Completed:
        service, *program_there = manage
        return run(new.one_off(service, *program_there, *words), timeout=WORK_SECONDS)

    before = private.postgres.ask(_APPLIED, list[str])
    plan = call("migrate", "--plan", "--no-color")
    unwatched = [name for name in private.postgres.ask(_APPLIED, list[str]) if name not in before]
    planned = (*unwatched, *planned_in(plan.stdout.decode(errors="replace")))
    if plan.status:
        return Rehearsal(findings=(failed("migrate --plan", plan.stderr),), failure=_last(plan.stderr))
    applied = call("shell", "-c", program())
    migrations = migrations_in(applied.stdout.decode(errors="replace"))
    if applied.status:
        finding = failed("migrate", applied.stderr, migrations)
        return Rehearsal(planned, migrations, (finding,), _last(applied.stderr))
    return Rehearsal(planned, migrations, tuple(judge(migrations, unwatched)))


def _last(text: str) -> str:
    return "\n".join(text.splitlines()[-_LAST_LINES:])
