"""`korrigo-backup rehearse`: the migrations of new code on the data of the last backup, before a deployment."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, narrator, say, say_findings, say_json
from korrigo_backup.cli.program.names import find_artifact
from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import first_error
from korrigo_backup.drill.private import PrivateDrill
from korrigo_backup.drill.rehearse import NewCode, rehearse
from korrigo_backup.errors import ProblemsFound, UsageError
from korrigo_backup.run.step import DatabaseProven, LoadingArtifact, MediaProven, Proving, silent

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.drill.rehearse import Rehearsal

_SHOWN = LoadingArtifact | Proving | DatabaseProven | MediaProven

_BEGINS = {
    "make": "🧱 Making a private project of the site's images...",
    "migrate": "🧬 Migrating with the new code...",
    "start": "🚀 Starting the application...",
    "validate": "🔍 Validating...",
}


def command(
    context: typer.Context,
    artifact: Annotated[
        str, typer.Argument(help="A restore point, a backup of the database or a Django backup.")
    ] = "latest-point",
    image: Annotated[str, typer.Option(help="The image of the backend that is to be deployed; it is not pulled.")] = "",
    checkout: Annotated[
        Path | None, typer.Option(help="A directory with the new code's manage.py, mounted over the code of the image.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Rehearse a deployment: the new code's migrations and checks on the data of a backup. Exit 10 if they fail.

    The backup is restored in a private Compose project of the site's own images, without a way out. Then the code of a
    new image, or of a checkout, migrates it, checks it, starts on it and is validated. At the end all of it is removed.
    The live site is not touched.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    if not image and checkout is None:
        raise UsageError(
            "no new code is named", hint="name what is to be deployed: --image NAME, or --checkout DIRECTORY"
        )
    code = NewCode(image, checkout)
    live, found = wired.site(), find_artifact(wired, artifact)
    listen = silent if as_json else narrator(_SHOWN)
    announce = _quiet if as_json else _announce
    drill = PrivateDrill(live, wired.catalog, found, wired.config.backup.dir, local_now(), listen, announce)
    with wired.catalog.exclusive(f"rehearsal on {found.name}"):
        done = rehearse(drill, code)
    bad = first_error(done.findings)
    if as_json:
        say_json("rehearse", {"artifact": str(found.path), "passed": bad is None, **_document(done, code)})
    else:
        _print(done)
    if bad:
        raise ProblemsFound(
            f"{code} is not ready for the data of {found.name}: {bad.message}", hint=bad.hint, detail=done.failure
        )
    if not as_json:
        say(f"✅ {code} is ready for the data of {found.name}")


def _document(done: Rehearsal, code: NewCode) -> dict[str, object]:
    return {
        "image": code.image,
        "checkout": str(code.checkout or ""),
        "planned": done.planned,
        "migrations": done.migrations,
        "rewritten": done.rewritten,
        "findings": done.findings,
        "failure": done.failure,
    }


def _print(done: Rehearsal) -> None:
    say(f"📋 {counted(len(done.planned), 'migration')} planned")
    for one in done.migrations:
        say(f"   {one.name}  {'failed' if one.seconds is None else f'{one.seconds:.3f} s'}")
        for lock in one.blocking:
            anew = ", written anew" if lock.table in one.rewritten else ""
            say(f"      {lock.table}  {lock.mode}: no {lock.stops}{anew}")
    bad = first_error(done.findings)
    say_findings(finding for finding in done.findings if finding is not bad)


def _announce(phase: str) -> None:
    if phase in _BEGINS:
        say(_BEGINS[phase])


def _quiet(phase: str) -> None:
    del phase
