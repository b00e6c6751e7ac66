"""Rehearse a deployment: the migrations of another image on the data of a backup, in a private Compose project."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.compose.private_project import private_project
from korrigo_backup.compose.private_site import (
    begin_site,
    live_project,
    manage_of,
    private_roles,
    start_application,
)
from korrigo_backup.core.finding import Finding, error, ok, warning
from korrigo_backup.drill.private import require_database, restore_in, validated
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.site.manage import WORK_SECONDS
from korrigo_backup.system.run import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.compose.project import Project
    from korrigo_backup.drill.private import PrivateDrill
    from korrigo_backup.site.site import Site
    from korrigo_backup.system.run import Completed

_PLANNED = re.compile(r"^(\w+\.\w+)$", re.MULTILINE)
_APPLIED = re.compile(r"^\s*Applying (\S+?)\.\.\.(?:\s*[A-Z]+ \((\d+(?:\.\d+)?)s\))?", re.MULTILINE)
_ERROR = re.compile(r"[\w.]+(?:Error|Exception)\b")
_LAST_LINES = 12

_FILES = """
SELECT coalesce(json_object_agg(oid::regclass::text, pg_relation_filenode(oid)), '{}')
FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace NOT IN (SELECT oid FROM pg_namespace
                                                                  WHERE nspname ~ '^pg_|^information_schema$')
"""


class Migration(msgspec.Struct, frozen=True):
    """A migration that was applied, in `seconds`; None for a migration that failed."""

    name: str
    seconds: float | None = None


@dataclass(frozen=True)
class Rehearsal:
    """What the code of an image does with the data of a backup.

    `planned` are the migrations that it wants to apply, `migrations` those that it began. `rewritten` are the tables
    that PostgreSQL wrote anew meanwhile, which nobody reads or writes while that lasts. `failure` holds the last lines
    of a command that failed.
    """

    image: str
    planned: tuple[str, ...] = ()
    migrations: tuple[Migration, ...] = ()
    rewritten: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    failure: str = ""


def rehearse(drill: PrivateDrill, image: str) -> Rehearsal:
    """Restore the artifact in a private project and let the image's code migrate, check and serve it.

    A command of the image that fails is a finding of level error, and the last step of the rehearsal. Raises as
    `drill_privately` for the restore; NotFound if the engine has no such image.
    """
    require_database(drill)
    manage, restored = manage_of(drill.live), list[Finding]()
    with ExitStack() as stack:
        drill.begin("make")
        project, roles = live_project(drill.live), private_roles(drill.live)
        place = stack.enter_context(private_project(project, roles, drill.directory, drill.stamp))
        new = stack.enter_context(place.with_image(image))
        private = begin_site(drill.live, place)
        restore_in(drill, private, restored.append)
        drill.begin("migrate")
        new.make_container(place.options.backend)
        done = replace(_migrated(private, new, (place.options.backend, *manage)), image=image)
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


def _migrated(private: Site, new: Project, manage: tuple[str, ...]) -> Rehearsal:
    """Apply the migrations of the image; the first command that fails ends it."""

    def call(*words: str) -> Completed:
        service, *program = manage
        return run(new.one_off(service, *program, *words), timeout=WORK_SECONDS)

    plan = call("migrate", "--plan", "--no-color")
    planned = tuple(_PLANNED.findall(plan.stdout.decode(errors="replace")))
    if plan.status:
        return Rehearsal("", findings=(_failed("migrate --plan", plan),), failure=_last(plan.stderr))
    before = private.postgres.ask(_FILES, dict[str, int])
    applied = call("migrate", "--noinput", "--no-color", "--verbosity", "2")
    migrations = tuple(migrations_in(applied.stdout.decode(errors="replace")))
    if applied.status:
        finding = _failed("migrate", applied, migrations)
        return Rehearsal("", planned, migrations, findings=(finding,), failure=_last(applied.stderr))
    after = private.postgres.ask(_FILES, dict[str, int])
    rewritten = tuple(sorted(name for name, file in after.items() if before.get(name, file) != file))
    findings = [ok("rehearse.migrations", f"{len(migrations)} migrations applied")]
    if rewritten:
        words = f"{len(rewritten)} tables are written anew, and are locked meanwhile: {', '.join(rewritten)}"
        findings.append(warning("rehearse.rewritten", words, "plan a downtime as long as these migrations"))
    return Rehearsal("", planned, migrations, rewritten, tuple(findings))


def migrations_in(output: str) -> Iterator[Migration]:
    """Yield the migrations in the output of `migrate --verbosity 2`; one without a result has no seconds."""
    for name, seconds in _APPLIED.findall(output):
        yield Migration(name, float(seconds) if seconds else None)


def _failed(command: str, done: Completed, migrations: tuple[Migration, ...] = ()) -> Finding:
    at = f" in {migrations[-1].name}" if migrations and migrations[-1].seconds is None else ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    named = [line for line in lines if _ERROR.match(line)]
    return error(
        "rehearse.migrations",
        f"manage.py {command} of the image fails{at}: {(named or lines or [''])[-1].strip()}",
        "mend the migration before it is deployed; the live site was not touched",
    )


def _last(text: str) -> str:
    return "\n".join(text.splitlines()[-_LAST_LINES:])
