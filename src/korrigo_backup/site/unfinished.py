"""The record of a Method 2 restore in progress, next to the live media: it outlives the process that wrote it.

`.journal-S` names the transaction that decides about the media of stamp S. A later run asks the database: if the
transaction committed, the media are new and complete, and only the record is removed; else the media become old again.

    .journal-S                 being staged: nothing is decided, both are old
    .journal-S  with a marker  the swap is under way or done; the transaction decides
    `.journal-S` that is done  the transaction committed; leftovers of ours go
    none                       no restore is in progress
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.errors import Locked, ProofFailed
from korrigo_backup.system.files import fsync_directory, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.media.port import Tree
    from korrigo_backup.media.tree import MediaTree


class DjangoRestoreRecord(msgspec.Struct, frozen=True):
    """A restore: the stamp of its media, Django's alias and the name of its database, and its transaction.

    `marker` is None until the transaction is about to commit; `done`: it committed, and only our leftovers are to be
    removed.
    """

    stamp: str
    alias: str
    database: str
    marker: str | None = None
    done: bool = False


def write(tree: MediaTree, record: DjangoRestoreRecord) -> None:
    """Put the record in place of an older record of its stamp, on disk when this returns."""
    path = tree.beside("journal", record.stamp)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    write_private(partial, msgspec.json.encode(record))
    partial.replace(path)
    fsync_directory(tree.root)


def remove(tree: MediaTree, stamp: str) -> None:
    """Forget a restore that is finished or undone."""
    path = tree.beside("journal", stamp)
    path.with_name(path.name + ".partial").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    fsync_directory(tree.root)


def records(tree: Tree) -> list[DjangoRestoreRecord]:
    """Return the records of dead runs, oldest first. Raises ProofFailed for a record that cannot be read."""
    return [_read(tree, stamp) for stamp in reversed(tree.kept("journal"))]


def _read(tree: Tree, stamp: str) -> DjangoRestoreRecord:
    path = tree.beside("journal", stamp)
    try:
        record = msgspec.json.decode(tree.record(stamp), type=DjangoRestoreRecord)
        if record.stamp == stamp:
            return record
        problem = f"it speaks of {record.stamp}"
    except (OSError, ValueError, msgspec.DecodeError) as trouble:
        problem = str(trouble)
    raise ProofFailed(
        f"the record of an interrupted restore {path} cannot be read: {problem}",
        hint=f"see whether the live media or those in .before-{stamp} are right, then remove the record",
    )


@contextmanager
def alone(tree: MediaTree, doing: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the media tree while the block runs: a kernel lock on its directory, which dies with the process.

    It holds between containers of a machine, too; `shared` lets others in that only read. Raises Locked when another
    run has it.
    """
    tree.root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(tree.held(shared=shared))
        except BlockingIOError:
            raise locked(tree, doing) from None
        yield


def locked(tree: Tree, doing: str) -> Locked:
    """Return the error for a tree that another run holds."""
    return Locked(
        f"cannot {doing}: another run is at work on the media {tree.root}",
        hint="wait for its end, then run this again; a lock ends with its process",
    )
