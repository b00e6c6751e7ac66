"""`korrigo-backup adopt`: let this database, or this key, take the place of the former one of the backups."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.cli.output import CommandContext, ask_yes, narrator, say
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, PlanShown, Yes, ends_at_plan
from korrigo_backup.compare.identity import adopt, adoptable, former_names
from korrigo_backup.compose.elsewhere import require_here
from korrigo_backup.errors import Refused
from korrigo_backup.recovery.pending import require_plannable
from korrigo_backup.recovery.recover import exclusive

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.identity import FoundIdentity, SiteRecord


def command(
    context: typer.Context,
    database: Annotated[
        str | None, typer.Option(metavar="NAME", help="The former database; needed where BACKUP_DIR holds several.")
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="The former key is lost: sign with the present key, or with a new key.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Go on with the backups in BACKUP_DIR after a change of server, a renamed database or a lost key.

    Sites are distinguished by name, environment, database and database cluster. No data are deleted or restored.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    live = wired.site()
    require_here(live)
    with ends_at_plan(), exclusive(live, wired.catalog, "adopt", listen=narrator(), dry_run=dry_run) as held:
        site, recovered = held
        if dry_run:
            require_plannable(site, recovered)
        if not new_key:
            wired.catalog.require_key()
        record = adoptable(site, wired.catalog, database, new_key=new_key) if not new_key or database else None
        if record is None and not new_key:
            add_to_document(adopted=False)
            say(f"✅ No adoption is needed: the backups of {wired.config.site.name} are of this database already")
            if former := former_names(site, recovered.names):
                say(f"   hint: {former}")
            return
        confirm = partial(_confirm, site.standing, record, yes=yes, new_key=new_key, dry_run=dry_run)
        add_to_document(former=record)
        adopt(site, wired.catalog, record, confirm=confirm)
        add_to_document(adopted=True)
        say("✅ Adopted: backups go on from here")


def _confirm(
    standing: FoundIdentity | None, record: SiteRecord | None, *, yes: bool, new_key: bool, dry_run: bool
) -> bool:
    if standing is None:
        raise Refused("the site is not known", hint="run it again")
    if record:
        former = ", ".join(dict.fromkeys(place.database for place in record.places))
        say(f"  backups of   {record.site} {record.environment}, database {former}")
        say(f"  go on with   database {standing.owner.database} of this server")
    if new_key:
        say("  from now on  backups are signed with the key that is here; those that the former key has signed are")
        say("               restored with --allow-unsigned, and never pruned")
    if dry_run:
        raise PlanShown
    return yes or ask_yes("Is it the same site? (yes/no): ")
