"""Undo a restore of single files: files that were missing are removed, overwritten files come back."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.paths import printable
from korrigo_backup.errors import Cancelled, NotFound, PartlyDone, Refused
from korrigo_backup.recovery.put_files import (
    file_records,
    tree_of,
    undo_files,
    write_files_record,
)
from korrigo_backup.recovery.undelete import DONE, UNDOING
from korrigo_backup.recovery.undoable import touched_since
from korrigo_backup.rescue.media_files.lock import files_lock
from korrigo_backup.rescue.steps.transaction import partly
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, silent
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Callable

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.recovery.actions import Undoable
    from korrigo_backup.site.site import Site

ONLY_FILES = {"only": "files"}
"""The reason in the journal of a rollback that undoes a restore of files: it is no undo of a whole restore."""

_SHOWN = 3


class FilesUndoPlan(msgspec.Struct, frozen=True):
    """The effect of the undo: the files that are removed, and those that are overwritten by their former content."""

    stamp: str
    artifact: str
    asked: tuple[str, ...]
    removed: int
    former: int


def undo_restore_of_files(
    site: Site,
    catalog: Catalog,
    named: Undoable,
    *,
    confirm: Callable[[FilesUndoPlan], bool],
    listen: Listener = silent,
    dry_run: bool = False,
) -> FilesUndoPlan:
    """Undo a restore of files; return the plan that was carried out.

    Raises Refused if a file has changed since it was put, Cancelled; NotFound if another run has undone it.
    """
    with files_lock(site, catalog, "rollback of a restore of files", listen, dry_run=dry_run):
        heads = file_records(catalog.directory, site.name, DONE)
        head = next((one for one in heads if one.stamp == named.stamp), None)
        if head is None:
            raise NotFound("that restore of files was undone meanwhile", hint="korrigo-backup status shows the others")
        if later := touched_since(catalog.directory, site.name, named):
            raise Refused(
                f"the {later.verb} {later.stamp} came later and touched the same files",
                hint=f"take that back first: korrigo-backup rollback --undo {later.stamp}",
                id_="undo.touched",
            )
        with explained("look at the files that were put"):
            changed = tree_of(site, head).single_files.changed(head.change)
        if changed:
            raise Refused(
                f"changed since the restore of files: {first_of(list(map(printable, changed)), _SHOWN)}",
                hint="move what was changed away, then run it again; what is gone is no obstacle",
                id_="files.changed",
            )
        former = len(head.replaced)
        plan = FilesUndoPlan(head.stamp, named.artifact, head.asked, len(head.files) - former, former)
        if not confirm(plan):
            raise Cancelled("Rollback cancelled", hint="to continue, run it again and answer yes")
        with journal.recorded(catalog.directory, site, Verb.ROLLBACK, head.stamp, listener=listen, why=ONLY_FILES):
            write_files_record(catalog.directory, head, UNDOING)
            with partly("the undo has begun"), explained("undo the restore of files"):
                left = undo_files(site, catalog.directory, head)
            if left:
                raise PartlyDone(
                    f"undone but for files that were changed meanwhile: {first_of(list(map(printable, left)), _SHOWN)}",
                    hint=f"korrigo-backup history --file {quote(left[0])} shows how it stood",
                    state="the restore of files is undone, except for these files",
                )
    return plan
