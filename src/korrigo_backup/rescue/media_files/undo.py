"""Undo a restore of single files: files that were missing are removed, overwritten files come back."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding  # noqa: TC001 - msgspec reads it when it encodes
from korrigo_backup.core.paths import printable
from korrigo_backup.erasure.findings import files_left_out
from korrigo_backup.errors import Cancelled, NotFound, PartlyDone, Refused
from korrigo_backup.media.single_files import REPLACED
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
from korrigo_backup.site.erasures import CopiedData, erased_among_files
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.recovery.actions import Undoable
    from korrigo_backup.recovery.put_files import FilesHead
    from korrigo_backup.site.site import Site

ONLY_FILES = {"only": "files"}
"""The reason in the journal of a rollback that undoes a restore of files: it is no undo of a whole restore."""


class FilesUndoPlan(msgspec.Struct, frozen=True):
    """The effect of the undo: the files that are removed, and those that are overwritten by their former content.

    A former file that was erased on request since does not come back; its place stays as it is.
    """

    stamp: str
    artifact: str
    asked: tuple[str, ...]
    removed: int
    former: int
    findings: tuple[Finding, ...] = ()


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
        _require_undoable(site, head)
        erased = erased_among_files(site, [(CopiedData(head.created), head.replaced.keys())])
        undone = _without(head, erased)
        former = len(undone.replaced)
        plan = FilesUndoPlan(
            head.stamp,
            named.artifact,
            head.asked,
            len(undone.files) - former,
            former,
            (files_left_out(erased),) if erased else (),
        )
        if not confirm(plan):
            raise Cancelled("Rollback cancelled", hint="to continue, run it again and answer yes")
        with journal.recorded(catalog.directory, site, Verb.ROLLBACK, head.stamp, listener=listen, why=ONLY_FILES):
            write_files_record(catalog.directory, undone, UNDOING)
            with partly("the undo has begun"), explained("undo the restore of files"):
                if erased:
                    tree_of(site, head).aside(REPLACED, head.stamp).remove_files(sorted(erased))
                left = undo_files(site, catalog.directory, undone)
            if left:
                raise PartlyDone(
                    f"undone but for files that were changed meanwhile: {first_of(list(map(printable, left)))}",
                    hint=f"korrigo-backup history --file {quote(left[0])} shows how it stood",
                    state="the restore of files is undone, except for these files",
                )
    return plan


def _require_undoable(site: Site, head: FilesHead) -> None:
    """Raise Refused if a file was changed since it was put, or if this user may not take it away."""
    tree = tree_of(site, head)
    with explained("look at the files that were put"):
        changed = tree.single_files.changed(head.change)
    if changed:
        raise Refused(
            f"changed since the restore of files: {first_of(list(map(printable, changed)))}",
            hint="move what was changed away, then run it again; what is gone is no obstacle",
            id_="files.changed",
        )
    tree.require_writable([one.path for one in head.files])


def _without(head: FilesHead, erased: Collection[str]) -> FilesHead:
    """Return a record without the files whose former content was erased on request."""
    return msgspec.structs.replace(
        head,
        files=tuple(one for one in head.files if one.path not in erased),
        replaced={path: inode for path, inode in head.replaced.items() if path not in erased},
    )
