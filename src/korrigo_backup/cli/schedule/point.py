"""`korrigo-backup point`: a restore point through the day, as [schedule] points has it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer  # noqa: TC002 - typer reads the annotation

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.backup.backup import BackupOptions
from korrigo_backup.backup.point import backup_full
from korrigo_backup.cli.announcing import announcer
from korrigo_backup.cli.list_ import summary
from korrigo_backup.cli.output import CommandContext, narrator, say, say_findings
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.core.size import human
from korrigo_backup.errors import Cancelled, Locked
from korrigo_backup.notify.run import announced
from korrigo_backup.run import journal
from korrigo_backup.run.record import SKIPPED, Verb
from korrigo_backup.run.step import BackupStep, silent

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.backup.backup import BackedUp
    from korrigo_backup.site.site import Site


def command(context: typer.Context) -> None:
    """Make a restore point, without the other steps of a night: the command of [schedule] points.

    While another run is at work it is skipped, with a line in the journal and exit 0. Of several failures in a row the
    first one notifies.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    site, catalog = wired.site(), wired.catalog
    telling_of_it = announced(announcer(wired, None), catalog.directory, "backup", "full", say=say_findings, once=True)
    try:
        with telling_of_it as telling:
            done = _made(site, catalog)
            telling.facts |= {"backup": done.artifact.name, "size": human(done.artifact.size)}
    except Cancelled as skipped:
        why = {"reason": skipped.message}
        with journal.recorded(catalog.directory, site, Verb.POINT, SKIPPED, listener=silent, why=why):
            add_to_document(skipped=skipped.message)
            say(f"⏭️ Skipped: {skipped.message}")
        return
    add_to_document(**summary(done.artifact), findings=done.findings)
    say_findings(done.findings)


def _made(site: Site, catalog: Catalog) -> BackedUp:
    """Make the point; Cancelled, which notifies no one, while another run is at work."""
    try:
        return backup_full(site, catalog, BackupOptions(), now=local_now(), listen=narrator(BackupStep))
    except Locked as problem:
        raise Cancelled(problem.message, hint=problem.hint) from None
