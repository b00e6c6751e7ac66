"""Undo an undelete: the rows that it inserted are deleted again, and its files removed, if nobody has changed them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding  # noqa: TC001 - msgspec reads it when it decodes
from korrigo_backup.erasure.findings import rows_left_out
from korrigo_backup.errors import Cancelled, KorrigoBackupError, NotFound, PartlyDone, Refused, World
from korrigo_backup.media.single_files import REPLACED
from korrigo_backup.recovery.django import committed
from korrigo_backup.recovery.pending import require_plannable
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.recovery.undelete import (
    DONE,
    UNDOING,
    forget,
    record_path,
    records,
    remove_files,
    write_record,
)
from korrigo_backup.recovery.undoable import touched_since, undoable
from korrigo_backup.rescue.staged_rows import rescue_session
from korrigo_backup.rescue.steps.recorded_rows import RecordedRows
from korrigo_backup.rescue.steps.transaction import partly
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, silent
from korrigo_backup.run.undo import ROLLED_BACK
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.recovery.actions import Undoable
    from korrigo_backup.recovery.undelete import UndeleteHead
    from korrigo_backup.site.site import Site

ONLY_UNDELETE = {"only": "undelete"}
"""The reason in the journal of a rollback that undoes an undelete: it is no undo of a restore."""


class UndoPlan(msgspec.Struct, frozen=True):
    """The effect of an undo: rows deleted from each table, links that are emptied again, files that are removed.

    `verb` made them. `changed` rows get the values of before, `removed` rows come back, but for those that were erased
    on request meanwhile. `former` files come back in the place of those that were put.
    """

    stamp: str
    artifact: str
    asked: tuple[str, ...]
    tables: dict[str, int]
    links: int
    files: int
    verb: str = "undelete"
    changed: dict[str, int] = {}
    removed: dict[str, int] = {}
    findings: tuple[Finding, ...] = ()
    former: int = 0


def undone_record(catalog: Catalog, site: str, stamp: str | None) -> UndeleteHead:
    """Return the record with a stamp, or the newest, of those that can be undone in the live data.

    Raises NotFound if there is none; Refused if a later operation has touched the same rows or files.
    """
    done = [one for one in undoable(catalog.directory, site) if one.verb != Verb.RESTORE_FILES]
    chosen = next((one for one in done if stamp in {None, one.stamp}), None)
    heads = {one.stamp: one for one in records(catalog.directory, site, DONE)}
    if chosen is None or chosen.stamp not in heads:
        raise NotFound("no undelete is left to undo", hint="korrigo-backup list shows the backups")
    require_untouched(catalog, site, chosen)
    return heads[chosen.stamp]


def require_untouched(catalog: Catalog, site: str, chosen: Undoable) -> None:
    """Raise Refused if a later operation has touched rows or files of the chosen operation."""
    if later := touched_since(catalog.directory, site, chosen):
        raise Refused(
            f"the {later.verb} {later.stamp} came later and touched the same rows or files",
            hint=f"take that back first: korrigo-backup rollback --undo {later.stamp}",
            id_="undo.touched",
        )


def undo_undelete(
    site: Site,
    catalog: Catalog,
    *,
    confirm: Callable[[UndoPlan], bool],
    stamp: str | None = None,
    listen: Listener = silent,
    dry_run: bool = False,
) -> UndoPlan:
    """Delete the rows of the newest undelete, or of that with a stamp, again and remove its files.

    Raises NotFound without an undelete; Refused if a row was changed, or if other rows refer to it now, or if a later
    operation has touched them; Cancelled.
    """
    held = exclusive(site, catalog, "rollback of an undelete", listen=listen, dry_run=dry_run)
    with held as (site, recovered):  # noqa: PLR1704 - now held
        if dry_run:
            require_plannable(site, recovered)
        recovered.require_no_undelete()
        head = undone_record(catalog, site.name, stamp)
        require_same_database(site, head)
        with rescue_session(site.postgres) as session:
            undo = _Undo(site, session, head, record_path(catalog.directory, head.stamp, DONE))
            plan = undo.plan()
            if not confirm(plan):
                raise Cancelled("Rollback cancelled", hint="to continue, run it again and answer yes")
            why = ONLY_UNDELETE
            with journal.recorded(
                catalog.directory, site, Verb.ROLLBACK, head.stamp, listener=listen, why=why
            ) as running:
                undo.carry_out(catalog.directory, running)
    return plan


def require_same_database(site: Site, head: UndeleteHead) -> None:
    """Raise Refused if an operation took place in another database than the one that is configured now."""
    if head.database != site.postgres.database:
        raise Refused(
            f"the {head.verb} {head.stamp} was made in database {head.database}, and this site's is"
            f" {site.postgres.database}",
            hint="check POSTGRES_DB and --config: it is undone in the database in which it was made",
            id_="undo.database",
        )
    if head.system and site.cluster not in {"", head.system}:
        raise Refused(
            f"the {head.verb} {head.stamp} was made on another database cluster than that at"
            f" {site.postgres.access.description}",
            hint="it cannot be undone here; change the rows on the site itself",
            id_="undo.database",
        )


class _Undo:
    """The undo of an undelete in its session."""

    def __init__(self, site: Site, session: Session, head: UndeleteHead, record: Path) -> None:
        self._site = site
        self._session = session
        self._head = head
        self._rows = RecordedRows(site, session, head, record)

    def plan(self) -> UndoPlan:
        """Read the record into the session; return the plan. Raises Refused if something has changed since."""
        self._rows.read()
        erased = self._rows.erased
        if self._head.files:
            self._site.required_media().require_writable([one.path for one in self._head.files])
        return UndoPlan(
            self._head.stamp,
            self._head.artifact,
            self._head.asked,
            self._rows.inserted,
            self._rows.links,
            len(self._head.files) - len(self._head.replaced),
            self._head.verb,
            self._rows.changed,
            self._rows.removed,
            (rows_left_out(erased),) if erased else (),
            len(self._head.replaced),
        )

    def carry_out(self, directory: Path, running: journal.Running) -> None:
        """Delete the rows in one transaction, then remove the files."""
        ledger = self._site.ledger
        with ledger.unchanged() if ledger else nullcontext():
            self._commit(directory, running)
        with partly(f"the {self._head.verb} is undone in the database"):
            with explained("remove the files of the undelete"):
                left = remove_files(self._site, self._head)
            forget(directory, self._head.stamp, DONE)
            forget(directory, self._head.stamp, UNDOING)
        if left:
            former = f"{self._head.media}/.{REPLACED}-{self._head.stamp}"
            raise PartlyDone(
                f"the rows are deleted again; changed since, and left: {first_of(left)}",
                hint=f"the former content is in {former}: look at both"
                if set(left) & self._head.replaced.keys()
                else "look at them, and delete them if they are not needed",
                state="the undelete is undone, except for these files",
            )

    def _commit(self, directory: Path, running: journal.Running) -> None:
        try:
            transaction = self._rows.take_back()
            running.note(transaction=transaction)
            write_record(directory, msgspec.structs.replace(self._head, transaction=transaction), state=UNDOING)
        except KorrigoBackupError as problem:
            problem.leave(World.ROLLED_BACK, ROLLED_BACK)
            raise
        try:
            self._session.run("COMMIT")
        except KorrigoBackupError as problem:
            if not committed(self._site.postgres, transaction):
                forget(directory, self._head.stamp, UNDOING)
                problem.leave(World.ROLLED_BACK, ROLLED_BACK)
                raise
