"""Recovery from a killed restore: the next command makes database and media both new or both old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections
from django.utils.connection import ConnectionDoesNotExist
from msgspec.structs import replace

from korrigo_backup.djangoapp.transaction import commit
from korrigo_backup.errors import Refused, Unreachable
from korrigo_backup.site import unfinished

if TYPE_CHECKING:
    from korrigo_backup.media.tree import MediaTree
    from korrigo_backup.site.unfinished import DjangoRestoreRecord


def recover(tree: MediaTree) -> list[str]:
    """Finish or undo every interrupted restore and return the actions, in words.

    The caller holds the tree alone. Raises Unreachable if the database does not know the end of a restore: then
    everything stays as it is, also the record.
    """
    done = []
    for record in unfinished.records(tree):
        committed = record.done or (record.marker is not None and _committed(record))
        if committed:
            done.append(f"the interrupted restore of {record.stamp} was complete: database and media are new")
        else:
            tree.undo_swap(record.stamp)
            done.append(f"undid the interrupted restore of {record.stamp}: database and media are as before it")
        close(tree, record, committed=committed)
    return done


def close(tree: MediaTree, record: DjangoRestoreRecord, *, committed: bool) -> None:
    """Remove the leftovers of a restore next to the media that it made new, or that are old again.

    The record is removed last.

    A commit is written into the record before the database forgets it: killed here, the next run is not misled.
    """
    if committed:
        unfinished.write(tree, replace(record, done=True))
    tree.discard_stage(record.stamp)
    commit.forget(record.alias)
    unfinished.remove(tree, record.stamp)


def _committed(record: DjangoRestoreRecord) -> bool:
    try:
        name = str(connections[record.alias].settings_dict["NAME"])
    except ConnectionDoesNotExist:
        name = f"(no database {record.alias!r} in the settings)"
    if name != record.database:
        raise Refused(
            f"an interrupted restore of {record.stamp} was into the database {record.database}, this is {name}",
            hint="run this once with the settings of that restore: it decides whether the media are old or new",
        )
    committed = commit.happened(record.alias, record.marker or "")
    if committed is None:
        raise Unreachable(
            f"the database does not answer whether the interrupted restore of {record.stamp} took place",
            hint="start the database server, then run this again",
        )
    return committed
