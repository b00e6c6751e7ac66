"""A media backup in the media store: contents that are not there yet, and a listing of the tree."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact.manifest import Member
from korrigo_backup.backup.backup import require_same
from korrigo_backup.media.stable import made
from korrigo_backup.media.store import listing
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.media.store.save import FormerListing, save
from korrigo_backup.system.files import create_private, open_plain, sha256_of
from korrigo_backup.system.streams import HashingWriter
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.manifest import MediaProof
    from korrigo_backup.media.port import Tree
    from korrigo_backup.media.store.objects import ObjectWriter
    from korrigo_backup.site.site import Site

_Made = tuple["MediaProof", tuple[Member, ...]]


def store_tree(
    site: Site,
    tree: Tree,
    catalog: Catalog,
    target: Path,
    last: Artifact | None,
    now: datetime,
    restart: Callable[[str], None],
) -> _Made:
    """Store the files of a tree and write their listing to `target`; return the proof and the members.

    A share of the store is read before, to find damage: a damaged file is moved away, and stored anew if the site still
    has it. The caller holds the lock. Raises ProofFailed if the disk does not give back what was written.
    """
    store = MediaStore(catalog.directory)
    reread, bad = reread_share(store, now, site.store.reread_nights)
    with store.writing() as writer:
        proof, members = made(partial(_saved, tree, writer, store, target, last, site.archive_root), restart)
    lost = tuple(name for name in bad if not store.path(name).exists())
    counted = replace(proof.store, reread=reread, damaged=lost) if proof.store else None
    return replace(proof, store=counted), members


@phase("rereading of stored media")
def reread_share(store: MediaStore, now: datetime, nights: int) -> tuple[int, list[str]]:
    """Read the share of the stored files that is due today; return their number and the names of the damaged ones.

    Those are moved away. Every share is due once in so many `nights`, 0 for never.
    """
    count, bad = 0, []
    due = [shelf for shelf in store.shelves() if nights and int(shelf.name, 16) % nights == now.toordinal() % nights]
    for name in store.names(due):
        count += 1
        if sha256_of(store.path(name))[0] != name:
            store.set_aside(name)
            bad.append(name)
    return count, bad


@phase("media store")
def _saved(
    tree: Tree,
    writer: ObjectWriter,
    store: MediaStore,
    path: Path,
    last: Artifact | None,
    root: str,
    *,
    again: bool,
) -> _Made:
    with ExitStack() as stack:
        former = _former(last, store, stack)
        with create_private(path) as file:
            target = HashingWriter(file)
            proof = save(tree, writer, target, root=root, name=path.name, former=former, again=again)
            os.fsync(file.fileno())
    require_same(sha256_of(path)[0], target.sha256, path.name)
    return proof, (Member(path.name, target.size, target.sha256),)


def _former(last: Artifact | None, store: MediaStore, stack: ExitStack) -> FormerListing | None:
    """Return the listing of the last backup, None if there is none, or if it is not the file that was signed."""
    manifest = last.manifest if last else None
    if last is None or manifest is None or manifest.created is None or not last.is_listing:
        return None
    signed = {(member.sha256, member.size) for member in manifest.members}
    if sha256_of(last.path) not in signed:
        return None
    file = stack.enter_context(open_plain(last.path))
    began_ns = int(manifest.created.timestamp()) * 1_000_000_000
    return FormerListing(listing.unpacked(file, last.name), store, began_ns=began_ns)
