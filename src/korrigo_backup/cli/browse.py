"""`korrigo-backup browse`: look at a backup in a browser, as the site was then."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, narrator, say, say_findings, say_json_now
from korrigo_backup.cli.program.names import find_artifact
from korrigo_backup.drill.browse import BrowseOptions, browsed
from korrigo_backup.drill.private import PrivateDrill
from korrigo_backup.errors import Interrupted
from korrigo_backup.run.step import DatabaseProven, LoadingArtifact, MediaProven, Proving

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired

_SHOWN = LoadingArtifact | Proving | DatabaseProven | MediaProven

_BEGINS = {"make": "🧱 Making a private project of the site's images...", "start": "🚀 Starting the application..."}


def command(
    context: typer.Context,
    artifact: Annotated[
        str, typer.Argument(help="A restore point, a backup of the database or a Django backup.")
    ] = "latest-point",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0: a free one.")] = 0,
    visitor: Annotated[str, typer.Option("--as", metavar="USER", help="Be logged in as this user.")] = "",
) -> None:
    """Look at a backup: the site as it was then, read-only, in a browser on this machine, until Ctrl-C.

    The backup is restored in a private Compose project of the site's own images, without a way out. Nobody else on this
    machine has the key in the address. At the end all of it is removed. The live site is not touched.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    live, found = wired.site(), find_artifact(wired, artifact)
    drill = PrivateDrill(live, wired.catalog, found, wired.config.backup.dir, local_now(), narrator(_SHOWN), _announce)
    with ExitStack() as stack:
        with wired.catalog.exclusive(f"browse {found.name}"):
            seen = stack.enter_context(browsed(drill, BrowseOptions(port, visitor)))
        say_findings(seen.findings)
        say_json_now("browse", {"artifact": str(found.path), "address": seen.address, "findings": seen.findings})
        say(f"🔎 {found.name}, read-only: {seen.address}")
        say("   Ctrl-C ends it and removes the private project")
        try:
            Event().wait()
        except (Interrupted, KeyboardInterrupt):
            say("🧹 Removing the private project...")
    say("✅ Removed; the live site was not touched")


def _announce(phase: str) -> None:
    if phase in _BEGINS:
        say(_BEGINS[phase])
