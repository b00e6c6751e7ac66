"""The rollback of a Django restore: its safety backup is staged as the former database, next to the live database.

From there on the names are those that every restore leaves (`_before_S`, `.before-S`), and so are the operations on
them: `rollback`, its undo, and the undo of a restore that fails at its end, of database and media together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import back_database, before_database, stage_database
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.media.tree import RESTORE
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.dump.bound import bound_in
from korrigo_backup.postgres.property_differences import lost_by_swap
from korrigo_backup.recovery.recover import take_back
from korrigo_backup.restore.bound import standing_in
from korrigo_backup.restore.in_place import replace_content
from korrigo_backup.restore.needs import refused_extensions
from korrigo_backup.restore.parts import DatabasePart, RestoreContext
from korrigo_backup.restore.plan import Replacement
from korrigo_backup.restore.planning import PartPlan
from korrigo_backup.run.undo import all_or_nothing
from korrigo_backup.system.files import explained
from korrigo_backup.verify.dump_source import open_sql

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.recovery.erasure import ErasureRecord
    from korrigo_backup.run.step import Listener
    from korrigo_backup.site.site import Site

_TRANSACTION = "SELECT to_json(txid_current()::text)"


def may_stage(site: Site, safety: Artifact | None = None) -> bool:
    """Return whether our role may load a database next to the live database, and swap the two as a whole."""
    return not obstacle(site, safety)


def obstacle(site: Site, safety: Artifact | None = None) -> str:
    """Return in words the obstacle to a database that is staged and swapped with the live database; "" for none.

    An extension that can stand in the live database alone would be missing from a staged database. A safety backup
    lists such extensions: the live database of an interrupted run may be closed.
    """
    server = site.postgres
    role = Databases(server).role()
    if not (role.createdb or role.superuser):
        return "this role may not create a database"
    if server.common != server.maintenance:
        return f"this role cannot enter database {server.maintenance}, from which databases are exchanged"
    if lost_by_swap(server):
        return "the database has settings that this role cannot give to a staged copy"
    saved = safety.manifest.database if safety and safety.manifest else None
    if refused := refused_extensions(server, saved):
        return f"this role may not create the extensions {', '.join(refused)} in a staged copy"
    if bound := bound_in(saved) if saved else standing_in(server):
        return f"the extension {bound[0].extension} can stand in the live database alone"
    return ""


def load_before(site: Site, safety: Artifact, stamp: str, listen: Listener) -> None:
    """Make the database of before a restore from its safety backup, proven, while the site serves; once is enough.

    It is as it was. A rollback takes the rows erased on request out of it, the undo of a failed restore does not.
    """
    databases, live = Databases(site.postgres), site.postgres.database
    before, staged = before_database(live, stamp), back_database(live, stamp)
    if before in databases.names():
        return
    plan = PartPlan(Replacement(part="database", target=live, kept_as=before, needs=0, free=None), ())
    trusted = safety.authenticity is Authenticity.AUTHENTIC
    context = RestoreContext(site, stamp, listen, trusted, erasing=None)
    with open_sql(safety) as source, all_or_nothing() as undo:
        DatabasePart(safety, source, context, plan, staged).stage(undo)
        databases.rename(staged, before)


def take_back_loaded(
    site: Site, safety: Artifact, stamp: str, listen: Listener, *, record: ErasureRecord | None = None
) -> None:
    """Make database and media those of before a restore by Django; the restored data are removed. Safe to repeat.

    Staged if the role may, else in place: then database and media are not undone together if this is killed. `record`
    is that of an erasure to come: the former data are not to be erased from.
    """
    databases, live = Databases(site.postgres), site.postgres.database
    with explained("put the media back"):
        if may_stage(site, safety):
            if stage_database(live, stamp) not in databases.names():  # else the databases are swapped already
                load_before(site, safety, stamp, listen)
            take_back(site, stamp, RESTORE)
            if record:
                record.remove()  # until the staged data are dropped, their name tells the next run that this was undone
            databases.drop_staged(stage_database(live, stamp))
        else:
            context = RestoreContext(site, stamp, listen, trusted=True, erasing=None)
            with open_sql(safety) as source:
                replace_content(context, safety, source, None, proven=partial(_note_undo, record))
            if site.media:
                site.media.undo_swap(stamp)
        if site.media:
            site.media.discard_stage(stamp)


def _note_undo(record: ErasureRecord | None, session: Session) -> None:
    """Write into a record the transaction that brings the former data back, before it is committed."""
    if record:
        record.write(undone_by=session.ask(_TRANSACTION, str))
